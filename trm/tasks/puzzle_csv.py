"""CSV files of puzzles and solutions, such as the published datasets on the Hub.

Memory is in proportion to the size of a file, whatever it holds: lines, boards and the names of
sources are bounded.
"""

import array
import codecs
import csv
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from trm.errors import DataError, HubError, InputError
from trm.hub import download_data
from trm.reading import FileReader, bounded_lines

QUESTION_COLUMNS = ("question", "puzzle", "quizzes")
ANSWER_COLUMNS = ("answer", "solution", "solutions")
#: The names that each column may have. A file needs a question and an answer.
_COLUMNS = {
    "question": QUESTION_COLUMNS,
    "answer": ANSWER_COLUMNS,
    "source": ("source",),
    "rating": ("rating",),
}
_BOARDS = ("question", "answer")

_MAX_LINE_BYTES = 1 << 20
#: Boards of 256x256.
_MAX_CELLS = 1 << 16
#: Every puzzle's source takes as much memory as the longest.
_MAX_SOURCE_BYTES = 255
_NO_SOURCE = "unknown"

FILES = FileReader(InputError, "Name a folder with train.csv and test.csv.")

#: The token of each character.
Symbols = Mapping[str, int]


def download(repository: str, split: str) -> Path:
    """Download ``train.csv`` or ``test.csv`` of a Hub dataset, or find it in the Hub's cache.

    Raises:
        DataError: if the Hub cannot be reached; the message names the other sources.
    """
    try:
        return download_data(repository, f"{split}.csv")
    except HubError as error:
        raise DataError(
            f"{error} Without the Hub, --source generate makes puzzles, and --source FOLDER (with "
            "train.csv and test.csv) or --source FILE reads your own."
        ) from error


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The line number and the fields of each row of a CSV file.

    The fields are ``question`` and ``answer``, and ``source`` and ``rating`` if the file has such
    columns, whatever the header calls them; other columns are left out.

    Raises:
        InputError: if the file cannot be read, is not CSV, lacks a column or has no rows; also for
            a row with too few or too many fields. The message names the line.
    """
    with FILES.open(path) as file, FILES.parsing(path):
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        reader = csv.reader(_lines(file), strict=True)
        try:
            header = next((fields for fields in reader if fields), [])
            columns = _columns(header, f"{path}, line {reader.line_num if header else 1}")
            num_rows = 0
            for fields in reader:
                if not fields:
                    continue
                if len(fields) != len(header):
                    few = "few" if len(fields) < len(header) else "many"
                    raise InputError(
                        f"{path}, line {reader.line_num}: too {few} fields. Correct the line."
                    )
                num_rows += 1
                yield reader.line_num, {name: fields[place] for name, place in columns.items()}
        except (ValueError, csv.Error) as error:
            # A line that cannot be read at all is not counted yet.
            line = reader.line_num + (not isinstance(error, csv.Error))
            raise InputError(
                f"{path}, line {line}: not CSV text: {error}. Correct the file."
            ) from error
        if not num_rows:
            raise InputError(f"{path} has no puzzle. Give a file with some.")


def _lines(file: BinaryIO) -> Iterator[str]:
    """The lines of a file.

    Raises:
        ValueError: if a line is too long, or not UTF-8.
    """
    for line in bounded_lines(file, _MAX_LINE_BYTES):
        if len(line) > _MAX_LINE_BYTES:
            raise ValueError(f"the line has more than {_MAX_LINE_BYTES:,} bytes")
        yield line.decode()


def _columns(header: Sequence[str], where: str) -> dict[str, int]:
    """The place of each column that is there."""
    names = [name.strip().lower() for name in header]
    columns = {}
    for column, accepted in _COLUMNS.items():
        places = [place for place, name in enumerate(names) if name in accepted]
        if len(places) > 1:
            both = " and ".join(repr(header[place]) for place in places[:2])
            raise InputError(
                f"{where}: {both} both name the {column}. Rename one of them, or leave it out."
            )
        if places:
            columns[column] = places[0]
        elif column in _BOARDS:
            raise InputError(
                f"{where}: column {column!r} is missing. The header must name a question "
                f"({', '.join(QUESTION_COLUMNS)}) and an answer ({', '.join(ANSWER_COLUMNS)})."
            )
    return columns


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

    def check(
        self, valid: NDArray[np.bool_], problem: str, advice: str = "Correct the line."
    ) -> None:
        """Check that all puzzles are valid (num_puzzles,).

        Raises:
            InputError: states the problem, and the line of the first invalid puzzle.
        """
        if not valid.all():
            line = self.lines[int((~valid).argmax())]
            raise InputError(f"{self.path}, line {line}: {problem}. {advice}")


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
    texts = {name: bytearray() for name in _BOARDS}
    lines = array.array("q")
    sources: list[bytes] = []
    num_cells = 0
    for line, row in read_rows(path):
        where = f"{path}, line {line}"
        if not lines:
            num_cells = len(row["question"])
            if _impossible(num_cells, symbols):
                raise _wrong_length(path, symbols)
            allowed = dict(zip(_BOARDS, symbols(num_cells), strict=True))
        for name, text in texts.items():
            if len(row[name]) != num_cells:
                raise _wrong_length(path, symbols)
            _check_symbols(row[name], allowed[name], f"{where}: {name}")
            text += row[name].encode()
        check_row(row, where)
        lines.append(line)
        sources.append(row.get("source", _NO_SOURCE).encode())
        if len(sources[-1]) > _MAX_SOURCE_BYTES:
            raise InputError(
                f"{where}: source has {len(sources[-1]):,} bytes, more than {_MAX_SOURCE_BYTES}. "
                "Correct the line."
            )
    questions, answers = (
        _tokens(text, allowed[name]).reshape(len(lines), num_cells) for name, text in texts.items()
    )
    return CsvBoards(path, lines, questions, answers, np.array(sources, np.bytes_))


def _wrong_length(path: Path, symbols: Callable[[int], tuple[Symbols, Symbols]]) -> InputError:
    """The error for a file whose boards differ in length, or have an impossible length.

    The most frequent possible length is taken for the right one, so the file is read once more.
    """
    counts = Counter(len(row[name]) for _, row in read_rows(path) for name in _BOARDS)
    possible = [length for length in counts if not _impossible(length, symbols)]
    right = max(possible, key=counts.__getitem__, default=None)
    for line, row in read_rows(path):
        for name in _BOARDS:
            length, where = len(row[name]), f"{path}, line {line}: {name}"
            if right is None:
                return InputError(f"{where}: {_impossible(length, symbols)}")
            if length != right:
                return InputError(
                    f"{where} has {length:,} characters, not {right}. Correct the line."
                )
    return InputError(f"{path} has changed while it was read. Try again.")


def _impossible(num_cells: int, symbols: Callable[[int], tuple[Symbols, Symbols]]) -> str:
    """Why boards cannot have this number of cells; empty if they can."""
    if num_cells > _MAX_CELLS:
        return f"{num_cells:,} cells are more than {_MAX_CELLS:,}. Give smaller boards."
    try:
        symbols(num_cells)
    except InputError as error:
        return str(error)
    return ""


def _check_symbols(board: str, allowed: Symbols, where: str) -> None:
    if not allowed.keys() >= set(board):
        cell = next(cell for cell, character in enumerate(board) if character not in allowed)
        row, column = divmod(cell, math.isqrt(len(board)))
        raise InputError(
            f"{where} has {board[cell]!r} in row {row + 1}, column {column + 1}, not one of "
            f"{''.join(allowed)!r}. Correct the line."
        )


def _tokens(text: bytearray, symbols: Symbols) -> NDArray[np.uint8]:
    token_of_byte = np.zeros(256, np.uint8)
    for character, token in symbols.items():
        token_of_byte[ord(character)] = token
    return token_of_byte[np.frombuffer(text, np.uint8)]
