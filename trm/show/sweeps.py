"""The results of ``trm sweep-eval``: a table, a plot of accuracy against cost, and commands."""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trm.pictures.figures import check_extension, plot_style, save_figure
from trm.show.fitted_table import Column, FittedTable
from trm.show.plots import COLORS, line_figure

if TYPE_CHECKING:
    from trm.evaluation.sweep import SweepLine, SweepReport


#: Points whose costs differ by less than this share are drawn next to each other,
_SAME_COST = 0.02
#: with this ratio between their positions.
_POINT_SPACING = 1.03


def sweep_table(sweep: "SweepReport") -> FittedTable:
    """One row for each evaluation. Votes and halting have a column only if they are used."""
    votes, halts = (
        any(getattr(line, name) != usual for line in sweep.lines)
        for name, usual in (("votes", 1), ("halt", None))
    )
    table = FittedTable(
        ">steps", ">samples", ">noise", "choose", *[">votes"] * votes, *[">halt"] * halts,
        f">{sweep.metric.replace('_', ' ')}", "95% interval",
        Column("steps taken", right=True, leave_out=1), ">GFLOP",
    )  # fmt: skip
    for line in sweep.lines:
        metric = sweep.value(line)
        interval = "{:.3f}-{:.3f}".format(*metric.interval) if metric.interval else ""
        table.add_row(
            str(line.steps or sweep.trained_steps), str(line.samples), _or_dash(line.noise),
            line.choose or "-", *[str(line.votes)] * votes, *[_or_dash(line.halt)] * halts,
            f"{metric.value:.4f}", interval, f"{line.steps_per_puzzle:.2f}",
            f"{line.gflop_per_puzzle:.3g}",
        )  # fmt: skip
    return table


def _or_dash(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


def sweep_line_parts(sweep: "SweepReport", line: "SweepLine") -> tuple[str, str]:
    """One evaluation on one line: how, and the result."""
    how = line.options.flags or "as published"
    value = sweep.value(line).value
    return f"{how}:", f"{sweep.metric} {value:.4f}, {line.gflop_per_puzzle:.3g} GFLOP a puzzle"


def sweep_conclusion(sweep: "SweepReport", common: Sequence[str] = ()) -> Iterator[str]:
    """The best combination and the cheapest one within its interval, as commands to type.

    Args:
        sweep: has at least one evaluation.
        common: further arguments of ``trm eval``.
    """
    best, cheapest = sweep.best, sweep.cheapest
    where = "" if sweep.split == "test" else " on held-out puzzles"
    for what, line in {"best": best, "cheapest within its interval": cheapest}.items():
        command = " ".join(["trm eval", shlex.join(common), line.options.flags])
        value = f"{sweep.metric} {sweep.value(line).value:.4f}{where}"
        cost = f"{line.gflop_per_puzzle:.3g} GFLOP a puzzle"
        yield f"{what}: {value}, {cost}"
        yield f"  {' '.join(command.split())}"


def plot_sweep(path: Path, sweep: "SweepReport") -> None:
    """Draw accuracy with its intervals against the arithmetic per puzzle.

    Along a curve the number of samples varies, or the number of steps if all evaluations have the
    same number of samples. All other settings are the same on a curve and differ between curves.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        sweep: has at least one evaluation.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the file extension is unknown.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_extension(path)
    varying = "samples" if len({line.samples for line in sweep.lines}) > 1 else "steps"
    curves = _group_into_curves(sweep.lines, varying)
    costs = _shifted_costs(curves, varying)
    points = {
        name: [(x, sweep.value(line).value) for x, line in zip(costs[name], lines, strict=True)]
        for name, lines in curves.items()
    }
    with plot_style():
        from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter

        figure, axes = line_figure(points)
        axes.set_xscale("log")
        gflops = [line.gflop_per_puzzle for line in sweep.lines]
        axes.set_xlim(min(gflops) / 1.3, max(gflops) * 1.3)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        for number, (name, lines) in enumerate(curves.items()):
            color = COLORS[number % len(COLORS)]
            for (x, y), line in zip(points[name], lines, strict=True):
                interval = sweep.value(line).interval
                if interval:
                    axes.vlines(x, *interval, color=color, alpha=0.4, linewidth=1.2)
                axes.annotate(
                    str(getattr(line, varying) or sweep.trained_steps), (x, y), (3, -3),
                    textcoords="offset points", fontsize=7, color=color, va="top",
                )  # fmt: skip
        axes.set_xlabel(f"GFLOP per puzzle; the numbers are {varying}")
        axes.set_ylabel(sweep.metric.replace("_", " "))
        save_figure(path, figure)


def _group_into_curves(lines: "Sequence[SweepLine]", varying: str) -> "dict[str, list[SweepLine]]":
    """The evaluations of each curve by its name, cheapest first.

    If the samples vary, every curve begins with the evaluation of one sample, which has no noise.
    """
    names = [n for n in ("choose", "noise", "votes", "steps", "samples") if n != varying]
    curves: dict[tuple[Any, ...], list[SweepLine]] = {}
    for line in lines:
        if varying == "steps" or line.samples > 1:
            curves.setdefault(tuple(getattr(line, name) for name in names), []).append(line)
    for line in lines:
        if varying == "samples" and line.samples == 1:
            for key, curve in curves.items():
                shared = dict(zip(names, key, strict=True))
                if (line.steps, line.votes) == (shared["steps"], shared["votes"]) and (
                    line.choose in (None, shared["choose"])
                ):
                    curve.append(line)
    different = [i for i, values in enumerate(zip(*curves, strict=True)) if len({*values}) > 1]
    return {
        ", ".join(_setting_text(names[i], key[i]) for i in different): sorted(
            curve, key=lambda line: line.gflop_per_puzzle
        )
        for key, curve in curves.items()
    }


def _setting_text(name: str, value: Any) -> str:
    """A setting in the name of a curve.

    >>> _setting_text("noise", 0.3), _setting_text("choose", "halt"), _setting_text("steps", None)
    ('noise 0.3', 'halt', 'steps as trained')
    """
    if name == "choose":
        return value or "one rollout"
    if value is None:
        return f"{name} as trained" if name == "steps" else f"no {name}"
    return f"{name} {value:g}"


def _shifted_costs(
    curves: "Mapping[str, Sequence[SweepLine]]", varying: str
) -> "dict[str, list[float]]":
    """The x of each curve's points: their cost, shifted if points of other curves cost the same.

    The evaluation of one sample that all curves begin with is not shifted.
    """
    own_points = [
        (line.gflop_per_puzzle, name)
        for name, lines in curves.items()
        for line in lines
        if varying == "steps" or line.samples > 1
    ]

    def x(line: "SweepLine", name: str) -> float:
        cost = line.gflop_per_puzzle
        if (cost, name) not in own_points:
            return cost
        names = [other for c, other in own_points if abs(c / cost - 1) < _SAME_COST]
        names = list(dict.fromkeys(names))
        shift: float = _POINT_SPACING ** (names.index(name) - (len(names) - 1) / 2)
        return cost * shift

    return {name: [x(line, name) for line in lines] for name, lines in curves.items()}
