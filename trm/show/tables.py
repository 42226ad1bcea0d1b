"""Tables for a terminal: tasks, settings, data sets, metrics, what a run will take."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from trm.data import DatasetMeta
    from trm.engine.memory import Footprint
    from trm.engine.report import Row
    from trm.plugins import InstalledTask
    from trm.settings import Resolved
    from trm.tasks.metrics import Metric


def table(*columns: str) -> Table:
    """An empty table in the style of all of them; numbers go to the right of a leading ``>``."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        made.add_column(name.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return made


def tasks_table(installed: Mapping[str, "InstalledTask"]) -> Table:
    """The installed tasks, their presets, and where they come from."""
    made = table("task", "what", "presets", "from")
    for name, found in sorted(installed.items()):
        made.add_row(name, found.task.summary, ", ".join(found.task.presets) or "-", found.origin)
    return made


def settings_table(resolved: "Resolved") -> Table:
    """Every setting with its source."""
    made = table("setting", "value", "from")
    for name, value, source in resolved.rows():
        style = "" if source == "default" else "bold"
        made.add_row(name, setting_text(value), source, style=style)
    return made


def setting_text(value: Any) -> str:
    """A setting as it would be written in a configuration file."""
    if value is None:
        return "unset"
    if isinstance(value, bool):
        return str(value).lower()
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def dataset_table(meta: "DatasetMeta", facts: Mapping[str, Mapping[str, str]]) -> Table:
    """The counts of a data set's splits, and what the task has to say of them."""
    names = list(dict.fromkeys(name for of_split in facts.values() for name in of_split))
    made = table("split", ">groups", ">puzzles", ">examples", *names)
    for split, counts in meta.splits.items():
        numbers = (f"{n:,}" for n in (counts.groups, counts.puzzles, counts.examples))
        made.add_row(split, *numbers, *(facts[split].get(name, "-") for name in names))
    return made


def metrics_table(metrics: Mapping[str, "Metric"]) -> Table:
    """What an evaluation found, shares with their 95% interval."""
    made = table("metric", ">value", "95% interval", ">of")
    for name, metric in metrics.items():
        interval = "{:.4f} to {:.4f}".format(*metric.interval) if metric.interval else ""
        made.add_row(name, f"{metric.value:.4f}", interval, f"{metric.count:,}")
    return made


def results_table(rows: "Iterable[Row]") -> Table:
    """Several evaluations, one a line, beside what was reported."""
    made = table("task", "checkpoint", ">step", "metric", ">value", "95% interval", ">of",
                 ">reported")  # fmt: skip
    for row in rows:
        found, reported = row.value, "" if row.reported is None else f"{row.reported:.4f}"
        interval = "{:.4f} to {:.4f}".format(*found.interval) if found.interval else ""
        made.add_row(
            row.task, Text(row.name), f"{row.step:,}", row.metric, f"{found.value:.4f}", interval,
            f"{found.count:,}", reported,
        )  # fmt: skip
    return made


def markdown(shown: Table) -> str:
    """A table in Markdown.

    >>> made = table("task", ">value")
    >>> made.add_row("maze", "0.7870")
    >>> print(markdown(made))
    | task | value |
    | --- | ---: |
    | maze | 0.7870 |
    """
    marks = ["---:" if column.justify == "right" else "---" for column in shown.columns]
    lines = [[str(column.header) for column in shown.columns], marks]
    cells = [map(str, column.cells) for column in shown.columns]
    lines += map(list, zip(*cells, strict=True))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def footprint_lines(found: "Footprint", total_steps: int, batch_size: int) -> Iterable[str]:
    """What a run would take, for ``--dry-run``."""
    total = found.state_bytes + found.activation_bytes
    yield f"parameters        {found.num_parameters:,}"
    yield f"puzzle embedding  {found.num_puzzle_numbers:,} numbers"
    yield f"steps             {total_steps:,} of {batch_size:,} examples"
    yield (
        f"memory            {size_text(total)} ({size_text(found.state_bytes)} weights and "
        f"optimizer, {size_text(found.activation_bytes)} activations if not compiled)"
    )


def size_text(num_bytes: float) -> str:
    """Bytes for people.

    >>> size_text(5_300_000)
    '5.1 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}" if unit != "B" else f"{num_bytes:.0f} B"
        num_bytes /= 1024
    return f"{num_bytes:.1f} GiB"
