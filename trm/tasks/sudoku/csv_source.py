"""Puzzles from CSV files in the format of the Hub dataset ``sapientinc/sudoku-extreme``."""

import array
from pathlib import Path

import numpy as np

from trm.errors import InputError
from trm.tasks.puzzle_csv import Symbols, read_boards
from trm.tasks.solved_puzzles import SolvedPuzzles
from trm.tasks.sudoku.geometry import BLANK, Geometry, is_valid_solution

HUB_REPOSITORY = "sapientinc/sudoku-extreme"


def read_csv(path: Path) -> SolvedPuzzles:
    """Read and check a CSV file.

    Returns:
        Puzzles with the info ``source`` and ``rating``, the guesses that a solver needs (int32).

    Raises:
        InputError: for an invalid file or row; the message names the line.
    """
    ratings = array.array("i")

    def read_rating(row: dict[str, str], where: str) -> None:
        rating = row["rating"].strip()
        if not rating.isdecimal():
            raise InputError(
                f"{where}: rating {row['rating']!r} is not a whole number. Correct the line."
            )
        if len(rating) > 9:
            raise InputError(f"{where}: rating {row['rating']!r} is too large. Correct the line.")
        ratings.append(int(rating))

    boards = read_boards(path, _symbols, read_rating)
    agrees = (boards.questions == BLANK) | (boards.questions == boards.answers)
    valid = agrees.all(axis=1) & is_valid_solution(boards.answers - np.uint8(BLANK))
    boards.check(valid, "the answer does not solve the question")
    info = {"source": boards.sources, "rating": np.frombuffer(ratings, np.int32)}
    return SolvedPuzzles(boards.questions, boards.answers, info)


def _symbols(num_cells: int) -> tuple[Symbols, Symbols]:
    size = Geometry.from_num_cells(num_cells).size
    digits = {str(digit): BLANK + digit for digit in range(1, size + 1)}
    return {".": BLANK, "0": BLANK, **digits}, digits
