"""Generated puzzles are unique, minimal or eased, new up to symmetry, and reproducible."""

import hashlib

import numpy as np
import pytest

from tests.tasks.sudoku.solving import count_solutions
from trm.errors import InputError
from trm.tasks.sudoku.generate import GeneratedPuzzles, generate, invariant
from trm.tasks.sudoku.geometry import Geometry, is_valid_solution
from trm.tasks.sudoku.solver import rate

SIZES = [4, 6, 9]
GOLDEN = {
    4: "ac69a0f5b84e134321c8b6769ca41bb5a507b0713a673b91c29b3fece4f0eda6",
    6: "4fabe3d31344c03e900314c87ded409bb2bf9b9b3aa5574bc7fcd3afbb64ec65",
    9: "4277ae30f302129a8bfd1630d6b6f86b359b07cd0122cdcfd9c8137efc01c3d9",
}


def generated(size: int, num_puzzles: int, seed: int = 0, **options: object) -> GeneratedPuzzles:
    rng = np.random.default_rng(seed)
    return generate(Geometry.of(size), num_puzzles, rng, **options)  # type: ignore[arg-type]


def digest(puzzles: GeneratedPuzzles) -> str:
    parts = (puzzles.boards, puzzles.solutions, puzzles.ratings)
    return hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest()


def shuffled_lines(size: int, lines_per_group: int, rng: np.random.Generator) -> np.ndarray:
    """A random order of lines that keeps the lines of a band, or stack, together."""
    groups = rng.permutation(np.arange(size).reshape(-1, lines_per_group))
    return rng.permuted(groups, axis=1).reshape(-1)


def symmetric_copy(board: np.ndarray, geometry: Geometry, rng: np.random.Generator) -> np.ndarray:
    """The board (cells,) under a random symmetry of Sudoku."""
    size = geometry.size
    grid = board.reshape(size, size)
    grid = grid[shuffled_lines(size, geometry.box_rows, rng)]
    grid = grid[:, shuffled_lines(size, geometry.box_cols, rng)]
    if geometry.box_rows == geometry.box_cols and rng.random() < 0.5:
        grid = grid.T
    digits = np.concatenate([[0], 1 + rng.permutation(size)]).astype(np.uint8)
    return digits[grid].reshape(-1)


@pytest.mark.parametrize("size", SIZES)
def test_puzzles_have_one_solution_the_given_one(size: int) -> None:
    puzzles, geometry = generated(size, 100), Geometry.of(size)
    assert is_valid_solution(puzzles.solutions).all()
    assert ((puzzles.boards == 0) | (puzzles.boards == puzzles.solutions)).all()
    assert (puzzles.boards == 0).any(axis=1).all()
    assert all(count_solutions(board, geometry) == 1 for board in puzzles.boards)
    assert puzzles.ratings.tolist() == rate(puzzles.boards, geometry).tolist()
    assert (puzzles.boards.dtype, puzzles.ratings.dtype) == (np.uint8, np.int32)


@pytest.mark.parametrize(("size", "options"), [(9, {}), (6, {"extra_clues": 0})])
def test_puzzles_without_extra_clues_are_minimal(size: int, options: dict[str, int]) -> None:
    for board in generated(size, 20, **options).boards:
        for clue in np.flatnonzero(board):
            fewer = board.copy()
            fewer[clue] = 0
            assert count_solutions(fewer, Geometry.of(size)) == 2


def test_small_puzzles_vary_in_their_number_of_clues() -> None:
    num_clues = (generated(4, 500).boards > 0).sum(axis=1)
    assert num_clues.min() == 4
    assert num_clues.max() >= 12


def test_a_small_puzzle_keeps_a_blank_however_many_clues_are_added() -> None:
    blanks = (generated(4, 50, extra_clues=100).boards == 0).sum(axis=1)
    assert blanks.min() == 1


@pytest.mark.parametrize("size", SIZES)
def test_symmetric_copies_share_their_invariant(size: int) -> None:
    geometry, rng = Geometry.of(size), np.random.default_rng(1)
    boards = generated(size, 50).boards
    copies = np.stack([symmetric_copy(board, geometry, rng) for board in boards])
    assert (copies != boards).any(axis=1).all()
    assert (invariant(copies, geometry) == invariant(boards, geometry)).all()


@pytest.mark.parametrize("size", SIZES)
def test_a_moved_clue_changes_the_invariant(size: int) -> None:
    geometry, rng = Geometry.of(size), np.random.default_rng(2)
    boards = generated(size, 50).boards
    changed = boards.copy()
    for board in changed:
        board[rng.choice(np.flatnonzero(board))] = 0
    assert (invariant(changed, geometry) != invariant(boards, geometry)).all()


def test_transposition_is_no_symmetry_of_oblong_boxes() -> None:
    in_a_row, in_a_column = np.zeros((2, 36), dtype=np.uint8)
    in_a_row[[0, 1]] = in_a_column[[0, 6]] = [1, 2]
    hashes = invariant(np.stack([in_a_row, in_a_column]), Geometry.of(6))
    assert hashes[0] != hashes[1]


def test_random_nine_by_nine_puzzles_are_all_told_apart() -> None:
    puzzles = generated(9, 300)
    assert len(set(invariant(puzzles.boards, Geometry.of(9)).tolist())) == 300


def test_small_puzzles_differ_up_to_symmetry() -> None:
    assert len(set(invariant(generated(4, 1600).boards, Geometry.of(4)).tolist())) == 1600


@pytest.mark.parametrize("size", SIZES)
def test_equal_seeds_give_equal_bytes(size: int) -> None:
    assert digest(generated(size, 20)) == digest(generated(size, 20))
    assert digest(generated(size, 20)) != digest(generated(size, 20, seed=1))
    assert (generated(size, 30).boards[:20] == generated(size, 20).boards).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_stream_of_puzzles_is_the_recorded_one(size: int) -> None:
    assert digest(generated(size, 20)) == GOLDEN[size]


@pytest.mark.parametrize(("size", "min_rating"), [(9, 5), (6, 1)])
def test_a_lowest_rating_is_obeyed(size: int, min_rating: int) -> None:
    puzzles, geometry = generated(size, 10, min_rating=min_rating), Geometry.of(size)
    assert puzzles.ratings.min() >= min_rating
    assert puzzles.ratings.tolist() == rate(puzzles.boards, geometry).tolist()
    assert all(count_solutions(board, geometry) == 1 for board in puzzles.boards)
    assert len(np.unique(puzzles.solutions, axis=0)) == 10


def test_no_puzzles_have_the_shape_of_a_board_all_the_same() -> None:
    puzzles = generated(9, 0)
    assert (puzzles.boards.shape, puzzles.ratings.shape) == ((0, 81), (0,))


def test_asking_for_more_than_there_are_says_how_many_were_found() -> None:
    message = (
        r"^found only 36 of 50 4x4 Sudoku puzzles that differ up to symmetry\. Ask for fewer\.$"
    )
    with pytest.raises(InputError, match=message):
        generated(4, 50, extra_clues=0)


def test_an_unreachable_rating_says_the_best_one() -> None:
    message = (
        r"^found only 0 of 5 4x4 Sudoku puzzles of rating 3 \(best reached: 0\) that "
        r"differ up to symmetry\. Ask for fewer or easier ones\.$"
    )
    with pytest.raises(InputError, match=message):
        generated(4, 5, min_rating=3)
