"""Tables for a terminal: tasks, settings, datasets, metrics, evaluations, files and runs."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from trm.data import DatasetMeta
    from trm.evaluation.report import ReportRow
    from trm.runs.listing import RunSummary
    from trm.settings import ResolvedSettings
    from trm.tasks.metrics import Metric
    from trm.tasks.registry import InstalledTask


def new_table(*columns: str) -> Table:
    """An empty table. A column whose name begins with ``>`` is right-aligned."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        table.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def tasks_table(installed: Mapping[str, "InstalledTask"]) -> Table:
    """The installed tasks, their presets and their plugins."""
    table = new_table("task", "what", "presets", "from")
    for name, entry in sorted(installed.items()):
        table.add_row(name, entry.task.summary, ", ".join(entry.task.presets) or "-", entry.origin)
    return table


def settings_table(resolved: "ResolvedSettings") -> Table:
    """Every setting with its source."""
    table = new_table("setting", "value", "from")
    for name, value, source in resolved.rows():
        style = "" if source == "default" else "bold"
        table.add_row(name, setting_text(value), source, style=style)
    return table


def setting_text(value: Any) -> str:
    """A setting as text, as in a configuration file."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return json.dumps(value) if any(isinstance(v, tuple) for v in value) else ", ".join(value)
    return str(value)


def dataset_table(meta: "DatasetMeta", properties: Mapping[str, Mapping[str, str]]) -> Table:
    """The number of puzzles in each split of a dataset, and the task's properties of the split.

    Args:
        meta: of the dataset.
        properties: by split, then by the property's name.
    """
    names = list(dict.fromkeys(name for of_split in properties.values() for name in of_split))
    table = new_table("split", ">groups", ">puzzles", ">examples", *names)
    for split, counts in meta.splits.items():
        numbers = (f"{n:,}" for n in (counts.groups, counts.puzzles, counts.examples))
        table.add_row(split, *numbers, *(properties[split].get(name, "-") for name in names))
    return table


def metrics_table(metrics: Mapping[str, "Metric"]) -> Table:
    """The metrics of an evaluation. Shares have a 95% interval."""
    table = new_table("metric", ">value", "95% interval", ">of")
    for name, metric in metrics.items():
        table.add_row(name, *_metric_texts(metric))
    return table


def _metric_texts(metric: "Metric") -> tuple[str, str, str]:
    """Value, interval and count. A metric over zero examples has no value."""
    if metric.count == 0:
        return "-", "", "0"
    interval = "{:.4f} to {:.4f}".format(*metric.interval) if metric.interval else ""
    return f"{metric.value:.4f}", interval, "" if metric.count is None else f"{metric.count:,}"


def results_table(rows: "Iterable[ReportRow]") -> Table:
    """Several evaluations, one in each row, with the reported values."""
    table = new_table("task", "checkpoint", ">step", "metric", ">value", "95% interval", ">of",
                 ">reported")  # fmt: skip
    for row in rows:
        reported = "" if row.reported is None else f"{row.reported:.4f}"
        table.add_row(
            row.task, row.name, f"{row.step:,}",
            row.metric + split_text(row.split) + row.options.text,
            *_metric_texts(row.value), reported,
        )  # fmt: skip
    return table


def files_table(files: Mapping[str, int]) -> Table:
    """Files and their sizes in bytes."""
    table = new_table("file", ">bytes")
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


def markdown(shown: Table) -> str:
    """A table in Markdown.

    >>> table = new_table("task", ">value")
    >>> table.add_row("maze", "0.7870")
    >>> print(markdown(table))
    | task | value |
    | --- | ---: |
    | maze | 0.7870 |
    """
    marks = ["---:" if column.justify == "right" else "---" for column in shown.columns]
    lines = [[str(column.header) for column in shown.columns], marks]
    cells = [map(str, column.cells) for column in shown.columns]
    lines += map(list, zip(*cells, strict=True))
    lines = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def runs_table(runs: "Iterable[RunSummary]", now: datetime | None = None) -> Table:
    """The runs in a folder, one in each row.

    Args:
        runs: the runs.
        now: the time from which ages are counted. Default: the current time.
    """
    now = now or datetime.now(UTC)
    table = new_table("task", "name", "state", ">step", "best", ">updated")
    for column in (table.columns[index] for index in (0, 2, 3, 5)):
        column.no_wrap = True  # in a narrow terminal only the others wrap
    table.columns[4].min_width = len("exact_accuracy")
    for run in runs:
        best = run.best and (
            f"{run.best.metric} {run.best.value:.4f} at {run.best.step:,}"
            f"{split_text(run.best.split)}"
        )
        total = "" if run.total_steps is None else f"/{run.total_steps:,}"
        table.add_row(
            run.task, run.name, run.state,
            "-" if run.step is None else f"{run.step:,}{total}", best or "-",
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
