"""Evaluations that search: the answers of ``trm solve`` with the same options."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from trm.errors import InputError
from trm.evaluation.predictions import Predictions
from trm.tasks.base import Puzzle


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


@pytest.mark.parametrize(
    "options",
    [
        {"effort": 1},
        {"guesses": 4, "rounds": 2, "steps": 3},
        {"until_valid": True, "samples": 3},
        {"until_valid": True, "votes": 2, "steps": 5},
    ],
    ids=str,
)
def test_it_gives_the_answers_of_solving(
    model: trm.Model, tmp_path: Path, options: dict[str, Any]
) -> None:
    file, rows = tmp_path / "answers.npz", 0

    def count(_: object, given: Any) -> None:
        nonlocal rows
        rows += len(given[1])

    hook = model.network.register_forward_pre_hook(count)
    how: dict[str, Any] = {"max_examples": 20, "batch_size": 20, "save_predictions": file}
    report = trm.evaluate(model, **how, **options)
    hook.remove()
    found = Predictions.load(file).answers
    solutions = model.solve_batch([Puzzle(row) for row in found.inputs.astype(np.int32)], **options)
    assert [one.steps[-1].board.tolist() for one in solutions] == found.answers.tolist()
    assert [one.num_steps for one in solutions] == found.steps.tolist()
    assert rows == report.num_steps == sum(one.num_steps for one in solutions)
    assert report.metrics["valid_sudoku"].value == np.mean([one.valid for one in solutions])
    assert report.metrics["mean_steps"].value == pytest.approx(rows / 20)
    chances = [one.steps[-1].halt_probability for one in solutions]
    assert 1 / (1 + np.exp(-found.halt_logits)) == pytest.approx(chances, abs=1e-6)
    assert "answer_loss" not in report.metrics
    assert report.options.searches
    assert report.provenance is not None
    assert report.options.flags in report.provenance.command


def test_more_effort_solves_more_and_none_is_the_single_pass(model: trm.Model) -> None:
    how: dict[str, Any] = {"max_examples": 30, "batch_size": 30}
    plain, none, some = (
        trm.evaluate(model, **how, **options) for options in ({}, {"effort": 0}, {"effort": 2})
    )
    assert {n: m.value for n, m in plain.metrics.items()} == {
        n: m.value for n, m in none.metrics.items()
    }
    assert plain.metrics["valid_sudoku"].value < some.metrics["valid_sudoku"].value


def test_a_task_without_rules_is_refused_before_anything_is_written(
    model: trm.Model, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(type(model.task), "is_valid", lambda *_: None)
    file = tmp_path / "answers.npz"
    message = r"^effort=1: in task sudoku only a label can tell whether an answer is right\. Leave"
    with pytest.raises(InputError, match=message):
        trm.evaluate(model, effort=1, save_predictions=file)
    assert not list(tmp_path.iterdir())
