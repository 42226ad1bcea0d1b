"""The result of an evaluation during training, and the best one so far."""

import math
from collections.abc import Mapping
from typing import Literal

from trm.errors import PluginError, did_you_mean
from trm.runs.checkpoint import Evaluation, Progress
from trm.tasks.base import Task
from trm.tasks.metrics import Metric


def evaluation_of(
    task: Task,
    progress: Progress,
    step: int,
    split: Literal["test", "validation"],
    examples: int,
    headline: str,
    metrics: Mapping[str, Metric],
) -> Evaluation:
    """The evaluation of a step, compared with the best one before.

    A value that equals the best one counts as a new best. An evaluation in which no output is known
    leaves the best one and the patience as they are.

    Args:
        task: whose evaluator measured.
        progress: before the evaluation.
        step, split, examples, headline: see :class:`trm.runs.checkpoint.Evaluation`.
        metrics: what was measured.

    Raises:
        PluginError: if the headline is not among the metrics.
    """
    if headline not in metrics:
        raise PluginError(
            f"the evaluator of task {task.name} has no metric {headline!r}, its headline. "
            f"{did_you_mean(headline, metrics)}"
        )
    values = {name: _value(metric) for name, metric in metrics.items()}
    best, best_step, since_best = progress.best, progress.best_step, progress.since_best
    value = values[headline]
    if value is not None:
        is_best = best is None or best_step is None or value >= best
        best, best_step, since_best = (
            (value, step, 0) if is_best else (best, best_step, since_best + 1)
        )
    return Evaluation(
        step=step,
        split=split,
        examples=examples,
        headline=headline,
        metrics=values,
        intervals={name: m.interval for name, m in metrics.items() if m.interval and m.count != 0},
        best=best,
        best_step=best_step,
        since_best=since_best,
    )


def _value(metric: Metric) -> float | None:
    return None if math.isnan(float(metric)) else metric.value
