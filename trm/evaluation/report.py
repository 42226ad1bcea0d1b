"""The result of an evaluation."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trm.errors import InputError, did_you_mean
from trm.evaluation.provenance import Provenance
from trm.html_text import table_html
from trm.inference.options import SolveOptions
from trm.tasks.metrics import Evaluator, Metric


@dataclass(frozen=True)
class ReportRow:
    """One evaluation as a row of a table; see :meth:`Report.row`."""

    name: str
    task: str
    step: int
    metric: str
    value: Metric
    reported: float | None = None
    split: str = "test"
    options: SolveOptions = field(default_factory=SolveOptions)


@dataclass(frozen=True)
class Report:
    """The result of an evaluation.

    Attributes:
        num_examples: the examples that were evaluated.
        num_steps: the supervision steps that this process took, over all rollouts.
        split: of the data, ``test`` or ``validation``.
        options: the inference options.
        remarks: what else to know of it: that the time ended it, that puzzles have few copies.
        provenance: what it takes to evaluate again; None in all processes but the first.
        speed: ``seconds`` in all, compilation included; ``samples_per_s`` over all processes;
            ``tflops`` of each process, counting only the supervision steps it took; and ``mfu``,
            their share of the speed of a large matrix product on the same device.
    """

    checkpoint: str
    step: int
    task: str
    data: Path
    digest: str
    metrics: Mapping[str, Metric]
    evaluator: Evaluator
    speed: Mapping[str, float]
    num_examples: int
    num_steps: int
    split: str = "test"
    options: SolveOptions = field(default_factory=SolveOptions)
    remarks: tuple[str, ...] = ()
    provenance: Provenance | None = None

    def __repr__(self) -> str:
        return f"<{self._title}: {self.evaluator.headline} {self.metrics[self.evaluator.headline]}>"

    def _repr_html_(self) -> str:
        """For notebooks: all metrics."""
        rows = [(name, *metric.texts) for name, metric in self.metrics.items()]
        return table_html(self._title, ("metric", "value", "95% interval", "of"), rows)

    @property
    def _title(self) -> str:
        where = f"{self.num_examples:,} {self.split} examples of {self.data}"
        return f"Report of {self.checkpoint} on {where}{self.options.text}"

    def row(self, name: str, metric: str | None, reported: float | None) -> ReportRow:
        """This evaluation as a row of a table.

        Args:
            name: the name in the table; if empty, the path of the checkpoint.
            metric: the metric to show; None for the headline of the task.
            reported: the value that others reported.

        Raises:
            InputError: if there is no such metric.
        """
        metric = metric or self.evaluator.headline
        if metric not in self.metrics:
            hint = did_you_mean(metric, self.metrics)
            raise InputError(f"task {self.task} has no metric {metric!r}. {hint}")
        return ReportRow(
            name or self.checkpoint, self.task, self.step, metric, self.metrics[metric],
            reported, self.split, self.options,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """For ``trm eval --json``."""
        return {
            "checkpoint": self.checkpoint,
            "step": self.step,
            "task": self.task,
            "data": str(self.data),
            "split": self.split,
            "digest": self.digest,
            "examples": self.num_examples,
            **self.options.model_dump(),
            "headline": self.evaluator.headline,
            "metrics": {name: metric.as_json() for name, metric in self.metrics.items()},
            "speed": dict(self.speed),
            "provenance": self.provenance and self.provenance.model_dump(),
        }
