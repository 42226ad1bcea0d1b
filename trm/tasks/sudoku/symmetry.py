"""The symmetries of a Sudoku, numbered: transposition, bands, stacks, rows and columns.

Together with the relabelling of digits they are the augmentation of the published recipe
(``dataset/build_sudoku_dataset.py`` there). Boards of 6x6 have oblong boxes: no transposition.
"""

from functools import cache
from itertools import permutations, product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import CellAugmentation
from trm.tasks.sudoku.geometry import Geometry

Indices = NDArray[np.integer[Any]]
#: Tokens before the digits: padding and the blank cell.
FIRST_DIGIT = 2


def num_symmetries(geometry: Geometry) -> int:
    """How many symmetries move the cells of a board; number 0 moves none."""
    return int(np.prod(_shape(geometry)))


def symmetry_cells(geometry: Geometry, symmetry: Indices) -> Indices:
    """Which old cell (batch, num_cells) comes to each new cell under symmetries (batch,)."""
    transposed, rows, columns = np.unravel_index(symmetry, _shape(geometry))
    row_orders, column_orders = _line_orders(geometry)
    row = row_orders[rows][:, :, None]
    column = column_orders[columns][:, None, :]
    size = geometry.size
    upright, turned = row * size + column, column * size + row
    cells = np.where((transposed == 1)[:, None, None], turned, upright)
    return cells.reshape(len(cells), geometry.num_cells)


def augmentation(geometry: Geometry) -> CellAugmentation:
    """Cell symmetries and relabelled digits of boards of this geometry."""
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
    """Every order of the rows, and of the columns, that keeps bands and stacks together."""
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
