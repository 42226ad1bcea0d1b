"""Puzzles from CSV files in the format of the Hub dataset ``sapientinc/sudoku-extreme``."""

import array
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError
from trm.tasks.puzzle_csv import Symbols, read_boards
from trm.tasks.solved_puzzles import SolvedPuzzles
from trm.tasks.sudoku.geometry import BLANK, Geometry, is_valid_solution

HUB_REPOSITORY = "sapientinc/sudoku-extreme"

_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?")
_TURNED = (
    "the answer has boxes of 3 rows x 2 columns, but boxes of 6x6 have 2 rows x 3 columns",
    "Exchange the rows and columns of all boards.",
)


def read_csv(path: Path) -> SolvedPuzzles:
    """Read and check a CSV file.

    Returns:
        Puzzles with the info ``source`` and ``rating``, the guesses that a solver needs: int32, or
        float64 if a number in the file is not whole. Without such a column it is 0.

    Raises:
        InputError: for an invalid file or row; the message names the line.
    """
    ratings = array.array("d")

    def read_rating(row: dict[str, str], where: str) -> None:
        rating = row.get("rating", "0").strip()
        if not _NUMBER.fullmatch(rating):
            raise InputError(
                f"{where}: rating {row['rating']!r:.99} is not a number of 0 or more, such as 12 "
                "or 0.5. Correct the line."
            )
        ratings.append(float(rating))
        if ratings[-1] >= 1e9:
            raise InputError(
                f"{where}: rating {row['rating']!r:.99} is too large. Correct the line."
            )

    boards = read_boards(path, _symbols, read_rating)
    agrees = ((boards.questions == BLANK) | (boards.questions == boards.answers)).all(axis=1)
    valid = agrees & is_valid_solution(boards.answers - np.uint8(BLANK))
    if not valid.all():
        boards.check(valid | ~(agrees & _has_turned_boxes(boards.answers)), *_TURNED)
    boards.check(valid, "the answer does not solve the question")
    numbers = np.frombuffer(ratings, np.float64)
    whole = numbers.astype(np.int32)
    rating = whole if (whole == numbers).all() else numbers
    info = {"source": boards.sources, "rating": rating}
    return SolvedPuzzles(boards.questions, boards.answers, info)


def _has_turned_boxes(answers: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which answers (N, cells) are solutions if rows and columns are exchanged."""
    size = Geometry.from_num_cells(answers.shape[1]).size
    turned = answers.reshape(-1, size, size).swapaxes(1, 2).reshape(answers.shape)
    return is_valid_solution(turned - np.uint8(BLANK))


def _symbols(num_cells: int) -> tuple[Symbols, Symbols]:
    size = Geometry.from_num_cells(num_cells).size
    digits = {str(digit): BLANK + digit for digit in range(1, size + 1)}
    return {".": BLANK, "0": BLANK, **digits}, digits
