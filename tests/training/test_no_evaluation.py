"""Runs without evaluations: because nothing can be measured, or because they are turned off."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.training.test_train import records
from trm.config import RunConfig
from trm.data import Position, Split
from trm.errors import ConfigError
from trm.hub_names import HubName
from trm.publish.model_card import model_card
from trm.runs import layout
from trm.runs.checkpoint import Evaluation, Progress, read_evaluation, save_evaluation
from trm.runs.listing import read_run
from trm.runs.run_folder import find_checkpoint
from trm.tasks.metrics import Metric
from trm.tasks.sudoku.task import Sudoku
from trm.training.evaluated import evaluation_of
from trm.training.run_plan import plan_run
from trm.training.train import train
from trm.training.train_result import TrainResult

Tiny = Callable[..., RunConfig]
OFF = "train.eval_every_steps=0"


class Unsolved(Sudoku):
    """Sudoku whose puzzles have no known solutions."""

    def can_measure(self, split: Split) -> bool:
        return False


def go(config: RunConfig, folder: Path, task: Sudoku, stop_after: int | None = None) -> TrainResult:
    steps: list[int] = []

    def stop() -> bool:
        steps.append(1)
        return len(steps) == stop_after

    return train(config, plan=plan_run(config, task, runs=folder, name="a"), should_stop=stop)


@pytest.mark.parametrize("turned_off", [True, False])
def test_a_run_without_evaluations(tiny: Tiny, tmp_path: Path, turned_off: bool) -> None:
    task = Sudoku() if turned_off else Unsolved()
    config = tiny(OFF) if turned_off else tiny()
    stopped = go(config, tmp_path, task, stop_after=3)
    assert (stopped.step, stopped.finished) == (3, False)
    result = go(config, tmp_path, task)
    assert (result.step, result.finished, result.best) == (6, True, None)
    assert records(result.run, "eval") == []
    reason = "train.eval_every_steps is 0" if turned_off else "the test split has no known outputs"
    assert records(result.run, "start")[0]["no_evaluation"] == reason
    listed = read_run(result.run)
    assert (listed.state, listed.best, listed.problems) == ("finished", None, ())
    assert not (result.run / layout.BEST).exists()
    for name in (result.run, result.run / "best"):
        assert find_checkpoint(str(name)).name == "step-000006"
    with pytest.raises(ConfigError, match="has reached step 6 of 6 already"):
        go(config, tmp_path, task)
    assert go(tiny(), tmp_path, Sudoku()).best is not None  # as soon as something can be measured


def test_patience_needs_evaluations(tiny: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="patience does nothing without evaluations"):
        tiny(OFF, "train.patience=1")
    config = tiny("train.patience=1")
    with pytest.raises(ConfigError, match=r"--patience 1: the test .* has no known outputs"):
        plan_run(config, Unsolved(), runs=tmp_path)


def evaluated(progress: Progress, step: int, metric: Metric) -> Evaluation:
    metrics = {"exact_accuracy": metric}
    return evaluation_of(Sudoku(), progress, step, "test", 8, "exact_accuracy", metrics)


def test_an_evaluation_that_measured_nothing_is_neither_better_nor_worse() -> None:
    """A sample of a partly solved split may have no solved task."""
    progress = Progress(step=2, position=Position())
    nothing, half = Metric.share(0, 0), Metric.share(1, 2)
    first = evaluated(progress, 2, nothing)
    assert (first.metrics, first.best, first.best_step) == ({"exact_accuracy": None}, None, None)
    assert first.intervals == {}
    second = evaluated(progress.with_evaluation(first), 4, half)
    assert (second.best, second.best_step) == (0.5, 4)
    third = evaluated(progress.with_evaluation(second), 6, nothing)
    assert (third.best, third.best_step, third.since_best) == (0.5, 4, 0)


def test_what_was_not_measured_is_a_dash(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("c")
    found = read_evaluation(folder)
    assert found is not None
    update: dict[str, Any] = {"metrics": dict.fromkeys(found.metrics), "best": None}
    save_evaluation(folder, found.model_copy(update=update | {"intervals": {}}))
    card = model_card(folder, HubName("alice/demo"))
    assert "| exact accuracy | - |" in str(card)
    assert "results" not in card.data.to_yaml()
    assert json.loads((folder / layout.EVALUATION_FILE).read_text())["best"] is None
