"""The results of a comparison."""

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.comparison.grid import Budget
from trm.comparison.statistics import holm, mean_interval, sign_test
from trm.config import FORMAT_VERSION
from trm.html_text import table_html
from trm.tasks.metrics import Metric


@dataclass(frozen=True)
class RunResult:
    """A run that is trained and evaluated.

    Attributes:
        label: row and seed, such as ``base, seed 0``.
        run: its folder.
        value: the headline metric of its last checkpoint, on all test puzzles.
        steps: training steps.
        seconds: the duration of its training.
        training_flops: counted operations of all training steps.
        scores: (puzzles,) what it has of each test puzzle: 1 if it is solved, 0 if it is not.
    """

    label: str
    run: Path
    seed: int
    value: Metric
    steps: int
    seconds: float
    training_flops: float
    scores: NDArray[np.float64] = field(repr=False)

    def as_json(self) -> dict[str, Any]:
        """For ``table.json``."""
        return {
            "run": str(self.run),
            "seed": self.seed,
            "value": self.value.as_json(),
            "steps": self.steps,
            "seconds": self.seconds,
            "training_flops": self.training_flops,
        }


@dataclass(frozen=True)
class PairedTest:
    """A row against the first row, on the same puzzles and seeds.

    Attributes:
        seeds: that both have finished.
        difference: of the means of the headline metric.
        better, worse: puzzles that the row solves with more seeds, or with fewer.
        p: of the test, not corrected.
        p_holm: corrected for the number of rows.
    """

    seeds: tuple[int, ...]
    difference: float
    better: int
    worse: int
    p: float
    p_holm: float


@dataclass(frozen=True)
class RowResult:
    """A row of the table.

    Attributes:
        settings: those that only this row has, by dotted name.
        num_parameters: without the puzzle embedding.
        gflop_per_puzzle: the operations of one answer with all supervision steps, in 10^9.
        runs: the finished ones.
    """

    name: str
    preset: str | None
    settings: Mapping[str, Any]
    num_parameters: int
    gflop_per_puzzle: float
    runs: tuple[RunResult, ...] = ()

    @property
    def values(self) -> list[float]:
        """The headline metric of each seed."""
        return [float(run.value) for run in self.runs]

    @property
    def mean(self) -> float | None:
        """The mean over the seeds; None if no run is finished."""
        return fmean(self.values) if self.runs else None

    @property
    def spread(self) -> float | None:
        """The standard deviation over the seeds; None for fewer than two."""
        return stdev(self.values) if len(self.runs) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95% interval of the mean; None if no run is finished, or if it is not a share."""
        if not self.runs or self.runs[0].value.interval is None:
            return None
        return mean_interval(self.values, self.runs[0].value.count or 0)

    def mean_of(self, name: str) -> float:
        """The mean of ``steps``, ``seconds`` or ``training_flops`` over the finished runs."""
        return fmean(getattr(run, name) for run in self.runs)


@dataclass(frozen=True)
class Comparison:
    """The result of ``trm compare``, so far.

    Attributes:
        grid: the file.
        out: the folder of the runs and the results.
        metric: the headline metric of the task.
        data: the folders with the test puzzles.
        digest: of these data.
        failures: why a run failed, by its name.
    """

    grid: Path
    out: Path
    task: str
    metric: str
    data: tuple[str, ...]
    digest: str
    budget: Budget
    seeds: tuple[int, ...]
    rows: tuple[RowResult, ...]
    failures: Mapping[str, str]

    def __repr__(self) -> str:
        return f"<Comparison of {len(self.rows)} rows, {self.progress_text}: {self.out}>"

    def _repr_html_(self) -> str:
        """For notebooks: mean, spread and corrected p of each row."""
        rows = []
        for row in self.rows:
            test = self.tests.get(row.name)
            numbers = (row.mean, row.spread, test and test.p_holm)
            rows.append((row.name, *("-" if n is None else f"{n:.4f}" for n in numbers)))
        title = f"{self.metric} at {self.budget.text}, {self.progress_text}"
        return table_html(title, ("row", "mean", "spread", "p"), rows)

    @property
    def num_runs(self) -> int:
        """The runs of the grid."""
        return len(self.rows) * len(self.seeds)

    @property
    def num_finished(self) -> int:
        """The runs that are trained and evaluated."""
        return sum(len(row.runs) for row in self.rows)

    @property
    def progress_text(self) -> str:
        """``all 6 runs are finished``, or what is missing."""
        if self.num_finished == self.num_runs:
            return f"all {self.num_runs} runs are finished"
        return f"NOT FINISHED: {self.num_finished} of {self.num_runs} runs"

    @functools.cached_property
    def tests(self) -> dict[str, PairedTest]:
        """Each later row with finished runs against the first, by its name.

        The unit of the test is the puzzle, not the run of a puzzle: one puzzle is easy or hard for
        all seeds, so three seeds of 1000 puzzles are not 3000 independent pairs. For each puzzle we
        add its scores over the seeds that both rows have finished, and count the puzzles of which
        the row has more, and those of which it has fewer. If the rows were equally good, both would
        be equally likely: the exact sign test, which is McNemar's test for one seed.

        So a small p means that these trained models differ on puzzles like these. How much another
        seed changes a row is what the spread shows; no test can tell it from three seeds.
        """
        first = {run.seed: run for run in self.rows[0].runs}
        tests: dict[str, PairedTest] = {}
        for row in self.rows[1:]:
            pairs = [(run, first[run.seed]) for run in row.runs if run.seed in first]
            if not pairs:
                continue
            gain = np.sum([run.scores - base.scores for run, base in pairs], axis=0)
            gain = np.round(gain, 9)  # sums of fractions
            better, worse = int((gain > 0).sum()), int((gain < 0).sum())
            tests[row.name] = PairedTest(
                seeds=tuple(run.seed for run, _ in pairs),
                difference=fmean(float(run.value) - float(base.value) for run, base in pairs),
                better=better,
                worse=worse,
                p=(p := sign_test(better, worse)),
                p_holm=p,
            )
        # Rows without a finished pair count too, so a p does not grow when they are finished.
        missing = [1.0] * (len(self.rows) - 1 - len(tests))
        corrected = holm([*(test.p for test in tests.values()), *missing])
        return {
            name: replace(test, p_holm=p)
            for (name, test), p in zip(tests.items(), corrected, strict=False)
        }

    def as_json(self) -> dict[str, Any]:
        """For ``trm compare --json``, and what ``table.json`` holds."""
        return {
            "format_version": FORMAT_VERSION,
            "grid": str(self.grid),
            "task": self.task,
            "metric": self.metric,
            "data": list(self.data),
            "digest": self.digest,
            "budget": {self.budget.unit: self.budget.amount},
            "seeds": list(self.seeds),
            "num_runs": self.num_runs,
            "num_finished": self.num_finished,
            "rows": [self._row_as_json(row) for row in self.rows],
            "failures": dict(self.failures),
        }

    def _row_as_json(self, row: RowResult) -> dict[str, Any]:
        test = self.tests.get(row.name)
        return {
            "name": row.name,
            "preset": row.preset,
            "settings": dict(row.settings),
            "mean": row.mean,
            "spread": row.spread,
            "interval": None if row.interval is None else list(row.interval),
            "against_first": None if test is None else asdict(test),
            "parameters": row.num_parameters,
            "gflop_per_puzzle": row.gflop_per_puzzle,
            "runs": [run.as_json() for run in row.runs],
        }
