"""Which checkpoint of a run is the best one, and whether to train on for a better one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from trm.errors import ConfigError
from trm.runs.checkpoint import Evaluation, Progress
from trm.tasks.metrics import Metric


def judged(
    progress: Progress,
    step: int,
    split: Literal["test", "validation"],
    examples: int,
    headline: str,
    metrics: Mapping[str, Metric],
) -> Evaluation:
    """What an evaluation after this step found, beside what was found before; of equals the later.

    Args:
        progress: of the run before it.
        step: that of the checkpoint.
        split: what was looked at.
        examples: how many of it.
        headline: the metric that decides.
        metrics: what came out.
    """
    best, best_step, since_best = metrics[headline].value, step, 0
    if progress.best is not None and progress.best_step is not None and progress.best > best:
        best, best_step = progress.best, progress.best_step
        since_best = progress.since_best + 1
    return Evaluation(
        step=step,
        split=split,
        examples=examples,
        headline=headline,
        metrics={name: metric.value for name, metric in metrics.items()},
        intervals={name: m.interval for name, m in metrics.items() if m.interval},
        best=best,
        best_step=best_step,
        since_best=since_best,
    )


def has_ended_early(progress: Progress, patience: int | None) -> bool:
    """Whether so many evaluations in a row have found no new best."""
    return patience is not None and progress.since_best >= patience


def check_not_ended(found: Path, progress: Progress, total: int, patience: int | None) -> None:
    """Refuse to go on with a run that has come to its end.

    Args:
        found: its newest checkpoint.
        progress: there.
        total: the last step of the run.
        patience: ``train.patience``.

    Raises:
        ConfigError: saying what to change to go on.
    """
    step, evaluated = progress.step, progress.evaluated_step == progress.step
    if step > total or (step == total and evaluated):
        raise ConfigError(
            f"{found} has reached step {step} of {total} already. "
            "Ask for more with --max-steps or --epochs, or start a new run with --run-name."
        )
    if has_ended_early(progress, patience):
        raise ConfigError(
            f"{found}: the run has ended early, for --patience {patience}: no evaluation since "
            f"step {progress.best_step} was as good. Give more, or start a new run with --run-name."
        )
