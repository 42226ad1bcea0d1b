"""The solver against known puzzles, brute force and the public data."""

import csv
from pathlib import Path

import numpy as np
import pytest

from tests.tasks.sudoku.solving import count_solutions, solve
from trm.errors import InputError
from trm.tasks.sudoku.geometry import Geometry, is_valid_solution
from trm.tasks.sudoku.solver import rate

KNOWN = "4.....8.5.3..........7......2.....6.....8.4......1.......6.3.7.5..2.....1.4......"
KNOWN_SOLUTION = "417369825632158947958724316825437169791586432346912758289643571573291684164875293"
HARDEST = "8..........36......7..9.2...5...7.......457.....1...3...1....68..85...1..9....4.."
HARDEST_RATING = 26
TRAIN_CSV = Path(__file__).parents[3].parent / "shared" / "data" / "sudoku-extreme" / "train.csv"


def board_of(text: str) -> np.ndarray:
    return np.array([int(character.replace(".", "0")) for character in text], dtype=np.uint8)


def brute_force_count(board: np.ndarray, geometry: Geometry) -> int:
    """All solutions of a board, by trying every digit in the first blank cell."""
    blanks = np.flatnonzero(board == 0)
    if not len(blanks):
        return int(is_valid_solution(board[None])[0])
    count = 0
    for digit in set(range(1, geometry.size + 1)) - set(board[geometry.peers[blanks[0]]].tolist()):
        trial = board.copy()
        trial[blanks[0]] = digit
        count += brute_force_count(trial, geometry)
    return count


def test_a_known_puzzle_is_solved() -> None:
    solution = solve(board_of(KNOWN), Geometry.of(9))
    assert solution is not None
    assert solution.board.tolist() == board_of(KNOWN_SOLUTION).tolist()
    assert count_solutions(board_of(KNOWN), Geometry.of(9)) == 1


def test_a_puzzle_that_needs_guesses_is_rated_by_them() -> None:
    board, geometry = board_of(HARDEST), Geometry.of(9)
    solution = solve(board, geometry)
    assert solution is not None
    assert is_valid_solution(solution.board[None]).all()
    assert (solution.board == board)[board > 0].all()
    assert solution.num_guesses == rate(board[None], geometry)[0] == HARDEST_RATING


def test_propagation_alone_makes_no_guess() -> None:
    boards = np.stack([board_of(KNOWN), board_of(KNOWN_SOLUTION)])
    assert rate(boards, Geometry.of(9)).tolist() == [0, 0]


def test_a_choice_of_two_digits_is_one_guess() -> None:
    # Cells 0, 2, 4 and 6 hold 1 and 3, either way round.
    board, geometry = board_of(".2.4.4.221434321"), Geometry.of(4)
    assert count_solutions(board, geometry, limit=10) == 2
    assert rate(board[None], geometry).tolist() == [1]


@pytest.mark.parametrize(
    "clues", [{0: 5, 8: 5}, {0: 1, 1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7, 7: 8, 17: 9}]
)
def test_an_unsolvable_board_has_no_solution(clues: dict[int, int]) -> None:
    board = np.zeros(81, dtype=np.uint8)
    board[list(clues)] = list(clues.values())
    assert count_solutions(board, Geometry.of(9)) == 0
    assert solve(board, Geometry.of(9)) is None


def test_counts_agree_with_brute_force_on_random_small_boards() -> None:
    geometry, rng = Geometry.of(4), np.random.default_rng(0)
    counts = []
    for _ in range(300):
        board = rng.integers(1, 5, size=16, dtype=np.uint8) * (rng.random(16) < 0.3)
        board = board.astype(np.uint8)
        counts.append(brute_force_count(board, geometry))
        assert count_solutions(board, geometry, limit=1000) == counts[-1]
        assert count_solutions(board, geometry) == min(counts[-1], 2)
    assert {0, 1, 2} <= set(counts)


def test_all_small_solutions_are_counted() -> None:
    assert count_solutions(np.zeros(16, dtype=np.uint8), Geometry.of(4), limit=1000) == 288


def test_oblong_boxes_are_solved() -> None:
    geometry = Geometry.of(6)
    solution = solve(np.zeros(36, dtype=np.uint8), geometry)
    assert solution is not None
    assert is_valid_solution(solution.board[None]).all()
    assert count_solutions(np.zeros(36, dtype=np.uint8), geometry, limit=50) == 50


def test_boards_that_do_not_fit_are_refused() -> None:
    geometry = Geometry.of(4)
    with pytest.raises(InputError, match=r"^boards of shape \(9,\) and type uint8 are not Sudoku"):
        rate(np.zeros((2, 9), dtype=np.uint8), geometry)
    with pytest.raises(InputError, match="type int64 are not Sudoku boards of size 4"):
        rate(np.zeros((1, 16), dtype=np.int64), geometry)  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"^digit 5 is larger than the board size 4: use 0"):
        rate(np.full((1, 16), 5, dtype=np.uint8), geometry)


@pytest.mark.skipif(not TRAIN_CSV.exists(), reason=f"no public data at {TRAIN_CSV}")
def test_the_public_puzzles_get_their_answers_and_similar_ratings() -> None:
    geometry = Geometry.of(9)
    with TRAIN_CSV.open() as file:
        rows = list(csv.DictReader(file))
    questions = np.stack([board_of(row["question"]) for row in rows])
    for question, row in zip(questions, rows, strict=True):
        solution = solve(question, geometry)
        assert solution is not None
        assert "".join(map(str, solution.board)) == row["answer"]
        assert count_solutions(question, geometry) == 1
    published = np.array([int(row["rating"]) for row in rows])
    assert np.corrcoef(rate(questions, geometry), published)[0, 1] > 0.4
