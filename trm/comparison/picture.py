"""The picture of a comparison: accuracy against the cost of training."""

from pathlib import Path

from trm.comparison.report import Comparison, RowResult
from trm.comparison.table import flops_unit
from trm.pictures.figures import check_extension, plot_style, save_figure
from trm.show.plots import COLORS, line_figure

#: Rows whose costs differ by less than this share are drawn next to each other,
_SAME_COST = 0.02
#: this share of the width of the picture apart.
_APART = 0.012
#: The number of markers and colors; more rows have their numbers in the picture.
_MOST_UNNUMBERED = 7


def draw_comparison(path: Path, comparison: Comparison) -> None:
    """Draw the mean of each row against the operations of its training.

    If the budget is counted in operations, so that all rows have about the same, they are drawn
    against the time. A bar goes from the lowest to the highest seed, or is the 95% interval over
    the puzzles if there is one seed.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        comparison: has at least one finished run.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the file extension is unknown.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_extension(path)
    rows = {n: row for n, row in enumerate(comparison.rows, 1) if row.runs}
    is_timed = comparison.budget.unit == "flops"
    costs = [row.mean_of("seconds" if is_timed else "training_flops") for row in rows.values()]
    factor, unit = flops_unit(max(costs))
    places = _side_by_side([cost / (60.0 if is_timed else factor) for cost in costs])
    numbered = len(comparison.rows) > _MOST_UNNUMBERED
    points = {
        f"{number} {row.name}" if numbered else row.name: [(x, row.mean or 0.0)]
        for (number, row), x in zip(rows.items(), places, strict=True)
    }
    with plot_style():
        from matplotlib.ticker import PercentFormatter

        figure, axes = line_figure(points)
        low, high = zip(*map(_bar, rows.values()), strict=True)
        axes.set_xlim(*_padded(min(places), max(places), 0.3 * max(places)))
        bottom, top = _padded(min(low), max(high), 0.05)
        axes.set_ylim(max(0.0, bottom), min(1.0, top) if max(high) <= 1 else top)
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        for index, ((number, row), x) in enumerate(zip(rows.items(), places, strict=True)):
            color = COLORS[index % len(COLORS)]
            axes.vlines(x, *_bar(row), color=color, alpha=0.4, linewidth=1.2)
            if numbered:
                axes.annotate(
                    str(number), (x, row.mean or 0.0), (4, -3), textcoords="offset points",
                    fontsize=7, color=color, va="top",
                )  # fmt: skip
        what = "minutes of training" if is_timed else f"{unit}FLOP of training"
        several = len(comparison.seeds) > 1
        bars = "lowest to highest seed" if several else "95% interval"
        axes.set_xlabel(f"{what} a run; bars: {bars}")
        axes.set_ylabel(comparison.metric.replace("_", " "))
        unfinished = comparison.num_finished < comparison.num_runs
        axes.set_title(comparison.progress_text if unfinished else "", loc="left")
        save_figure(path, figure)


def _bar(row: RowResult) -> tuple[float, float]:
    if len(row.runs) == 1 and row.interval is not None:
        return row.interval
    return min(row.values), max(row.values)


def _padded(low: float, high: float, least: float) -> tuple[float, float]:
    """The limits of an axis, with room to both sides; its length is at least about ``least``."""
    room = max(0.08 * (high - low), (least - (high - low)) / 2, 1e-9)
    return low - room, high + room


def _side_by_side(costs: list[float]) -> list[float]:
    """The x of each row: its cost, moved aside if others cost the same."""
    width = max(max(costs) - min(costs), 0.3 * max(costs))
    places = []
    for number, cost in enumerate(costs):
        equal = [n for n, other in enumerate(costs) if abs(other - cost) <= _SAME_COST * cost]
        places.append(cost + _APART * width * (equal.index(number) - (len(equal) - 1) / 2))
    return places
