"""Asking a trained model."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import pytest

import trm
from trm.errors import InputError
from trm.tasks.base import Puzzle

SOLVED = "1234341221434321"


def test_solve(model: trm.Model) -> None:
    solution = model.solve("123434122143.321")
    assert solution.answer == SOLVED
    assert solution.valid is True
    assert solution.boards[-1] == SOLVED
    assert len(solution.boards) == 8


def test_halting_is_at_the_first_step_that_is_sure(model: trm.Model) -> None:
    solution = model.solve("123434122143.321")
    thought = solution.steps[0]
    steps = tuple(
        dataclasses.replace(thought, step=step, halt_probability=probability)
        for step, probability in enumerate((0.2, 0.5, 0.7, 0.9), start=1)
    )
    assert dataclasses.replace(solution, steps=steps).halt_step == 3
    assert dataclasses.replace(solution, steps=steps[:2]).halt_step is None


def test_a_solution_as_json(model: trm.Model) -> None:
    found = model.solve("123434122143.321").as_json()
    assert found["puzzle"] == "123434122143.321"
    assert found["answer"] == SOLVED
    assert len(found["halt_probabilities"]) == 8
    assert all(0 <= p <= 1 for p in found["halt_probabilities"])


@pytest.mark.parametrize(
    ("puzzle", "message"),
    [
        ("1234", "has 1 row, not 4"),
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
    assert solution.valid is model.task.is_valid(solution.puzzle.tokens, solution.steps[-1].board)
    wrong = trm.Solution(model.task, solution.puzzle, (solution.steps[0],))
    blank = trm.Solution(
        model.task, solution.puzzle, (type(wrong.steps[0])(1, solution.puzzle.tokens, 0.2),)
    )
    assert blank.valid is False
    assert blank.halt_step is None


def test_a_list_is_solved_as_one_by_one(model: trm.Model) -> None:
    puzzles = [SOLVED[:n] + "." * 4 + SOLVED[n + 4 :] for n in range(0, 13, 2)]
    alone = [model.solve(puzzle) for puzzle in puzzles]
    for batch_size in (1, 3, 64):
        found = model.solve(puzzles, batch_size=batch_size)
        assert [s.task.format(s.puzzle.tokens) for s in found] == puzzles
        assert [s.boards for s in found] == [s.boards for s in alone]
        assert [s.valid for s in found] == [s.valid for s in alone]
        for one, other in zip(found, alone, strict=True):
            chances, expected = ([t.halt_probability for t in s.steps] for s in (one, other))
            assert chances == pytest.approx(expected, abs=1e-5)
            assert [t.step for t in one.steps] == list(range(1, 9))


def test_a_list_may_be_short(model: trm.Model) -> None:
    assert model.solve([]) == []
    (only,) = model.solve((SOLVED,))
    assert only.answer == SOLVED
    with pytest.raises(InputError, match=r"^batch_size is 0\. Give 1 or more\.$"):
        model.solve([SOLVED], batch_size=0)


@pytest.mark.parametrize(
    ("puzzle", "message"),
    [
        (
            "1134............",
            r"^puzzle 3: the puzzle has the digit 1 twice in row 1\. Correct it\.$",
        ),
        ("123", r"^puzzle 3: the puzzle has 3 characters, not 16\."),
        (f"{SOLVED}\n{SOLVED}", r"^puzzle 3: 2 puzzles were given\. Give one at a time\.$"),
    ],
)
def test_of_a_list_the_number_is_named(model: trm.Model, puzzle: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.solve([SOLVED, SOLVED, puzzle, ""])


def test_without_the_check_only_what_cannot_be_read_is_refused(model: trm.Model) -> None:
    clash = "11" + "." * 14
    found = model.solve([SOLVED, clash], batch_size=1, check=False)[1]
    assert found.valid is False
    assert found.boards == model.solve(clash, check=False).boards
    for text, message in (("1", "has 1 character, not 16"), ("x" * 16, "has 'x' in row 1")):
        with pytest.raises(InputError, match=rf"^puzzle 2: the puzzle {message}"):
            model.solve([clash, text], check=False)


def test_a_task_that_knows_no_check_is_asked_as_before(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Older(type(model.task)):  # type: ignore[misc]
        def parse(self, text: str, properties: Mapping[str, Any], name: str = "") -> list[Puzzle]:
            return super().parse(text, properties, name)

    monkeypatch.setattr(model, "task", Older())
    assert model.solve(SOLVED).answer == SOLVED
    with pytest.raises(InputError, match=r"^task sudoku cannot leave out its check\. Use check=Tr"):
        model.solve(SOLVED, check=False)


def test_solve_takes_one_puzzle(model: trm.Model) -> None:
    with pytest.raises(InputError, match=r"^2 puzzles were given\. Give one at a time\.$"):
        model.solve(f"{SOLVED}\n{SOLVED}")
