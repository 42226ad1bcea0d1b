"""Guesses: a puzzle whose answer is not valid is solved with one more cell filled in."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import trm
from trm.errors import ConfigError, InputError
from trm.inference.guesses import GuessedPuzzle, GuessSearch, guess_cells
from trm.inference.solution import SolutionStep

VALUES = (2, 3, 4, 5)
PUZZLE = "1.3.341221434.21"


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


@given(st.integers(0, 2**32 - 1), st.integers(1, 40))
def test_each_copy_has_one_likely_value_in_an_open_cell(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    puzzle = rng.integers(1, 6, 16).astype(np.int32)
    puzzle[0] = 1  # one cell at least is open
    board = rng.choice(VALUES, 16).astype(np.int32)
    second = rng.integers(0, 6, 16).astype(np.int32)
    second[second == board] = 0
    step = SolutionStep(1, board, 0.5, 0, rng.random(16, np.float32), second)
    copies = guess_cells(GuessedPuzzle(puzzle, step), VALUES, count)
    is_open = ~np.isin(puzzle, VALUES)
    assert len(copies) == min(count, is_open.sum() + (is_open & np.isin(second, VALUES)).sum())
    seen = []
    for copy in copies:
        (cell,) = np.flatnonzero(copy != puzzle)
        assert puzzle[cell] == 1
        assert copy[cell] in VALUES
        assert copy[cell] in (board[cell], second[cell])
        seen.append((int(cell), int(copy[cell])))
    assert len(set(seen)) == len(seen)
    assert step.confidence is not None
    confidence = [step.confidence[cell] for cell, _ in seen]
    assert confidence == sorted(confidence)


def test_a_full_puzzle_has_no_guesses() -> None:
    full = np.full(16, 2, np.int32)
    step = SolutionStep(1, full, 0.5, 0, np.ones(16, np.float32), full)
    assert guess_cells(GuessedPuzzle(full, step), VALUES, 4).tolist() == [full.tolist()]


def test_only_invalid_answers_are_guessed_at(model: trm.Model, mini_data: Path) -> None:
    split = model.task.open_data([mini_data]).split("test")
    puzzles = [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:32]]
    plain = model.solve(puzzles, effort=0)
    guessed = model.solve(puzzles, guesses=8, rounds=2)
    assert {one.valid for one in plain} == {True, False}
    for before, after in zip(plain, guessed, strict=True):
        if before.valid or not after.valid:
            assert after.boards == before.boards
        else:
            assert model.task.is_valid(after.puzzle.tokens, after.steps[-1].board)
    assert sum(bool(one.valid) for one in guessed) > sum(bool(one.valid) for one in plain)


@pytest.mark.parametrize(
    ("how", "other"), [({"samples": 2}, "samples=2"), ({"votes": 2}, "votes=2"),
                       ({"halt": 0.5}, "halt=0.5")]
)  # fmt: skip
def test_guesses_alone_make_copies(model: trm.Model, how: dict[str, int], other: str) -> None:
    with pytest.raises(ConfigError, match=rf"^guesses=4 solves other copies than {other}"):
        model.solve(PUZZLE, guesses=4, **how)


def test_rounds_guess_on_where_the_first_one_ended(model: trm.Model, mini_data: Path) -> None:
    split = model.task.open_data([mini_data]).split("test")
    puzzles = [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:32]]
    one, two = (model.solve(puzzles, guesses=2, steps=2, rounds=rounds) for rounds in (1, 2))
    assert {solution.valid for solution in one} == {True, False}
    for before, after in zip(one, two, strict=True):
        if before.valid:
            assert after.boards == before.boards
    longest = max(two, key=lambda solution: len(solution.steps))
    assert [step.step for step in longest.steps] == [1, 2, 3, 4]
    with pytest.raises(ConfigError, match=r"^rounds=2: there is nothing to guess\. Add guesses=16"):
        model.solve(PUZZLE, rounds=2)


def test_leaders_differ() -> None:
    """Also where there are fewer guesses than copies."""
    puzzle = np.array([2, 2, 1, 1, *range(2, 6), *range(2, 6), *range(2, 6)], np.int32)
    rng = np.random.default_rng(0)
    seen: list[list[np.ndarray]] = []

    class Unsolved:
        def __init__(self, copies: list[np.ndarray]) -> None:
            self.copies = copies

        def steps(self) -> list[dict[int, SolutionStep]]:
            return [{}]

        def open_answers(self) -> dict[int, list[SolutionStep]]:
            return {0: [answer(rng) for _ in self.copies]}

    def start(numbers: object, copies: list[np.ndarray]) -> Any:
        seen.append([copy[0] for copy in copies])
        return Unsolved(copies)

    search = GuessSearch([GuessedPuzzle(puzzle, answer(rng))], VALUES, 32, 2, start)
    list(search.steps())
    first, second = ({copy.tobytes() for copy in copies} for copies in seen)
    assert len(first) == len(seen[0]) == 4  # two values of two cells
    assert len(second) == len(seen[1])
    leaders = {np.where(copy == puzzle, 0, copy).nonzero()[0].tobytes() for copy in seen[1]}
    assert len(leaders) == 1  # both cells are filled in
    assert len(second) == 4


def answer(rng: np.random.Generator) -> SolutionStep:
    board = rng.choice(VALUES, 16).astype(np.int32)
    second = np.where(board == 5, 2, board + 1).astype(np.int32)
    return SolutionStep(1, board, 0.5, 0, rng.random(16, np.float32), second)


def test_guesses_that_were_asked_for_are_no_effort(
    trm: Callable[..., Any], model: trm.Model, mini_data: Path, trained_run: Path, tmp_path: Path
) -> None:
    split = model.task.open_data([mini_data]).split("test")
    puzzles = [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:16]]
    solved = model.solve(puzzles, guesses=8)
    found = next(one for one in solved if one.options.guesses and one.valid)
    assert {one.effort for one in solved} == {0}
    as_json = found.as_json()
    assert as_json["guesses"] == 8
    assert as_json["until_valid"] is True
    assert as_json["valid_step"] == len(found.steps)
    assert "effort" not in as_json
    shown = trm("solve", model.task.format(found.puzzle.tokens),
                "--guesses", 8, "--ckpt", trained_run, "--device", "cpu").out  # fmt: skip
    assert re.search(r": valid, at step \d, in \d of \d+ guesses; the model", shown), shown
    (tmp_path / "p.txt").write_text("\n".join(puzzles))
    trm("solve", tmp_path / "p.txt", "--guesses", 8, "--ckpt", trained_run, "--device", "cpu",
        "--out", tmp_path / "a.csv")  # fmt: skip
    assert "valid_step,valid_rollouts" in (tmp_path / "a.csv").read_text().splitlines()[0]


def test_guesses_need_rules(model: trm.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model.task, "is_valid", lambda *_: None)
    with pytest.raises(InputError, match=r"^guesses=4: in task sudoku only a label can tell"):
        model.solve(PUZZLE, guesses=4)
    with pytest.raises(ConfigError, match=r"^guesses=4 and effort=0 are two ways"):
        model.solve(PUZZLE, guesses=4, effort=0)


def test_a_task_without_values_has_no_guesses(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.task, "interchangeable", lambda _: ())
    with pytest.raises(InputError, match=r"^guesses=4: in task sudoku no cell can be filled in"):
        model.solve(PUZZLE, guesses=4)
