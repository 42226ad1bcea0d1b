"""Mazes from CSV files in the format of the Hub dataset ``sapientinc/maze-30x30-hard-1k``.

A question has ``size * size`` characters of ``# SG``, row by row; an answer also has ``o``. A dot
is an open cell too. An answer may be any valid path, not only the one of the tie-break rule. The
column ``rating`` is ignored.
"""

from pathlib import Path

from trm.errors import InputError
from trm.tasks.maze.geometry import OPEN, PATH, VOCABULARY, WALL, size_of
from trm.tasks.maze.solver import is_valid_path, path_cells
from trm.tasks.puzzle_csv import Symbols, read_boards
from trm.tasks.solved_puzzles import SolvedPuzzles

HUB_REPOSITORY = "sapientinc/maze-30x30-hard-1k"


def read_csv(path: Path) -> SolvedPuzzles:
    """Read and check a CSV file.

    Returns:
        Mazes with the info ``source``.

    Raises:
        InputError: for an invalid file or row; the message names the line.
    """
    boards = read_boards(path, _symbols, _check_ends)
    boards.check(path_cells(boards.questions) > 0, "the question has no path from S to G")
    boards.check(
        is_valid_path(boards.questions, boards.answers), "the answer does not solve the question"
    )
    return SolvedPuzzles(boards.questions, boards.answers, {"source": boards.sources})


def _symbols(num_cells: int) -> tuple[Symbols, Symbols]:
    size_of(num_cells)  # refuses what is not a square
    answer = {VOCABULARY[token]: token for token in range(WALL, PATH + 1)} | {".": OPEN}
    return {symbol: token for symbol, token in answer.items() if token != PATH}, answer


def _check_ends(row: dict[str, str], where: str) -> None:
    for cell in "SG":
        count = row["question"].count(cell)
        if count != 1:
            raise InputError(f"{where}: question has {count} {cell}, not 1. Correct the line.")
