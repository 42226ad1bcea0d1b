"""Made-up comparisons."""

from pathlib import Path

import numpy as np

from trm.comparison.grid import Budget
from trm.comparison.report import Comparison, RowResult, RunResult
from trm.tasks.metrics import Metric


def row(name: str, *solved: str, flops: float = 2e15, first_seed: int = 0) -> RowResult:
    """A row with a run for each text, such as ``1101``: which puzzles that seed solves."""
    runs = []
    for seed, text in enumerate(solved, first_seed):
        scores = np.array([float(letter) for letter in text])
        value = Metric.share(float(scores.sum()), len(scores))
        folder = Path(f"o/toy/{name}-seed{seed}")
        runs.append(RunResult(f"{name}, seed {seed}", folder, seed, value, 40, 90.0, flops, scores))
    return RowResult(name, None, {"optim.lr": 0.5}, 12_345, 0.25, tuple(runs))


def comparison(
    *rows: RowResult, unit: str = "steps", seeds: tuple[int, ...] = (0, 1)
) -> Comparison:
    return Comparison(
        Path("grids/g.toml"), Path("o"), "toy", "exact_accuracy", ("data/toy",), "d" * 64,
        Budget(unit, 40), seeds, rows, {},
    )  # fmt: skip
