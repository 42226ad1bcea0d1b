"""Solving with several rollouts: the answers of ``trm eval``, or the first valid board."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from tests.inference.boards import SOLVED
from tests.inference.halting_model import by_hand
from trm.data import Split
from trm.errors import ConfigError, InputError
from trm.evaluation.loop import run_evaluation
from trm.inference.options import InferenceOptions, SolveOptions
from trm.inference.solution import Solution, SolutionStep
from trm.inference.solve_file import solve_file
from trm.show.solution import solution_summary
from trm.tasks.base import Puzzle
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch

#: Stands for a halting probability that ends some rollouts early and others not: see ``some``.
SOME = "some"


@pytest.fixture(scope="module")
def split(mini_data: Path, model: trm.Model) -> Split:
    return model.task.open_data([mini_data]).split("test")


@pytest.fixture(scope="module")
def hard(model: trm.Model, split: Split) -> list[str]:
    """Sixteen puzzles as text."""
    return [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:16]]


@pytest.fixture(scope="module")
def some(model: trm.Model, hard: list[str]) -> float:
    """Between those that the model gives to half of the puzzles at the second step."""
    chances = sorted(s.steps[1].halt_probability for s in model.solve(hard, effort=0))
    middle = len(chances) // 2
    return (chances[middle - 1] + chances[middle]) / 2


def filled(how: dict[str, Any], some: float) -> dict[str, Any]:
    return how | {"halt": some} if how.get("halt") == SOME else how


@pytest.mark.parametrize(
    "how",
    [
        {"samples": 3, "noise": 1.0},
        {"samples": 3, "noise": 1.0, "choose": "vote", "votes": 2, "steps": 5},
        {"samples": 2, "noise": 1.0, "choose": "first", "votes": 2, "halt": SOME},
        {"samples": 3, "noise": 1.0, "halt": SOME},
        {"samples": 1, "votes": 3},
        {"samples": 1, "halt": SOME},
    ],
    ids=str,
)
def test_solving_answers_as_evaluating_does(
    model: trm.Model, split: Split, some: float, how: dict[str, Any]
) -> None:
    how, seen = filled(how, some), list[EvalBatch]()
    run_evaluation(
        model.network, AccuracyEvaluator(), split, batch_size=30, max_examples=30,
        options=InferenceOptions(**how), on_batch=seen.append,
    )  # fmt: skip
    puzzles = [Puzzle(tokens) for tokens in seen[0].inputs]
    solutions = model.solve_batch(puzzles, **how)
    for row, solution in enumerate(solutions):
        last = solution.steps[-1]
        assert np.array_equal(last.board, seen[0].answers[row])
        chance = 1 / (1 + np.exp(-float(seen[0].halt_logits[row])))
        assert last.halt_probability == pytest.approx(chance, abs=1e-5)
        assert [thought.step for thought in solution.steps] == list(range(1, last.step + 1))
    if how.get("choose") == "first":
        assert [s.steps[-1].step for s in solutions] == seen[0].halt_steps.tolist()
        assert len({s.steps[-1].step for s in solutions}) > 1


def test_a_model_may_halt_by_its_own_rule(
    model: trm.Model, hard: list[str], some: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    all_steps = [len(one.steps) for one in model.solve(hard, until_valid=True)]
    wanted, logit = model.solve(hard, halt=some), math.log(some / (1 - some))
    monkeypatch.setattr(type(model.network.config), "halts_in_evaluation", True)
    monkeypatch.setattr(model.network, "halt_decision", lambda output: output.halt_logits - logit)
    found = model.solve(hard, effort=0)
    assert [one.boards for one in found] == [one.boards for one in wanted]
    assert len({len(one.steps) for one in found}) > 1
    # A search for a valid board goes on until it has one.
    assert [len(one.steps) for one in model.solve(hard, until_valid=True)] == all_steps


def test_samples_without_noise_think_the_same(model: trm.Model, hard: list[str]) -> None:
    plain = model.solve(hard, effort=0)
    for one, several in zip(plain, model.solve(hard, samples=4, noise=0), strict=True):
        assert one.boards == several.boards


def test_noise_shows_other_boards(model: trm.Model, hard: list[str]) -> None:
    one, several = model.solve(hard), model.solve(hard, samples=4, noise=2.0, choose="vote")
    assert [s.boards for s in one] != [s.boards for s in several]
    assert [s.boards for s in several] == [
        s.boards for s in model.solve(hard, samples=4, noise=2.0, choose="vote")
    ]


@pytest.mark.parametrize(
    "how",
    [
        {"samples": 3, "noise": 1.0, "until_valid": True},
        {"samples": 2, "votes": 2, "noise": 1.0, "choose": "first", "halt": SOME},
    ],
    ids=str,
)
def test_no_solution_depends_on_the_batch(
    model: trm.Model, hard: list[str], some: float, how: Any
) -> None:
    how = filled(how, some)
    alone = [model.solve(puzzle, **how) for puzzle in hard]
    for batch_size in (3, 64):
        found = model.solve(hard, batch_size=batch_size, **how)
        assert [s.boards for s in found] == [s.boards for s in alone]
        counts = [[[t.num_valid for t in s.steps] for s in those] for those in (found, alone)]
        assert counts[0] == counts[1]
    assert len({len(s.steps) for s in alone}) > 1


def test_the_first_valid_board_of_any_sample_is_taken(model: trm.Model, hard: list[str]) -> None:
    steps, scale, samples = 8, 1.0, 3
    found = model.solve(hard, samples=samples, noise=scale, until_valid=True)
    tokens = np.stack([solution.puzzle.tokens for solution in found]).astype(np.int32)
    batch = EvalBatchLike(tokens)
    each = [by_hand(model.network, batch, steps, s, scale) for s in range(samples)]  # type: ignore[arg-type]
    late = 0
    for row, solution in enumerate(found):
        valid = np.array(
            [[model.task.is_valid(tokens[row], answers[row]) for answers, _ in one] for one in each]
        )  # (samples, steps)
        if not valid.any():
            assert solution.valid is False
            assert solution.valid_step is None
            assert len(solution.steps) == steps
            continue
        first = int(valid.any(axis=0).argmax())
        assert solution.valid_step == first + 1 == len(solution.steps)
        assert solution.steps[-1].num_valid == int(valid[:, first].sum())
        assert solution.valid is True
        good = np.flatnonzero(valid[:, first])
        best = max(good, key=lambda one, row=row, first=first: each[one][first][1][row])
        assert np.array_equal(solution.steps[-1].board, each[best][first][0][row])
        late += not valid[0].any() or first < int(valid[0].argmax())
    assert late  # which one rollout alone would have found later, or not at all


class EvalBatchLike:
    """Puzzles without identifiers."""

    def __init__(self, tokens: np.ndarray) -> None:
        self.inputs, self.puzzle_identifiers = tokens, np.zeros(len(tokens), np.int32)

    def __len__(self) -> int:
        return len(self.inputs)


def test_a_solution_says_how_it_came_about(model: trm.Model) -> None:
    usual = model.solve(SOLVED).as_json()
    found = model.solve(SOLVED, samples=2, until_valid=True).as_json()
    assert found.keys() - usual.keys() == {
        "samples", "noise", "choose", "until_valid", "valid_step", "valid_rollouts"
    }  # fmt: skip
    assert (found["samples"], found["valid_step"], found["valid_rollouts"]) == (2, 1, 2)
    assert model.solve(SOLVED, steps=3).as_json().keys() - usual.keys() == {"steps"}


def test_a_verdict_on_what_was_looked_for(model: trm.Model) -> None:
    solution = model.solve(SOLVED, samples=4, until_valid=True)
    assert f"answer {SOLVED}: valid, at step 1, in 4 of 4 rollouts; the model" in solution_summary(
        solution
    )
    alone = model.solve(SOLVED, until_valid=True)
    assert f"answer {SOLVED}: valid, at step 1; the model" in solution_summary(alone)
    board = solution.puzzle.tokens.copy()
    board[0] = board[1]
    for count, how, expected in (
        (
            2,
            SolveOptions(samples=4, until_valid=True),
            "no valid answer found in 2 steps of 4 rollouts; ",
        ),
        (1, SolveOptions(until_valid=True), "no valid answer found in 1 step of 1 rollout; "),
    ):
        steps = tuple(SolutionStep(step, board, 0.1) for step in range(1, count + 1))
        assert expected in solution_summary(Solution(model.task, solution.puzzle, steps, how))


@pytest.mark.parametrize("how", [{"halt": 0.9}, {"samples": 2, "choose": "first"}], ids=str)
def test_there_is_one_way_to_end(model: trm.Model, how: Any) -> None:
    other = "`halt`" if "halt" in how else 'choose="first"'
    message = (
        rf"^until_valid=True ends at a valid board, {other} at a likely one\. Leave one of them"
    )
    with pytest.raises(ConfigError, match=message):
        model.solve(SOLVED, until_valid=True, **how)


def test_where_only_a_label_can_tell_nothing_is_looked_for(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(model.task), "is_valid", lambda *_: None)
    message = (
        r"^until_valid=True: in task sudoku only a label can tell whether an answer is right\. "
        r"Leave it out\.$"
    )
    with pytest.raises(InputError, match=message):
        model.solve(SOLVED, until_valid=True)
    assert model.solve(SOLVED, samples=2).valid is None


def test_puzzles_with_identifiers_have_no_copies(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.solver, "_augmented", True)
    puzzle = Puzzle(model.parse(SOLVED)[0].tokens)
    with pytest.raises(ConfigError, match="--votes 2 needs symmetries, but these puzzles are aug"):
        model.solve_batch([puzzle], votes=2)


@pytest.fixture
def puzzles(tmp_path: Path, hard: list[str]) -> Path:
    (tmp_path / "p.txt").write_text("\n".join([*hard, ""]))
    return tmp_path / "p.txt"


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_file_is_gone_on_with_in_the_same_way_only(
    model: trm.Model, hard: list[str], puzzles: Path, tmp_path: Path, name: str
) -> None:
    how: Mapping[str, Any] = {"samples": 2, "noise": 1.0, "until_valid": True}
    found = solve_file(model, source=puzzles, out=tmp_path / name, batch_size=3, **how)
    assert found.num_valid == sum(s.valid_step is not None for s in model.solve(hard, **how))
    whole = (tmp_path / name).read_bytes()
    about = json.loads((tmp_path / f"{name}.about.json").read_text())
    assert about["thinking"] == {"samples": 2, "noise": 1.0, "choose": "halt", "until_valid": True}
    (tmp_path / name).write_bytes(whole[: len(whole) // 2])
    flags = "--samples 2 --noise 1.0 --choose halt --until-valid"
    for other, message in (
        ({}, f"was written with {flags}"),
        (
            {"samples": 3, "noise": 1.0},
            f"was written with {flags}, was not written with --samples 3 --noise 1",
        ),
    ):
        with pytest.raises(InputError, match=rf"{name} {message}.*\. Name another --out, or"):
            solve_file(model, source=puzzles, out=tmp_path / name, **other)  # type: ignore[arg-type]
    again = solve_file(model, source=puzzles, out=tmp_path / name, batch_size=3, **how)
    assert 0 < again.resumed_from < 16
    assert (tmp_path / name).read_bytes() == whole


def test_older_files_are_those_of_the_usual_way(
    model: trm.Model, puzzles: Path, tmp_path: Path
) -> None:
    solve_file(model, source=puzzles, out=tmp_path / "a.csv")
    assert "thinking" not in json.loads((tmp_path / "a.csv.about.json").read_text())
    with pytest.raises(InputError, match=r"a\.csv was not written with --samples 2 .*\. Name an"):
        solve_file(model, source=puzzles, out=tmp_path / "a.csv", samples=2)
    assert solve_file(model, source=puzzles, out=tmp_path / "a.csv").resumed_from == 16


def test_a_table_says_when_a_board_was_valid(
    model: trm.Model, hard: list[str], puzzles: Path, tmp_path: Path
) -> None:
    solve_file(model, source=puzzles, out=tmp_path / "a.csv", samples=2, until_valid=True)
    header, *lines = (tmp_path / "a.csv").read_text().splitlines()
    assert header.endswith(",halt_probability,valid_step,valid_rollouts")
    steps = [tuple(line.split(",")[-2:]) for line in lines]
    found = model.solve(hard, samples=2, until_valid=True)
    told = [
        ("" if s.valid_step is None else str(s.valid_step), str(s.steps[-1].num_valid))
        for s in found
    ]
    assert steps == told
