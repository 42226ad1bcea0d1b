"""The symmetries of a Sudoku: transposition, and permutations of bands, stacks, rows and columns.

With permutations of the digits they are the augmentation of the published recipe
(``dataset/build_sudoku_dataset.py``). 6x6 boards have oblong boxes, so they are not transposed.
"""

from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import CellAugmentation
from trm.tasks.sudoku.geometry import BLANK, Geometry

Indices = NDArray[np.integer[Any]]
#: The token of digit 1.
FIRST_DIGIT = BLANK + 1


def num_symmetries(geometry: Geometry) -> int:
    """The number of symmetries of a board; number 0 moves no cell."""
    return int(np.prod(_shape(geometry)))


def symmetry_cells(geometry: Geometry, symmetry: Indices) -> Indices:
    """The old cell (batch, num_cells) of each new cell under symmetries (batch,)."""
    transposed, rows, columns = np.unravel_index(symmetry, _shape(geometry))
    row_orders, column_orders = _line_orders(geometry)
    row = row_orders[rows][:, :, None]
    column = column_orders[columns][:, None, :]
    size = geometry.size
    cells = np.where((transposed == 1)[:, None, None], column * size + row, row * size + column)
    return cells.reshape(len(cells), geometry.num_cells)


def augmentation(geometry: Geometry) -> CellAugmentation:
    """The symmetries of boards with this geometry, and all permutations of the digits."""
    return CellAugmentation(
        lambda symmetry: symmetry_cells(geometry, symmetry),
        num_symmetries=num_symmetries(geometry),
        vocab_size=geometry.size + FIRST_DIGIT,
        first_free=FIRST_DIGIT,
    )


def _shape(geometry: Geometry) -> tuple[int, int, int]:
    rows, columns = _line_orders(geometry)
    return (2 if geometry.box_rows == geometry.box_cols else 1), len(rows), len(columns)


@cache
def _line_orders(geometry: Geometry) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """All orders of the rows that keep bands together, and of the columns that keep stacks."""
    return tuple(
        np.array(
            [
                [
                    band * length + line
                    for band, order in zip(bands, within, strict=True)
                    for line in order
                ]
                for bands in permutations(range(geometry.size // length))
                for within in product(permutations(range(length)), repeat=geometry.size // length)
            ],
            dtype=np.int32,
        )
        for length in (geometry.box_rows, geometry.box_cols)
    )  # type: ignore[return-value]
