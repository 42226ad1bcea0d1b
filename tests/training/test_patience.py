"""``train.patience``: a run ends early if its evaluations find no new best."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.training.scripted import Scripted
from tests.training.test_distributed import config_of, start
from trm.config import RunConfig
from trm.errors import ConfigError
from trm.runs import layout
from trm.runs.checkpoint import read_evaluation, read_progress
from trm.runs.listing import read_run
from trm.training.loop import TrainResult
from trm.training.run_plan import plan_run
from trm.training.train import train

Tiny = Callable[..., RunConfig]
#: The best of these is the second, after step 4; two evaluations later it is step 8.
HEADLINES = (0.5, 0.75, 0.25, 0.5, 0.625, 0.0, 0.0, 0.0)
SHORT = ("train.max_steps=16", "train.eval_every_steps=2", "train.patience=2")


def go(config: RunConfig, folder: Path, task: Scripted, stop_at: int | None = None) -> TrainResult:
    """Train in ``folder/sudoku/a``, until ``should_stop`` is called ``stop_at`` times."""
    calls: list[int] = []

    def stop() -> bool:
        """Called after each step, and before each batch of an evaluation."""
        calls.append(1)
        return stop_at is not None and len(calls) >= stop_at

    plan = plan_run(config, task, runs=folder, name="a")
    return train(config, plan=plan, should_stop=stop)


def records(run: Path, event: str) -> list[dict[str, Any]]:
    lines = (run / layout.METRICS_FILE).read_text().splitlines()
    found = [record for record in map(json.loads, lines) if record["event"] == event]
    return [{n: v for n, v in record.items() if not n.endswith("_s")} for record in found]


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / layout.LAST / "training_state/weights.safetensors")


def same_weights(run: Path, other: Path) -> bool:
    ours, theirs = weights(run), weights(other)
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_a_run_ends_after_so_many_evaluations_without_a_new_best(
    tiny: Tiny, tmp_path: Path
) -> None:
    result = go(tiny(*SHORT), tmp_path, Scripted(HEADLINES))
    assert (result.step, result.finished, result.ended_early) == (8, True, True)
    assert (result.best, result.best_step) == (0.75, 4)
    run = result.run
    assert [record["step"] for record in records(run, "eval")] == [2, 4, 6, 8]
    assert records(run, "end") == [{"event": "end", "step": 8, "finished": True, "error": None}]
    listed = read_run(run)
    assert (listed.state, listed.step, listed.total_steps) == ("finished", 8, 16)
    assert (run / layout.BEST).resolve().name == "step-000004"
    assert read_progress(run / layout.LAST).since_best == 2


def test_without_patience_a_run_goes_to_its_end(tiny: Tiny, tmp_path: Path) -> None:
    result = go(tiny(*SHORT, "train.patience=none"), tmp_path, Scripted(HEADLINES))
    assert (result.step, result.finished, result.ended_early) == (16, True, False)


def test_patience_that_runs_out_with_the_last_step_is_no_early_end(
    tiny: Tiny, tmp_path: Path
) -> None:
    result = go(tiny(*SHORT, "train.max_steps=8"), tmp_path, Scripted(HEADLINES))
    assert (result.step, result.finished, result.ended_early) == (8, True, False)


def test_as_good_as_the_best_is_a_new_best(tiny: Tiny, tmp_path: Path) -> None:
    same = Scripted([0.5, 0.25, 0.5, 0.25, 0.5, 0.25, 0.25, 0.25])
    result = go(tiny(*SHORT), tmp_path, same)
    assert (result.step, result.best_step, result.ended_early) == (14, 10, True)


@pytest.mark.parametrize("stop_at", [3, 4, 11, 16, 17])
def test_an_interrupted_run_ends_at_the_same_step(tiny: Tiny, tmp_path: Path, stop_at: int) -> None:
    """In a step, or in an evaluation: an evaluation asks three times, a step once or twice."""
    config, task = tiny(*SHORT), Scripted(HEADLINES)
    whole = go(config, tmp_path / "whole", Scripted(HEADLINES))
    cut = go(config, tmp_path / "cut", task, stop_at)
    assert (cut.finished, cut.ended_early) == (False, False)
    resumed = go(config, tmp_path / "cut", task)
    assert (resumed.step, resumed.finished, resumed.ended_early) == (8, True, True)
    assert records(resumed.run, "eval") == records(whole.run, "eval")
    assert same_weights(resumed.run, whole.run)


def test_a_run_that_has_ended_early_does_not_resume(tiny: Tiny, tmp_path: Path) -> None:
    run = go(tiny(*SHORT), tmp_path, Scripted(HEADLINES)).run
    before = (run / layout.METRICS_FILE).read_bytes()
    message = (
        r"/step-000008: the run has ended early, for --patience 2: no evaluation since step 4 was "
        r"as good\. Give more, or start a new run with --run-name\.$"
    )
    for more in ((), ("train.max_steps=100",), ("train.eval_every_steps=1",)):
        with pytest.raises(ConfigError, match=message):
            go(tiny(*SHORT, *more), tmp_path, Scripted(HEADLINES))
    assert (run / layout.METRICS_FILE).read_bytes() == before


def test_a_run_killed_after_its_last_evaluation_does_not_resume(tiny: Tiny, tmp_path: Path) -> None:
    """The end was not recorded, but the evaluation is in its checkpoint."""
    run = go(tiny(*SHORT), tmp_path, Scripted(HEADLINES)).run
    lines = (run / layout.METRICS_FILE).read_text().splitlines(keepends=True)
    (run / layout.METRICS_FILE).write_text("".join(lines[:-1]))
    with pytest.raises(ConfigError, match="has ended early"):
        go(tiny(*SHORT), tmp_path, Scripted(HEADLINES))


@pytest.mark.parametrize(("patience", "end"), [("3", 10), ("none", 16)])
def test_more_patience_resumes_as_if_it_had_been_set_from_the_start(
    tiny: Tiny, tmp_path: Path, patience: str, end: int
) -> None:
    task, more = Scripted(HEADLINES), tiny(*SHORT, f"train.patience={patience}")
    go(tiny(*SHORT), tmp_path / "twice", task)
    resumed = go(more, tmp_path / "twice", task)
    once = go(more, tmp_path / "once", Scripted(HEADLINES))
    assert (resumed.step, resumed.ended_early) == (once.step, once.ended_early) == (end, end < 16)
    assert records(resumed.run, "eval") == records(once.run, "eval")
    assert same_weights(resumed.run, once.run)


def test_less_patience_than_is_used_up_is_an_end(tiny: Tiny, tmp_path: Path) -> None:
    go(tiny(*SHORT, "train.max_steps=6"), tmp_path, Scripted(HEADLINES))
    with pytest.raises(ConfigError, match=r"has ended early, for --patience 1: .* since step 4 "):
        go(tiny(*SHORT, "train.patience=1"), tmp_path, Scripted(HEADLINES))


def test_evaluations_are_counted_however_far_apart_they_were(tiny: Tiny, tmp_path: Path) -> None:
    """One without a new best after step 6, then one a step, of which the second ends it."""
    task = Scripted(HEADLINES)
    go(tiny(*SHORT, "train.max_steps=6", "train.patience=3"), tmp_path, task)
    result = go(tiny(*SHORT, "train.eval_every_steps=1", "train.patience=3"), tmp_path, task)
    assert (result.step, result.ended_early) == (8, True)
    found = read_evaluation(result.run / layout.LAST)
    assert found is not None
    assert (found.best_step, found.since_best) == (4, 3)


def test_several_processes_end_at_the_same_step(mini_data: Path, tmp_path: Path) -> None:
    """If one went on, it would wait for the others, and :func:`start` for it."""
    run = tmp_path / "sudoku" / "a"
    config = config_of(mini_data, *SHORT, "data.validation_share=0.1").model_dump()
    timed = tmp_path / "sudoku" / "timed"
    limits = ("train.eval_every_steps=6", "train.max_minutes=0.5", "train.max_steps=100")
    limited = config_of(mini_data, *limits).model_dump()
    jobs: list[dict[str, Any]] = [
        {"config": config, "folder": str(run), "headlines": HEADLINES},
        {"config": limited, "folder": str(timed), "tick": 1.5},
    ]
    start(2, jobs, tmp_path)
    assert [r["step"] for r in records(run, "train")] == list(range(1, 9))
    assert [(r["step"], r["split"]) for r in records(run, "eval")] == [
        (step, "validation") for step in (2, 4, 6, 8)
    ]
    assert records(run, "end") == [{"event": "end", "step": 8, "finished": True, "error": None}]
    assert records(timed, "end") == [{"event": "end", "step": 12, "finished": True, "error": None}]
    assert [r["step"] for r in records(timed, "eval")] == [6, 12]
