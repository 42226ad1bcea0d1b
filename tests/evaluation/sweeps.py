"""Made-up sweeps."""

from typing import Any

from trm.evaluation.sweep import SweepLine, SweepReport
from trm.tasks.metrics import Metric


def line(hits: int, gflop: float, **how: Any) -> SweepLine:
    """An evaluation of a hundred examples."""
    return SweepLine(
        metrics={"exact_accuracy": Metric.share(hits, 100), "mean_steps": Metric(2.5, 100)},
        steps_per_puzzle=10 * gflop, gflop_per_puzzle=gflop, seconds=1.5, **how,
    )  # fmt: skip


def sweep(*lines: SweepLine) -> SweepReport:
    return SweepReport(
        checkpoint="runs/toy/a", step=3, trained_steps=6, weights="w" * 64, task="toy",
        data=("data/toy",), digest="d" * 64, max_examples=100, metric="exact_accuracy",
        lines=lines,
    )  # fmt: skip
