"""The eight symmetries of a square, numbered as in the published code (``dataset/common.py``)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

NUM_SYMMETRIES = 8

#: The steps of each symmetry: reverse the rows, reverse the columns, then transpose. 1 to 3 are
#: counterclockwise quarter turns, 4 to 7 are reflections.
SYMMETRIES = np.array(
    [
        (0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 0, 1),
        (0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 1),
    ]
)  # fmt: skip
#: The number of the inverse of each symmetry.
INVERSE = np.array([0, 3, 2, 1, 4, 5, 6, 7])


def transform_grid(grid: NDArray[Any], symmetry: int) -> NDArray[Any]:
    """Apply one of :data:`SYMMETRIES` to a grid (rows, columns)."""
    reverse_rows, reverse_columns, transpose = SYMMETRIES[symmetry]
    moved = grid[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
    return moved.T if transpose else moved
