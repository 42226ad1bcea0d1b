"""A board as a picture: what a task draws for :mod:`trm.pictures`."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Board:
    """A picture of a board.

    Attributes:
        colors: (rows, columns, 3) uint8, red, green and blue of each cell.
        symbols: the text in each cell, row by row; empty if colours are enough.
        filled_in: (rows, columns), the cells of an answer that the puzzle leaves open. Their
            symbols are blue, those of the other cells bold. None: all symbols look the same.
        changed: (rows, columns), the cells that get a frame, because they have just changed.
        box: the rows and columns of the boxes that thick lines enclose, if there are boxes.
    """

    colors: NDArray[np.uint8]
    symbols: tuple[str, ...] = ()
    filled_in: NDArray[np.bool_] | None = None
    changed: NDArray[np.bool_] | None = None
    box: tuple[int, int] | None = None
