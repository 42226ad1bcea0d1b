"""Tables for a terminal: tasks, settings, datasets, metrics, evaluations, files and runs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from trm.show.fitted_table import Column, FittedTable
from trm.storage import size_text

if TYPE_CHECKING:
    from trm.checkpoints.shipped import ShippedModel
    from trm.data import DatasetMeta
    from trm.evaluation.report import ReportRow
    from trm.models.registry import InstalledModel
    from trm.runs.listing import RunSummary
    from trm.settings import ResolvedSettings
    from trm.tasks.metrics import Metric
    from trm.tasks.registry import InstalledTask


def tasks_table(installed: Mapping[str, "InstalledTask"]) -> FittedTable:
    """The installed tasks, their presets and their plugins."""
    table = FittedTable("task", Column("what", wraps=True), Column("presets", wraps=True), "from")
    for name, entry in sorted(installed.items()):
        table.add_row(
            name, entry.task.summary, ", ".join(sorted(entry.task.presets)) or "-", entry.origin
        )
    return table


def settings_table(resolved: "ResolvedSettings", *, with_defaults: bool = True) -> FittedTable:
    """Every setting with its source, or only those that are not a field's default."""
    table = FittedTable("setting", Column("value", wraps=True), "from")
    for name, value, source in resolved.rows():
        if source == "default" and not with_defaults:
            continue
        style = "" if source == "default" else "bold"
        table.add_row(name, setting_text(value), source, style=style)
    return table


def setting_text(value: Any) -> str:
    """A setting as text, as in a configuration file."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if value == ():
        return "none"
    if isinstance(value, tuple):
        return json.dumps(value) if any(isinstance(v, tuple) for v in value) else ", ".join(value)
    return str(value)


def dataset_table(meta: "DatasetMeta", properties: Mapping[str, Mapping[str, str]]) -> FittedTable:
    """The splits of a dataset, one in each column: their puzzles and the task's properties.

    Args:
        meta: of the dataset.
        properties: by split, then by the property's name.
    """
    table = FittedTable("", *(Column(split, wraps=True) for split in meta.splits))
    counts = {"puzzles": "groups", "with augmentations": "puzzles", "examples": "examples"}
    for name, count in counts.items():
        table.add_row(name, *(f"{getattr(split, count):,}" for split in meta.splits.values()))
    for name in dict.fromkeys(name for of_split in properties.values() for name in of_split):
        table.add_row(name, *(properties[split].get(name, "-") for split in meta.splits))
    return table


def metrics_table(metrics: Mapping[str, "Metric"]) -> FittedTable:
    """The metrics of an evaluation. Shares have a 95% interval."""
    table = FittedTable("metric", ">value", "95% interval", ">of")
    for name, metric in metrics.items():
        table.add_row(name, *metric.texts)
    return table


def models_table(models: "Sequence[ShippedModel]") -> FittedTable:
    """The models that come with the package."""
    from trm.tasks.metrics import Metric  # imports numpy

    table = FittedTable(
        "model", Column("task", leave_out=2), ">cells", ">parameters",
        Column("size", right=True, leave_out=3), "metric", ">value", "95% interval",
        Column("of", right=True, leave_out=1),
    )  # fmt: skip
    for model in models:
        measured = Metric(model.value, model.examples, model.interval)
        table.add_row(
            model.name, model.task, f"{model.cells:,}", f"{model.num_parameters:,}",
            size_text(model.num_bytes), model.metric, *measured.texts,
        )  # fmt: skip
    return table


def kinds_table(kinds: "Mapping[str, InstalledModel]") -> FittedTable:
    """The kinds of models that can be trained."""
    table = FittedTable("kind", "what it is", Column("origin", leave_out=1))
    for name, kind in kinds.items():
        table.add_row(name, kind.model.summary, kind.origin)
    return table


def scored_table(solved: Mapping[str, Sequence[bool]]) -> FittedTable:
    """The tasks of a submission, and how many of their test inputs are solved."""
    table = FittedTable("task", ">solved", ">of")
    for name, of_task in solved.items():
        style = "" if any(of_task) else "dim"
        table.add_row(name, f"{sum(of_task)}", f"{len(of_task)}", style=style)
    return table


def results_table(rows: "Sequence[ReportRow]") -> FittedTable:
    """Several evaluations, one in each row, with the reported values if there are any."""
    reported = any(row.reported is not None for row in rows)
    table = FittedTable(
        Column("checkpoint", is_name=True), "task", ">step", Column("metric", wraps=True),
        ">value", "95% interval", ">of", *[">reported"] * reported,
    )  # fmt: skip
    for row in rows:
        table.add_row(
            row.name, row.task, f"{row.step:,}",
            row.metric + split_text(row.split) + row.options.text, *row.value.texts,
            *["" if row.reported is None else f"{row.reported:.4f}"] * reported,
        )  # fmt: skip
    return table


def files_table(files: Mapping[str, int]) -> FittedTable:
    """Files and their sizes in bytes."""
    table = FittedTable(Column("file", is_name=True), ">bytes")
    for name, size in files.items():
        table.add_row(name, f"{size:,}")
    return table


def split_text(split: str) -> str:
    """What to append to a metric of another split than test.

    >>> split_text("test"), split_text("validation")
    ('', ', validation')
    """
    return "" if split == "test" else f", {split}"


def speed_text(speed: Mapping[str, float]) -> str:
    """The speed of an evaluation.

    >>> speed_text({"seconds": 2.0, "samples_per_s": 50.0, "tflops": 0.0652, "mfu": 0.794})
    '50.0 samples/s, 0.0652 TFLOP/s, MFU 79.4%'
    """
    return (
        f"{speed['samples_per_s']:,.1f} samples/s, {speed['tflops']:.3g} TFLOP/s, "
        f"MFU {speed['mfu']:.1%}"
    )


def runs_table(runs: "Iterable[RunSummary]", now: datetime | None = None) -> FittedTable:
    """The runs in a folder, one in each row.

    Args:
        runs: the runs.
        now: the time from which ages are counted. Default: the current time.
    """
    now = now or datetime.now(UTC)
    table = FittedTable(
        Column("name", is_name=True), "task", "state", ">step", ">best",
        Column("at", right=True, leave_out=1), Column("metric", wraps=True, leave_out=3),
        Column("updated", leave_out=2),
    )  # fmt: skip
    for run in runs:
        best = run.best and (f"{run.best.value:.4f}", f"{run.best.step:,}",
                             run.best.metric + split_text(run.best.split))  # fmt: skip
        total = "" if run.total_steps is None else f"/{run.total_steps:,}"
        table.add_row(
            run.name, run.task, run.state,
            "-" if run.step is None else f"{run.step:,}{total}", *(best or ("-", "-", "-")),
            f"{age_text((now - run.updated).total_seconds())} ago",
        )  # fmt: skip
    return table


def run_problems(run: "RunSummary") -> Iterable[str]:
    """The beginning of a run's error message, and the problems of its files."""
    if run.error is not None:
        yield f"{run.folder} failed: {shorten(run.error, 150, placeholder='...')}"
    for problem in run.problems:
        yield f"{run.folder}: {problem}"


def age_text(seconds: float) -> str:
    """An age, rounded to its unit.

    >>> age_text(59), age_text(60), age_text(7300), age_text(200_000)
    ('59 s', '1 min', '2 h', '2 days')
    """
    if seconds < 60:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds // 3600:.0f} h"
    return f"{seconds // (24 * 3600):.0f} days"
