"""Evaluations that search: the answers of ``trm solve`` with the same options."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trm
from tests.evaluation.test_evaluate import LoneProcess
from trm.data import Batch
from trm.errors import ConfigError, InputError
from trm.evaluation.loop import run_evaluation
from trm.evaluation.predictions import Predictions
from trm.inference.solution import Solution
from trm.tasks.base import Puzzle
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch


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
    assert report.num_steps == sum(one.num_steps for one in solutions)
    # Guesses, which effort uses too, fill the batch up with rows that have no guess.
    guesses = {"guesses", "effort"} & options.keys()
    assert rows >= report.num_steps if guesses else rows == report.num_steps
    assert report.metrics["valid_sudoku"].value == np.mean([one.valid for one in solutions])
    assert report.metrics["mean_steps"].value == pytest.approx(report.num_steps / 20)
    assert found.halt_steps.tolist() == [one.halt_step or len(one.steps) for one in solutions]
    chances = [one.steps[-1].halt_probability for one in solutions]
    assert 1 / (1 + np.exp(-found.halt_logits)) == pytest.approx(chances, abs=1e-6)
    assert "answer_loss" not in report.metrics
    assert report.options.searches
    assert report.provenance is not None
    assert report.options.flags in report.provenance.command


def test_answers_do_not_depend_on_batches_and_an_interruption(
    model: trm.Model, tmp_path: Path
) -> None:
    how: dict[str, Any] = {"guesses": 8, "rounds": 3}
    for name, size, counts in (("one", 100, (24,)), ("two", 7, (10, 24))):
        for count in counts:
            file = tmp_path / f"{name}.npz"
            trm.evaluate(model, batch_size=size, max_examples=count, save_predictions=file, **how)
    one, two = (Predictions.load(tmp_path / f"{name}.npz").answers for name in ("one", "two"))
    order = [np.argsort(each.examples) for each in (one, two)]
    for name in ("answers", "steps", "halt_steps"):
        assert np.array_equal(getattr(one, name)[order[0]], getattr(two, name)[order[1]]), name
    with pytest.raises(InputError, match=r"answers with guesses=8 rounds=3, not answers with gu"):
        trm.evaluate(model, max_examples=24, save_predictions=file, guesses=9)


@pytest.mark.parametrize("size", [2, 3])
def test_processes_share_a_search(model: trm.Model, size: int) -> None:
    split = model.task.open_data(model.config.data_paths).split("test")
    puzzles: list[int] = []

    def search(batch: Batch) -> list[Solution]:
        puzzles.append(len(batch))
        return model.solve_batch([Puzzle(row) for row in batch.inputs], guesses=2)

    how: dict[str, Any] = {"batch_size": 5, "max_examples": 7, "search": search}
    whole: list[EvalBatch] = []
    run_evaluation(model.network, AccuracyEvaluator(), split, on_batch=whole.append, **how)
    assert puzzles == [5, 2]
    shares = []
    for rank in range(size):
        group = LoneProcess(rank, size)
        run_evaluation(model.network, AccuracyEvaluator(), split, group=group, **how)
        shares.append(group.sent[::4])  # the answers to each batch
    for number, batch in enumerate(whole):
        gathered = torch.cat([share[number] for share in shares])
        assert np.array_equal(gathered.numpy(), batch.answers)


def test_it_is_not_compiled(model: trm.Model) -> None:
    with pytest.raises(ConfigError, match=r"^`compile` is not for effort=2, whose batches shr"):
        trm.evaluate(model, effort=2, compile=True)


def test_a_search_after_a_compiled_evaluation_compiles_nothing(trained_run: Path) -> None:
    model, graphs = trm.load(trained_run, device="cpu"), 0

    def backend(graph: torch.fx.GraphModule, _: object) -> Any:
        nonlocal graphs
        graphs += 1
        return graph.forward

    how: dict[str, Any] = {"max_examples": 6, "batch_size": 6}
    expected = trm.evaluate(model, effort=1, **how).metrics
    model.network.core.compile(backend=backend)
    model.network.is_compiled = True
    trm.evaluate(model, **how)
    assert (before := graphs)
    assert trm.evaluate(model, effort=1, **how).metrics == expected
    assert graphs == before
    model.network.core.compile(backend=backend)  # forgets its graphs
    trm.evaluate(model, compile=False, **how)
    assert graphs == before


def test_more_effort_solves_more_and_none_is_the_single_pass(model: trm.Model) -> None:
    how: dict[str, Any] = {"max_examples": 30, "batch_size": 30}
    plain, none, some = (
        trm.evaluate(model, **how, **options) for options in ({}, {"effort": 0}, {"effort": 2})
    )
    assert {n: m.value for n, m in plain.metrics.items()} == {
        n: m.value for n, m in none.metrics.items()
    }
    assert none.options == plain.options
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
