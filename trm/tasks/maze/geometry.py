"""The cells of a maze: their tokens, their neighbours, and the eight symmetries of the square.

A maze is a flat array of ``size * size`` tokens in row-major order. Only numpy is imported here,
so the command line can use it at no cost.
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
#: What each token is in the published CSV files.
VOCABULARY = ("<pad>", "#", " ", "S", "G", "o")

NUM_SYMMETRIES = 8


def size_of(num_cells: int) -> int:
    """The side of a maze of so many cells.

    Raises:
        InputError: if that is no square of 2 or more.
    """
    size = math.isqrt(num_cells)
    if size < 2 or size * size != num_cells:
        raise InputError(f"{num_cells} cells make no square. Give a maze of size x size cells.")
    return size


@lru_cache
def neighbours(size: int) -> NDArray[np.int32]:
    """(size * size, 4) the cells Down, Left, Right and Up of each cell, -1 beyond the border."""
    bordered = np.full((size + 2, size + 2), -1, np.int32)
    bordered[1:-1, 1:-1] = np.arange(size * size).reshape(size, size)
    sides = (bordered[2:, 1:-1], bordered[1:-1, :-2], bordered[1:-1, 2:], bordered[:-2, 1:-1])
    return np.ascontiguousarray(np.stack(sides, axis=-1).reshape(-1, 4))


@lru_cache
def _moved(size: int) -> NDArray[np.int64]:
    """(8, size * size) the old cell that comes to each new cell, by symmetry."""
    grid = np.arange(size * size).reshape(size, size)
    turns = [np.rot90(grid, k) for k in range(4)]
    mirrored = [np.fliplr(grid), np.flipud(grid), grid.T, np.fliplr(turns[1])]
    return np.stack([cells.reshape(-1) for cells in turns + mirrored])


def symmetry_cells(size: int, symmetry: Indices) -> Indices:
    """Which old cell (batch, size * size) comes to each new cell under symmetries (batch,).

    Numbered as ``dihedral_transform`` of the published code (``dataset/common.py``): 0 moves
    nothing, 1 to 3 turn left by 90, 180 and 270 degrees, 4 mirrors left and right, 5 up and
    down, 6 transposes, 7 mirrors along the other diagonal.
    """
    return _moved(size)[symmetry]
