"""Whole runs of both codes, each with its own weights, order of data and exploration.

Runs of one code differ by their seed. One evaluator, that of this package, judges the averaged
weights of both.
"""

import itertools
import math
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cases import Case
from paired_runs import published_batches
from published import PublishedTrainer

from trm.config import RunConfig
from trm.data import Dataset
from trm.evaluation.loop import run_evaluation
from trm.models import create_model
from trm.runs.checkpoint import puzzle_spec
from trm.tasks.registry import get_task
from trm.training.train import train

#: The curves of one run: the seed, [step, value] of losses and evaluations, and seconds.
Run = dict[str, Any]
SIDES = ("ours", "published")
#: The curves, and the names of their metrics in trm: of training, with their names in the published
#: code, and of evaluations. Those of the headline are called ``evaluations``.
_TRAINED = {"losses": ("answer_loss", "lm_loss"), "halting_losses": ("halting_loss", "q_halt_loss")}
_EVALUATED = {
    "cell_accuracies": "cell_accuracy",
    "evaluation_losses": "answer_loss",
    "evaluation_halting_losses": "halting_loss",
}


def make_run(
    side: str, folder: Path, case: Case, dataset: Dataset, steps: int, seed: int, dtype: str
) -> Run:
    """Train one of the codes.

    Args:
        side: one of ``SIDES``.
        folder: a checkout of the published code.
        case: the configuration.
        dataset: its data.
        steps: the length of the run.
        seed: of everything random.
        dtype: of the activations.

    Returns:
        Its curves, in six digits.
    """
    run = case.run_config(steps, seed=seed, dtype=dtype)
    started = time.perf_counter()
    if side == "ours":
        curves = _train_ours(run, dataset)
    else:
        curves = _train_published(folder, run, dataset, steps)
    for curve in (*_TRAINED, "evaluations", *_EVALUATED):
        curves[curve] = [[step, float(f"{value:.6g}")] for step, value in curves[curve]]
    return {"seed": seed, **curves, "seconds": round(time.perf_counter() - started, 1)}


def _train_ours(run: RunConfig, dataset: Dataset) -> Run:
    """The curves of ``trm.train``."""
    data = run.data.model_copy(update={"paths": (str(dataset.path),)})
    records: list[Any] = []
    with tempfile.TemporaryDirectory() as runs:
        train(run.model_copy(update={"data": data}), runs=runs, name="run", listen=records.append)
    headline = get_task(run.task).evaluator(dataset.meta, dataset.split("test")).headline
    trained = [record for record in records if record["event"] == "train"]
    evaluated = [record for record in records if record["event"] == "eval"]
    return {
        "headline": headline,
        **{curve: [[r["step"], r[name]] for r in trained] for curve, (name, _) in _TRAINED.items()},
        **{
            curve: [[r["step"], r[name]] for r in evaluated]
            for curve, name in {"evaluations": headline, **_EVALUATED}.items()
        },
    }


def _train_published(folder: Path, run: RunConfig, dataset: Dataset, steps: int) -> Run:
    """The curves of the published trainer, evaluated at the same steps."""
    torch.manual_seed(run.train.seed)
    np.random.seed(run.train.seed)  # for the published loader
    trainer = PublishedTrainer(folder, run, dataset, steps)
    found: Run = {curve: [] for curve in ("evaluations", *_TRAINED, *_EVALUATED)}
    every, recent = run.train.eval_every_steps or steps, []
    for step, batch in zip(range(1, steps + 1), published_batches(trainer, steps), strict=False):
        recent.append(trainer.train(batch))
        if len(recent) == run.train.log_every_steps:
            for curve, (_, name) in _TRAINED.items():
                found[curve].append([step, statistics.fmean(metrics[name] for metrics in recent)])
            recent = []
        if step % every == 0 or step == steps:
            headline, metrics = evaluate(trainer, run, dataset)
            found["headline"] = headline
            for curve, name in {"evaluations": headline, **_EVALUATED}.items():
                found[curve].append([step, metrics[name]])
    return found


def evaluate(
    trainer: PublishedTrainer, run: RunConfig, dataset: Dataset
) -> tuple[str, dict[str, float]]:
    """The headline's name and all metrics of the published model's averaged weights."""
    model = create_model(run.model, puzzle_spec(dataset.meta, run.model))
    model.load_state_dict(trainer.weights(averaged=True))
    split = dataset.split("test")
    evaluator = get_task(run.task).evaluator(dataset.meta, split)
    found = run_evaluation(
        model, evaluator, split, batch_size=run.eval_batch_size,
        max_examples=run.eval.max_examples, loss=run.train.loss,
    )  # fmt: skip
    assert found is not None
    return evaluator.headline, {name: float(metric.value) for name, metric in found.items()}


def last_values(runs: Sequence[Run], curve: str) -> list[float]:
    """The last value of each run's curve."""
    return [run[curve][-1][1] for run in runs]


def permutation_test(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The two-sided p-value that two groups of runs have equal means: an exact permutation test.

    A run is the unit, because puzzles of one run share its weights and are not independent.

    >>> permutation_test([1, 2, 3], [4, 5, 6])
    0.1
    """
    values, count = [*ours, *theirs], len(ours)
    total = math.fsum(values)

    def distance(chosen: Sequence[int]) -> float:
        own = math.fsum(values[n] for n in chosen)
        return abs(own / count - (total - own) / (len(values) - count))

    observed = distance(range(count))
    every = [distance(chosen) for chosen in itertools.combinations(range(len(values)), count)]
    # Equal sums may differ in their last digit.
    as_far = sum(value >= observed - 1e-12 for value in every)
    return as_far / len(every)


def spread(runs: Sequence[Run], curve: str) -> list[tuple[int, float, float, float]]:
    """The step, the mean, the smallest and the largest value over runs at each point of a curve."""
    points = []
    for values in zip(*(run[curve] for run in runs), strict=True):
        steps, numbers = {step for step, _ in values}, [number for _, number in values]
        (step,) = steps
        points.append((step, statistics.fmean(numbers), min(numbers), max(numbers)))
    return points
