"""Effort: an answer that breaks the rules is tried again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from trm.errors import ConfigError, InputError
from trm.inference.effort import options_of_levels
from trm.inference.options import DEFAULT_EFFORT, MOST_EFFORT, SolveOptions

Trm = Callable[..., Any]
SOLVED = "1234341221434321"


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


@pytest.fixture(scope="module")
def hard(model: trm.Model, mini_data: Path) -> list[str]:
    """Sixteen puzzles as text, of which the model solves some."""
    split = model.task.open_data([mini_data]).split("test")
    return [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:16]]


def test_levels_end_at_valid_boards_and_take_multiples_of_the_own_steps() -> None:
    for can_guess in (False, True):
        levels = options_of_levels(SolveOptions(effort=MOST_EFFORT), 16, can_guess=can_guess)
        assert len(levels) == 1 + MOST_EFFORT
        assert not levels[0].until_valid
        for level in levels[1:]:
            assert level.until_valid
            assert level.steps is not None
            assert level.steps % 16 == 0
        work = [(one.steps or 16) * one.rollouts * max(one.guesses, 1) for one in levels]
        assert work == sorted(set(work))
        assert any(level.guesses for level in levels) == can_guess
        default = options_of_levels(SolveOptions(), 16, can_guess=can_guess)
        assert len(default) == 1 + DEFAULT_EFFORT
        assert len(options_of_levels(SolveOptions(effort=0), 16, can_guess=can_guess)) == 1


def test_whoever_says_how_to_think_gets_one_try(model: trm.Model) -> None:
    assert len(options_of_levels(SolveOptions(steps=3), 16, can_guess=True)) == 1
    with pytest.raises(ConfigError, match=r"^effort=1 decides how to think, and so does steps=3"):
        model.solve(SOLVED, steps=3, effort=1)


def test_a_valid_first_answer_needs_no_effort(model: trm.Model) -> None:
    plain, solution = model.solve(SOLVED, effort=0), model.solve(SOLVED, effort=MOST_EFFORT)
    assert plain.valid
    assert solution.effort == 0
    assert solution.boards == plain.boards
    assert "effort" not in solution.as_json()


def test_only_invalid_answers_are_tried_again(model: trm.Model, hard: list[str]) -> None:
    plain, tried = (model.solve(hard, effort=effort) for effort in (0, 1))
    assert {one.valid for one in plain} == {True, False}
    for before, after in zip(plain, tried, strict=True):
        assert after.effort == (0 if before.valid else 1)
        if before.valid or not after.valid:
            assert after.boards == before.boards
    assert sum(bool(one.valid) for one in tried) > sum(bool(one.valid) for one in plain)


def test_the_first_board_is_the_answer_if_none_is_valid(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = model.solve(SOLVED, effort=0)
    monkeypatch.setattr(model.task, "is_valid", lambda *_: False)
    solution = model.solve(SOLVED, effort=1)
    assert solution.valid is False
    assert solution.boards == plain.boards
    assert solution.effort == 1
    assert solution.as_json()["effort"] == 1
    assert "effort 1" in repr(solution)


def test_where_only_a_label_can_tell_there_is_no_effort(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.task, "is_valid", lambda *_: None)
    assert model.solve(SOLVED).valid is None
    assert model.solve(SOLVED, effort=0).effort == 0
    with pytest.raises(InputError, match=r"^effort=1: in task sudoku only a label can tell"):
        model.solve(SOLVED, effort=1)


def test_the_exit_code_says_that_no_answer_is_valid(
    trm: Trm, trained_run: Path, hard: list[str], tmp_path: Path
) -> None:
    command = ("--ckpt", trained_run, "--device", "cpu")
    by_code: dict[int, list[str]] = {}
    for puzzle in hard:
        solved = trm("solve", puzzle, "--effort", 0, *command)
        by_code.setdefault(solved.code, []).append(puzzle)
        said = "no valid answer found; the best board is" in solved.out
        assert said == (solved.code == 3)
        assert ("to think longer: --effort 3" in solved.err) == (solved.code == 3)
    assert set(by_code) == {0, 3}
    as_json = trm("solve", by_code[3][0], "--effort", 0, "--json", *command)
    assert as_json.code == 3
    assert json.loads(as_json.out)["valid"] is False
    puzzles, answers = tmp_path / "puzzles.txt", tmp_path / "answers.csv"
    puzzles.write_text("\n".join(hard))
    assert trm("solve", puzzles, "--effort", 0, "--out", answers, *command).code == 0
    assert answers.read_text().count(",false,") == len(by_code[3])
