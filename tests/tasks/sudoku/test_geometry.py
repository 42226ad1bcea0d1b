"""The units of a board, and the checks that need no search."""

import numpy as np
import pytest

from trm.errors import InputError
from trm.tasks.sudoku.geometry import Geometry, first_conflict, is_valid_solution

SOLVED_4 = "1234341221434321"
SOLVED_6 = "123456456123231564564231312645645312"


def board_of(text: str) -> np.ndarray:
    return np.array([int(character) for character in text], dtype=np.uint8)


@pytest.mark.parametrize("size", [4, 6, 9])
def test_every_cell_lies_in_a_row_a_column_and_a_box(size: int) -> None:
    geometry = Geometry.of(size)
    assert geometry.units.shape == (3 * size, size)
    for kind in geometry.units.reshape(3, -1):
        assert sorted(kind) == list(range(geometry.num_cells))
    for cell, units in enumerate(geometry.units_of_cell):
        assert [unit // size for unit in units] == [0, 1, 2]
        assert all(cell in geometry.units[unit] for unit in units)


def test_boxes_of_six_are_two_rows_by_three_columns() -> None:
    boxes = Geometry.of(6).units[12:]
    assert boxes[0].tolist() == [0, 1, 2, 6, 7, 8]
    assert boxes[3].tolist() == [15, 16, 17, 21, 22, 23]


@pytest.mark.parametrize(("size", "num_peers"), [(4, 7), (6, 12), (9, 20)])
def test_peers_are_mutual_and_exclude_the_cell(size: int, num_peers: int) -> None:
    peers = Geometry.of(size).peers
    assert peers.shape == (size * size, num_peers)
    for cell, others in enumerate(peers):
        assert cell not in others
        assert all(cell in peers[other] for other in others)


def test_a_geometry_is_made_once() -> None:
    assert Geometry.of(9) is Geometry.of(9)
    assert Geometry.from_num_cells(36) is Geometry.of(6)


def test_unsupported_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"^Sudoku size 5 is not supported: use 4, 6 or 9$"):
        Geometry.of(5)
    with pytest.raises(InputError, match=r"^no Sudoku board has 80 cells: use 16, 36 or 81$"):
        Geometry.from_num_cells(80)


@pytest.mark.parametrize("text", [SOLVED_4, SOLVED_6])
def test_a_solution_is_valid_and_any_changed_digit_is_not(text: str) -> None:
    solved = board_of(text)
    changed = np.tile(solved, (len(solved), 1))
    np.fill_diagonal(changed, solved % solved.max() + 1)
    blanked = solved.copy()
    blanked[0] = 0
    valid = is_valid_solution(np.stack([solved, *changed, blanked]))
    assert valid.tolist() == [True] + [False] * (len(solved) + 1)


def test_no_boards_give_no_answers() -> None:
    assert is_valid_solution(np.zeros((0, 81), dtype=np.uint8)).shape == (0,)


@pytest.mark.parametrize(
    ("cells", "conflict"),
    [
        ([(18, 7), (26, 7)], ("row 3", 7)),
        ([(4, 2), (76, 2)], ("column 5", 2)),
        ([(60, 9), (70, 9)], ("box 9", 9)),
        ([(0, 1), (1, 1)], ("row 1", 1)),
        ([(0, 1), (40, 1)], None),
        ([], None),
    ],
)
def test_the_first_conflict_is_named(
    cells: list[tuple[int, int]], conflict: tuple[str, int] | None
) -> None:
    board = np.zeros(81, dtype=np.uint8)
    for cell, digit in cells:
        board[cell] = digit
    assert first_conflict(board) == conflict
