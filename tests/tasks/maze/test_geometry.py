"""The square: its sides, its neighbours, and its eight symmetries, numbered as published."""

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.maze.geometry import neighbours, size_of, symmetry_cells

INVERSES = [0, 3, 2, 1, 4, 5, 6, 7]


def test_the_side_of_a_square() -> None:
    assert [size_of(cells) for cells in (4, 9, 900)] == [2, 3, 30]


@pytest.mark.parametrize("cells", [0, 1, 8, 899])
def test_what_is_no_square_is_refused(cells: int) -> None:
    with pytest.raises(
        InputError, match=rf"^{cells} cells do not form a square\. Give a maze of size"
    ):
        size_of(cells)


def test_neighbours_come_in_the_order_of_the_rule() -> None:
    assert neighbours(3).tolist()[4] == [7, 3, 5, 1]  # Down, Left, Right, Up
    assert neighbours(3).tolist()[0] == [3, -1, 1, -1]
    assert neighbours(3).tolist()[8] == [-1, 7, -1, 5]


def published_transform(grid: np.ndarray, number: int) -> np.ndarray:
    """``dihedral_transform`` of the published code (``dataset/common.py``)."""
    turned = [np.rot90(grid, k) for k in range(4)]
    return [*turned, np.fliplr(grid), np.flipud(grid), grid.T, np.fliplr(turned[1])][number]


@pytest.mark.parametrize("number", range(8))
def test_symmetries_are_numbered_as_published(number: int) -> None:
    grid = np.arange(25, dtype=np.uint8).reshape(5, 5)
    (cells,) = symmetry_cells(5, np.array([number]))
    assert (grid.reshape(-1)[cells].reshape(5, 5) == published_transform(grid, number)).all()


def test_symmetries_are_all_different_and_have_the_published_inverses() -> None:
    cells = symmetry_cells(4, np.arange(8))
    assert len(np.unique(cells, axis=0)) == 8
    for number, inverse in enumerate(INVERSES):
        assert (cells[number][cells[inverse]] == np.arange(16)).all()
