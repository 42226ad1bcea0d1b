"""Puzzles from CSV files in the columns of the Hub data set ``sapientinc/sudoku-extreme``."""

import array
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError, TrmError
from trm.tasks.csv_tables import COLUMNS, read_rows
from trm.tasks.sudoku.geometry import Geometry, is_valid_solution

HUB_REPOSITORY = "sapientinc/sudoku-extreme"


@dataclass(frozen=True)
class PuzzleTable:
    """Puzzles and their solutions.

    Attributes:
        boards, solutions: (num_puzzles, num_cells) uint8, 0 for a blank.
        ratings: (num_puzzles,) int32, guesses a solver needs.
        sources: (num_puzzles,) byte strings, the collection a puzzle belongs to.
    """

    boards: NDArray[np.uint8]
    solutions: NDArray[np.uint8]
    ratings: NDArray[np.int32]
    sources: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.boards)

    def take(self, rows: NDArray[Any]) -> "PuzzleTable":
        """The given rows, or those where a mask is true."""
        return PuzzleTable(
            self.boards[rows], self.solutions[rows], self.ratings[rows], self.sources[rows]
        )


def read_csv(path: Path) -> PuzzleTable:
    """Read and check a CSV file.

    Raises:
        InputError: for a missing column or a line that is no puzzle, naming the line.
    """
    questions, answers = bytearray(), bytearray()
    ratings, lines = array.array("i"), array.array("q")
    sources: list[bytes] = []
    num_cells = 0
    for number, row in read_rows(path):
        num_cells = num_cells or len(row["question"])
        question, answer, rating = _check_row(row, num_cells, f"{path}, line {number}")
        questions += question
        answers += answer
        ratings.append(rating)
        lines.append(number)
        sources.append(row["source"].encode())
    shape = (len(lines), num_cells)
    table = PuzzleTable(
        np.frombuffer(questions, np.uint8).reshape(shape) - ord("0"),
        np.frombuffer(answers, np.uint8).reshape(shape) - ord("0"),
        np.frombuffer(ratings, np.int32),
        np.array(sources, np.bytes_),
    )
    _check_solutions(table, path, lines)
    return table


def _check_row(row: dict[str, str], num_cells: int, where: str) -> tuple[bytes, bytes, int]:
    question, answer, rating = (row[name] for name in COLUMNS[1:])
    for name, board in (("question", question), ("answer", answer)):
        if len(board) != num_cells:
            raise InputError(
                f"{where}: {name} has {len(board)} characters, not {num_cells}. Mend the line."
            )
    try:
        digits = "123456789"[: Geometry.from_num_cells(num_cells).size]
    except TrmError as error:
        raise InputError(f"{where}: {error}") from None
    for name, board, allowed in (("question", question, ".0" + digits), ("answer", answer, digits)):
        wrong = set(board) - set(allowed)
        if wrong:
            raise InputError(
                f"{where}: {name} has {sorted(wrong)[0]!r}, not one of {allowed}. Mend the line."
            )
    if not rating.strip().isdecimal():
        raise InputError(f"{where}: rating {rating!r} is no whole number. Mend the line.")
    if len(rating.strip()) > 9:
        raise InputError(f"{where}: rating {rating!r} is too large. Mend the line.")
    return question.replace(".", "0").encode(), answer.encode(), int(rating)


def _check_solutions(table: PuzzleTable, path: Path, lines: "array.array[int]") -> None:
    agrees = ((table.boards == 0) | (table.boards == table.solutions)).all(axis=1)
    wrong = ~(agrees & is_valid_solution(table.solutions))
    if wrong.any():
        raise InputError(
            f"{path}, line {lines[int(wrong.argmax())]}: the answer does not solve the question. "
            "Mend the line."
        )
