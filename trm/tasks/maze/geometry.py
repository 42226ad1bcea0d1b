"""The cells of a maze: their tokens, their neighbours, and the eight symmetries of the square.

A maze is a flat array of ``size * size`` tokens in row-major order. Only numpy is imported here,
so that the command line starts quickly.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError

Indices = NDArray[np.integer[Any]]

#: The tokens of the published data; 0 is padding.
WALL, OPEN, START, GOAL, PATH = 1, 2, 3, 4, 5
#: The symbol of each token in the published CSV files.
VOCABULARY = ("<pad>", "#", " ", "S", "G", "o")

NUM_SYMMETRIES = 8


def size_of(num_cells: int) -> int:
    """The side length of a maze with this number of cells.

    Raises:
        InputError: if the number is not a square, or less than 4.
    """
    size = math.isqrt(num_cells)
    if size < 2 or size * size != num_cells:
        raise InputError(
            f"{num_cells} cells do not form a square. Give a maze of size x size cells."
        )
    return size


@lru_cache
def neighbours(size: int) -> NDArray[np.int32]:
    """The cells (size * size, 4) Down, Left, Right and Up of each cell, -1 outside the maze."""
    bordered = np.full((size + 2, size + 2), -1, np.int32)
    bordered[1:-1, 1:-1] = np.arange(size * size).reshape(size, size)
    sides = (bordered[2:, 1:-1], bordered[1:-1, :-2], bordered[1:-1, 2:], bordered[:-2, 1:-1])
    return np.ascontiguousarray(np.stack(sides, axis=-1).reshape(-1, 4))


@lru_cache
def _all_symmetry_cells(size: int) -> NDArray[np.int64]:
    """The old cell (8, size * size) of each new cell, under each symmetry."""
    grid = np.arange(size * size).reshape(size, size)
    rotations = [np.rot90(grid, k) for k in range(4)]
    reflections = [np.fliplr(grid), np.flipud(grid), grid.T, np.fliplr(rotations[1])]
    return np.stack([cells.reshape(-1) for cells in rotations + reflections])


def symmetry_cells(size: int, symmetry: Indices) -> Indices:
    """The old cell (batch, size * size) of each new cell under symmetries (batch,).

    They are numbered as in ``dihedral_transform`` of the published code (``dataset/common.py``): 0
    moves nothing, 1 to 3 rotate counterclockwise by 90, 180 and 270 degrees, 4 flips left and
    right, 5 flips up and down, 6 transposes, 7 flips along the other diagonal.
    """
    return _all_symmetry_cells(size)[symmetry]
