"""Asking a trained model."""

from pathlib import Path

import pytest

import trm
from trm.errors import InputError

SOLVED = "1234341221434321"


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def test_solve(model: trm.Model) -> None:
    solution = model.solve("123434122143.321")
    assert solution.answer == SOLVED
    assert solution.valid is True
    assert solution.boards[-1] == SOLVED
    assert len(solution.boards) == 8
    assert solution.halt_step is not None


def test_a_solution_as_json(model: trm.Model) -> None:
    found = model.solve("123434122143.321").as_json()
    assert found["puzzle"] == "123434122143.321"
    assert found["answer"] == SOLVED
    assert len(found["halt_probabilities"]) == 8
    assert all(0 <= p <= 1 for p in found["halt_probabilities"])


@pytest.mark.parametrize(
    ("puzzle", "message"),
    [
        ("1234", "has 4 characters, not 16"),
        ("x234341221434321", "'x' in row 1, column 1"),
        ("9234341221434321", "'9' in row 1, column 1"),
        ("1134............", "digit 1 twice in row 1"),
        ("1...1...........", "digit 1 twice in column 1"),
        ("1....1..........", "digit 1 twice in box 1"),
        ("", "no puzzle was given"),
    ],
)
def test_a_puzzle_that_is_none(model: trm.Model, puzzle: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.solve(puzzle)


def test_an_answer_that_is_no_sudoku_is_not_valid(model: trm.Model) -> None:
    solution = model.solve("." * 16)
    assert solution.valid is model.task.is_valid(
        solution.puzzle.tokens, solution.thoughts[-1].board
    )
    wrong = trm.Solution(model.task, solution.puzzle, (solution.thoughts[0],))
    blank = trm.Solution(
        model.task, solution.puzzle, (type(wrong.thoughts[0])(1, solution.puzzle.tokens, 0.2),)
    )
    assert blank.valid is False
    assert blank.halt_step is None


def test_solve_takes_one_puzzle(model: trm.Model) -> None:
    with pytest.raises(InputError, match=r"^2 puzzles were given\. Give one at a time\.$"):
        model.solve(f"{SOLVED}\n{SOLVED}")
