"""The shape of a Sudoku board: its units and peers, and the checks that need no search.

A board is a flat uint8 array of cells in row-major order, with 0 for a blank cell and the digits 1
to size. The token of a digit is the digit + :data:`BLANK`. Only numpy is imported here, so that the
command line starts quickly.
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from trm.errors import InputError

#: The token of a blank cell. Token 0 is padding.
BLANK = 1

BOX_SHAPES = {4: (2, 2), 6: (2, 3), 9: (3, 3)}
"""The rows and columns of a box, by board size."""


@dataclass(frozen=True)
class Geometry:
    """A size x size board divided into boxes of box_rows x box_cols cells."""

    size: int
    box_rows: int
    box_cols: int

    @staticmethod
    @lru_cache
    def of(size: int) -> "Geometry":
        """The geometry of a supported board size; always the same object."""
        if size not in BOX_SHAPES:
            raise InputError(f"Sudoku size {size} is not supported: use 4, 6 or 9")
        return Geometry(size, *BOX_SHAPES[size])

    @staticmethod
    def from_num_cells(num_cells: int) -> "Geometry":
        """The geometry whose boards have `num_cells` cells."""
        for size in BOX_SHAPES:
            if size * size == num_cells:
                return Geometry.of(size)
        raise InputError(f"no Sudoku board has {num_cells} cells: use 16, 36 or 81")

    @property
    def num_cells(self) -> int:
        """Number of cells of a board."""
        return self.size * self.size

    @cached_property
    def units(self) -> npt.NDArray[np.int64]:
        """(3 * size, size) cell indices: the rows, then the columns, then the boxes."""
        grid = np.arange(self.num_cells).reshape(self.size, self.size)
        # Axes: band, row of the band, stack, column of the stack.
        split = grid.reshape(-1, self.box_rows, self.size // self.box_cols, self.box_cols)
        boxes = split.swapaxes(1, 2).reshape(self.size, self.size)
        return np.concatenate([grid, grid.T, boxes])

    @cached_property
    def units_of_cell(self) -> npt.NDArray[np.int64]:
        """(num_cells, 3) unit indices: the row, the column and the box of each cell."""
        members = np.zeros((len(self.units), self.num_cells), dtype=bool)
        np.put_along_axis(members, self.units, True, axis=1)
        return np.nonzero(members.T)[1].reshape(self.num_cells, 3)

    @cached_property
    def peers(self) -> npt.NDArray[np.int64]:
        """(num_cells, num_peers) cell indices: the other cells that share a unit with a cell."""
        rows = [
            np.setdiff1d(self.units[self.units_of_cell[cell]], [cell])
            for cell in range(self.num_cells)
        ]
        return np.stack(rows)

    def unit_name(self, unit: int) -> str:
        """The name of a unit, such as "row 1", "column 1" or "box 1"."""
        kind, index = divmod(unit, self.size)
        return f"{('row', 'column', 'box')[kind]} {index + 1}"


@lru_cache
def incidence_graph(geometry: Geometry) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """The graph of the units, bands (rows of boxes) and stacks (columns of boxes) of a board.

    Returns:
        The edges (E, 2) and the kind of each node (nodes,). The nodes are the units, the digits
        (whose edges depend on the clues), the bands and the stacks. With square boxes, which
        allow transposition, columns have the kind of rows, and stacks the kind of bands.
    """
    size, square = geometry.size, geometry.box_rows == geometry.box_cols
    num_bands, num_stacks = size // geometry.box_rows, size // geometry.box_cols
    rows, columns, boxes = np.arange(3 * size).reshape(3, size)
    bands = 4 * size + np.arange(num_bands)
    stacks = 4 * size + num_bands + np.arange(num_stacks)
    edges = [
        (rows, bands.repeat(geometry.box_rows)),
        (columns, stacks.repeat(geometry.box_cols)),
        (boxes, bands.repeat(num_stacks)),
        (boxes, np.tile(stacks, num_bands)),
    ]
    kinds = np.array([1, 1 if square else 2, 3, 4, 5, 5 if square else 6])
    sizes = [size, size, size, size, num_bands, num_stacks]
    return np.concatenate([np.stack(pair, axis=1) for pair in edges]), kinds.repeat(sizes)


def is_valid_solution(boards: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Whether each of the boards (N, cells) holds every digit once in every unit; (N,)."""
    geometry = Geometry.from_num_cells(boards.shape[1])
    digits_of_units = np.sort(boards[:, geometry.units], axis=2)
    complete: npt.NDArray[np.bool_] = np.all(
        digits_of_units == np.arange(1, geometry.size + 1), axis=(1, 2)
    )
    return complete


def first_conflict(board: npt.NDArray[np.uint8]) -> tuple[str, int] | None:
    """The first unit of the board (cells,) with a repeated digit, and the digit; or None."""
    geometry = Geometry.from_num_cells(len(board))
    digits = np.sort(board[geometry.units], axis=1)
    repeated = (digits[:, 1:] == digits[:, :-1]) & (digits[:, 1:] > 0)
    if not repeated.any():
        return None
    unit = int(repeated.any(axis=1).argmax())
    return geometry.unit_name(unit), int(digits[unit, 1:][repeated[unit]][0])
