"""CSV files of puzzles and solutions, with the columns of the published datasets on the Hub."""

import array
import codecs
import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import DataError, InputError

COLUMNS = ("source", "question", "answer", "rating")

#: The token of each character.
Symbols = Mapping[str, int]


def download(repository: str, split: str) -> Path:
    """Download ``train.csv`` or ``test.csv`` of a Hub dataset, or find it in the Hub's cache.

    Raises:
        DataError: if the Hub cannot be reached; the message names the other sources.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, f"{split}.csv", repo_type="dataset"))
    except Exception as error:  # the errors of its HTTP library, which differs between versions
        raise DataError(
            f"cannot download {repository} from the Hub ({type(error).__name__}). Use puzzles "
            "of your own with --source FOLDER (train.csv and test.csv) or generated ones with "
            "--source generate."
        ) from error


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The line number and the fields of each row of a CSV file with the columns :data:`COLUMNS`.

    Raises:
        InputError: if the file is missing, is not CSV, lacks a column or has no rows; also for a
            row with too few or too many fields. The message names the line.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Name a folder with train.csv and test.csv.")
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        reader = csv.DictReader((line.decode() for line in file), strict=True)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}, line 1: column {missing[0]!r} is missing. "
                    f"The header must name {', '.join(COLUMNS)}."
                )
            row: dict[Any, Any]
            for row in reader:
                if None in row or None in row.values():
                    few = "few" if None in row.values() else "many"
                    raise InputError(
                        f"{path}, line {reader.line_num}: too {few} fields. Correct the line."
                    )
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{path}, line {reader.line_num + 1}: not CSV text: {error}. Correct the file."
            ) from error
        if reader.line_num < 2:
            raise InputError(f"{path} has no puzzle. Give a file with some.")


@dataclass(frozen=True)
class CsvBoards:
    """The boards in a CSV file.

    Attributes:
        path: the file.
        lines: the line number of each puzzle.
        questions, answers: (num_puzzles, num_cells) uint8 tokens.
        sources: (num_puzzles,) byte strings, the column ``source``.
    """

    path: Path
    lines: Sequence[int]
    questions: NDArray[np.uint8]
    answers: NDArray[np.uint8]
    sources: NDArray[np.bytes_]

    def check(self, valid: NDArray[np.bool_], problem: str) -> None:
        """Check that all puzzles are valid (num_puzzles,).

        Raises:
            InputError: states the problem, and the line of the first invalid puzzle.
        """
        if not valid.all():
            line = self.lines[int((~valid).argmax())]
            raise InputError(f"{self.path}, line {line}: {problem}. Correct the line.")


def read_boards(
    path: Path,
    symbols: Callable[[int], tuple[Symbols, Symbols]],
    check_row: Callable[[dict[str, str], str], None],
) -> CsvBoards:
    """Read square boards of one size from a CSV file.

    Args:
        path: the file.
        symbols: the symbols of questions and of answers with this number of cells. It raises
            InputError for an impossible number of cells.
        check_row: checks the fields of a row; the string is the start of an error message.

    Raises:
        InputError: for an invalid file or row; the message names the line.
    """
    texts = {"question": bytearray(), "answer": bytearray()}
    lines, sources = array.array("q"), []
    num_cells = 0
    for line, row in read_rows(path):
        where = f"{path}, line {line}"
        if not num_cells:
            num_cells = len(row["question"])
            try:
                allowed = dict(zip(texts, symbols(num_cells), strict=True))
            except InputError as error:
                raise InputError(f"{where}: question: {error}") from None
        for name, text in texts.items():
            _check_board(row[name], num_cells, allowed[name], f"{where}: {name}")
            text += row[name].encode()
        check_row(row, where)
        lines.append(line)
        sources.append(row["source"].encode())
    questions, answers = (_tokens(text, allowed[name]) for name, text in texts.items())
    shape = (len(lines), num_cells)
    return CsvBoards(
        path, lines, questions.reshape(shape), answers.reshape(shape), np.array(sources, np.bytes_)
    )


def _check_board(board: str, num_cells: int, allowed: Symbols, where: str) -> None:
    if len(board) != num_cells:
        raise InputError(f"{where} has {len(board)} characters, not {num_cells}. Correct the line.")
    if not allowed.keys() >= set(board):
        cell = next(cell for cell, character in enumerate(board) if character not in allowed)
        row, column = divmod(cell, math.isqrt(num_cells))
        raise InputError(
            f"{where} has {board[cell]!r} in row {row + 1}, column {column + 1}, not one of "
            f"{''.join(allowed)!r}. Correct the line."
        )


def _tokens(text: bytearray, symbols: Symbols) -> NDArray[np.uint8]:
    token_of_byte = np.zeros(256, np.uint8)
    for character, token in symbols.items():
        token_of_byte[ord(character)] = token
    return token_of_byte[np.frombuffer(text, np.uint8)]
