"""What came of a sweep: a table, a plot of accuracy against arithmetic, and what to type next."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from trm.show.plots import COLORS, ENDINGS, check_ending, house_style, lines_figure, save_figure
from trm.show.tables import table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from trm.evaluation.sweep import Line, Sweep


#: Costs that differ by less are drawn as equal ones, so far from each other.
_EQUAL, _APART = 0.02, 1.03


def sweep_table(sweep: "Sweep") -> Table:
    """A line for each evaluation; votes and halting stand in it where they are used."""
    votes, halts = (
        any(getattr(line, name) != usual for line in sweep.lines)
        for name, usual in (("votes", 1), ("halt", None))
    )
    made = table(">steps", ">samples", ">noise", "choose", *[">votes"] * votes, *[">halt"] * halts,
                 f">{sweep.metric.replace('_', ' ')}", "95% interval", ">steps taken", ">GFLOP",
                 )  # fmt: skip
    made.padding = (0, 0 if votes and halts else 1, 0, 0)  # so that 80 letters are enough
    for column in made.columns:
        column.min_width = max(map(len, str(column.header).split()))
    made.columns[-3].no_wrap = True
    for line in sweep.lines:
        metric = sweep.value(line)
        interval = "{:.3f} to {:.3f}".format(*metric.interval) if metric.interval else ""
        made.add_row(
            str(line.steps or sweep.trained_steps), str(line.samples), _or_dash(line.noise),
            line.choose or "-", *[str(line.votes)] * votes, *[_or_dash(line.halt)] * halts,
            f"{metric.value:.4f}", interval, f"{line.steps_per_puzzle:.2f}",
            f"{line.gflop_per_puzzle:.3g}",
        )  # fmt: skip
    return made


def _or_dash(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


def line_text(sweep: "Sweep", line: "Line") -> str:
    """One evaluation in short."""
    how = line.thinking.flags or "as published"
    value = sweep.value(line).value
    return f"{how}: {sweep.metric} {value:.4f}, {line.gflop_per_puzzle:.3g} GFLOP a puzzle"


def conclusion(sweep: "Sweep", common: Sequence[str] = ()) -> Iterator[str]:
    """The best combination, and the cheapest that is about as good, as commands to type.

    Args:
        sweep: with at least one line.
        common: further arguments of ``trm eval``.
    """
    best, cheapest = sweep.best, sweep.cheapest
    where = "" if sweep.split == "test" else " on held-out puzzles"
    for what, line in {"best": best, "cheapest within its interval": cheapest}.items():
        command = " ".join(["trm eval", shlex.join(common), line.thinking.flags])
        value = f"{sweep.metric} {sweep.value(line).value:.4f}{where}"
        cost = f"{line.gflop_per_puzzle:.3g} GFLOP a puzzle"
        yield f"{what} ({value}, {cost}): {' '.join(command.split())}"


def plot_sweep(path: Path, sweep: "Sweep") -> None:
    """Draw accuracy, with its intervals, against the arithmetic for a puzzle.

    A line for each way to choose, noise and what else differs; along it go the samples, or where
    their number is always the same, the steps.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        sweep: with at least one line. Points of the same cost are drawn beside each other.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: for another ending.
        StorageError: if the file cannot be written; nothing is left behind.
    """
    check_ending(path, ENDINGS)
    curves, along = _curves(sweep.lines), _along(sweep.lines)
    places = _places(curves, along)
    points = {
        name: [(x, sweep.value(line).value) for x, line in zip(places[name], lines, strict=True)]
        for name, lines in curves.items()
    }
    with house_style():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

        figure, axes = lines_figure(points)
        axes.set_xscale("log")
        costs = [line.gflop_per_puzzle for line in sweep.lines]
        axes.set_xlim(min(costs) / 1.3, max(costs) * 1.3)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        for number, (name, lines) in enumerate(curves.items()):
            color = COLORS[number % len(COLORS)]
            _mark(axes, sweep, dict(zip(points[name], lines, strict=True)), color)
        axes.set_xlabel(f"GFLOP per puzzle; the numbers are {along}")
        axes.set_ylabel(sweep.metric.replace("_", " "))
        save_figure(path, figure)


def _places(curves: "Mapping[str, Sequence[Line]]", along: str) -> "dict[str, list[float]]":
    """Where the points of each line go: at their cost, but those of equal cost beside each other.

    The one sample that all lines begin with stays where it is.
    """
    own = [
        (line.gflop_per_puzzle, name)
        for name, lines in curves.items()
        for line in lines
        if along == "steps" or line.samples > 1
    ]

    def place(line: "Line", name: str) -> float:
        cost = line.gflop_per_puzzle
        near = list(dict.fromkeys(who for other, who in own if abs(other / cost - 1) < _EQUAL))
        if (cost, name) not in own:
            return cost
        ratio: float = _APART ** (near.index(name) - (len(near) - 1) / 2)
        return cost * ratio

    return {name: [place(line, name) for line in lines] for name, lines in curves.items()}


def _mark(
    axes: "Axes", sweep: "Sweep", lines: "Mapping[tuple[float, float], Line]", color: str
) -> None:
    """The intervals of a line's points, and a number at each."""
    along = _along(sweep.lines)
    for (x, y), line in lines.items():
        interval = sweep.value(line).interval
        if interval:
            axes.vlines(x, *interval, color=color, alpha=0.4, linewidth=1.2)
        axes.annotate(
            str(getattr(line, along) or sweep.trained_steps), (x, y), (3, -3),
            textcoords="offset points", fontsize=7, color=color, va="top",
        )  # fmt: skip


def _along(lines: "Sequence[Line]") -> str:
    """What changes along a line of the plot."""
    return "samples" if len({line.samples for line in lines}) > 1 else "steps"


def _curves(lines: "Sequence[Line]") -> "dict[str, list[Line]]":
    """The lines of the plot, cheapest evaluation first, by their names.

    Every line of several samples begins with the one sample that is not disturbed.
    """
    along = _along(lines)
    names = [n for n in ("choose", "noise", "votes", "steps", "samples") if n != along]
    groups: dict[tuple[Any, ...], list[Line]] = {}
    for line in lines:
        if along == "steps" or line.samples > 1:
            groups.setdefault(tuple(getattr(line, name) for name in names), []).append(line)
    for line in lines:
        if along == "samples" and line.samples == 1:
            for key, group in groups.items():
                same = dict(zip(names, key, strict=True))
                if (line.steps, line.votes) == (same["steps"], same["votes"]) and (
                    line.choose in (None, same["choose"])
                ):
                    group.append(line)
    varied = [place for place, values in enumerate(zip(*groups, strict=True)) if len({*values}) > 1]
    return {
        ", ".join(_part(names[place], key[place]) for place in varied): sorted(
            group, key=lambda line: line.gflop_per_puzzle
        )
        for key, group in groups.items()
    }


def _part(name: str, value: Any) -> str:
    """A setting in a name of a line.

    >>> _part("noise", 0.3), _part("choose", "halt"), _part("steps", None)
    ('noise 0.3', 'halt', 'steps as trained')
    """
    if name == "choose":
        return value or "one rollout"
    if value is None:
        return f"{name} as trained" if name == "steps" else f"no {name}"
    return f"{name} {value:g}"
