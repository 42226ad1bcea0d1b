"""From answers to copies of a task back to grids of the task itself.

As the published evaluator does (``evaluators/arc.py`` there): the largest rectangle at the top
left that is colours alone, then the symmetry and the colours of the copy undone.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trm.errors import DataError
from trm.tasks.arc.augmentation import INVERSE, SYMMETRIES, corner
from trm.tasks.arc.grids import MAX_SIDE
from trm.tasks.arc.identifier_names import FIRST_COLOR, NUM_COLORS, NUM_SYMMETRIES


@dataclass(frozen=True)
class Grids:
    """Grids of the original tasks.

    Attributes:
        cells: (batch, 900) uint8, the colours 0 to 9 row by row, without a gap from the first on.
        heights, widths: (batch,) uint8, 0 and 0 for an empty grid.
    """

    cells: NDArray[np.uint8]
    heights: NDArray[np.uint8]
    widths: NDArray[np.uint8]

    def keys(self) -> list[bytes]:
        """Each grid as bytes: height, width and cells. Equal grids have equal keys."""
        heights, widths = self.heights.tolist(), self.widths.tolist()
        return [
            bytes((height, width)) + cells[: height * width].tobytes()
            for cells, height, width in zip(self.cells, heights, widths, strict=True)
        ]


def grid_of(key: bytes) -> list[list[int]]:
    """The rows of a grid from its key; no row where the grid is empty."""
    height, width = key[:2]
    return [list(key[2 + row * width : 2 + (row + 1) * width]) for row in range(height)]


def restore(
    tokens: NDArray[np.integer[Any]],
    symmetry: NDArray[np.integer[Any]],
    permutation: NDArray[np.integer[Any]],
) -> Grids:
    """The grids that answers stand for.

    Args:
        tokens: (batch, 900), answers.
        symmetry: (batch,), 0 to 7, what was done to the grids of each copy.
        permutation: (batch, 12), and what each token became.

    Raises:
        DataError: for a symmetry or a token out of range.
    """
    answers = np.ascontiguousarray(tokens, np.uint8)
    symmetry = np.asarray(symmetry, np.int64)
    colors = np.asarray(permutation[:, FIRST_COLOR:], np.int64) - FIRST_COLOR
    if ((symmetry < 0) | (symmetry >= NUM_SYMMETRIES)).any():
        raise DataError(f"symmetries go from 0 to {NUM_SYMMETRIES - 1}. Build the data again.")
    if ((colors < 0) | (colors >= NUM_COLORS)).any():
        raise DataError("a permutation makes a colour into something else. Build the data again.")
    undoing = SYMMETRIES[INVERSE[symmetry]]
    return Grids(*_restore_all(answers, undoing, np.argsort(colors, axis=1)))


@njit(cache=True)
def _restore_all(
    tokens: NDArray[np.uint8], undoing: NDArray[np.int64], old_color: NDArray[np.int64]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]:
    """Cells (batch, 900), heights (batch,) and widths (batch,); see :func:`restore`.

    Args:
        undoing: (batch, 3), what takes each copy back: whether to begin at the bottom and go up,
            whether to begin at the right and go left, whether to take columns for rows.
        old_color: (batch, 10), the colour that each new one was.
    """
    cells = np.zeros((len(tokens), MAX_SIDE * MAX_SIDE), np.uint8)
    heights = np.zeros(len(tokens), np.uint8)
    widths = np.zeros(len(tokens), np.uint8)
    for row in range(len(tokens)):
        upwards, leftwards, turned = undoing[row]
        height, width = corner(tokens[row], 0, 0)
        start = upwards * (height - 1) * MAX_SIDE + leftwards * (width - 1)
        down = MAX_SIDE * (1 - 2 * upwards)
        right = 1 - 2 * leftwards
        if turned:
            height, width, down, right = width, height, right, down
        place = 0
        for line in range(height):
            for column in range(width):
                token = tokens[row, start + line * down + column * right]
                cells[row, place] = old_color[row, token - FIRST_COLOR]
                place += 1
        heights[row], widths[row] = height, width
    return cells, heights, widths
