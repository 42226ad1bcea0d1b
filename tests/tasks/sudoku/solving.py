"""Solve single Sudokus with the compiled search."""

from typing import NamedTuple

import numpy as np

from trm.tasks.sudoku.geometry import Geometry
from trm.tasks.sudoku.solver import candidates_of, index_tables, search


class Solution(NamedTuple):
    """A completed board (cells,), and the guesses until it was found."""

    board: np.ndarray
    num_guesses: int


def solve(board: np.ndarray, geometry: Geometry) -> Solution | None:
    """The first solution of a board (cells,), None if there is none."""
    solution = np.zeros_like(board)
    candidates = candidates_of(board, geometry.size)
    num_solutions, num_guesses = search(candidates, index_tables(geometry), 1, solution)
    return Solution(solution, int(num_guesses)) if num_solutions else None


def count_solutions(board: np.ndarray, geometry: Geometry, limit: int = 2) -> int:
    """The number of solutions of a board (cells,), counted up to ``limit``."""
    candidates = candidates_of(board, geometry.size)
    return int(search(candidates, index_tables(geometry), limit, np.zeros_like(board))[0])
