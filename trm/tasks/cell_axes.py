"""What the cells of a board have in common, for ``model.pos_encodings = "grid"``."""

import numpy as np
from numpy.typing import NDArray

#: For each axis, the position of each cell.
CellAxes = tuple[tuple[int, ...], ...]


def rows_and_columns(size: int) -> CellAxes:
    """The row and the column of each cell of a square board.

    >>> rows_and_columns(2)
    ((0, 0, 1, 1), (0, 1, 0, 1))
    """
    rows, columns = np.indices((size, size)).reshape(2, -1)
    return tuple(rows.tolist()), tuple(columns.tolist())


def axis_of(units: NDArray[np.int64]) -> tuple[int, ...]:
    """The number of the unit that each cell is in.

    Args:
        units: (units, cells of each), the cells; each cell is in one unit.

    >>> axis_of(np.array([[0, 2], [1, 3]]))
    (0, 1, 0, 1)
    """
    axis = np.empty(units.size, np.int64)
    axis[units] = np.arange(len(units))[:, None]
    return tuple(axis.tolist())
