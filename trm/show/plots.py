"""Plots of pass@k and of a metric over training. Needs matplotlib.

matplotlib is imported only to draw. ``pyplot`` is never imported, so no window system is needed.
The same numbers give the same bytes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from trm.errors import InputError
from trm.pictures.figures import check_extension, plot_style, save_figure
from trm.storage import Paths

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

#: The x and y values of a line's points.
Curve = Sequence[tuple[float, float]]

#: Okabe and Ito's palette for colour-blind readers, without its pale yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", ":", "-.")
_WIDTH, _HEIGHT = 6.4, 3.8  # inches
_LEGEND_LINE = 0.21  # inches
_LEGEND_CHARACTERS = 80  # that fit the width of a plot
_LARGEST_K = 1000
_MAX_MARKERS = 30  # a line with more points has no markers
_MAX_POINTS = 200  # a line with more points is averaged, over a pale line of all its points


def plot(
    paths: Paths | None = None,
    *,
    out: str | Path | None = None,
    metric: str | None = None,
    pass_at_k: bool = False,
) -> Path:
    """Draw a metric over the steps of runs, or pass@k against k: ``trm plot``.

    Args:
        paths: a run, or several; or files that ``trm eval --json`` or ``trm vote --json`` wrote.
            Default: the newest run in ``runs``.
        out: the file to write, ``.png``, ``.svg`` or ``.pdf``. Default: named after the metric.
        metric: the metric to draw. Default: the main metric of the first run.
        pass_at_k: draw pass@k against k instead (ARC only).

    Returns:
        The file that was written.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if a path has nothing to draw.
        StorageError: if the file cannot be written.
    """
    from trm.show import plot_data

    inputs = plot_data.to_draw(paths)
    labels = plot_data.legend_labels(inputs)
    if pass_at_k or any(path.is_file() for path in inputs):
        if metric is not None:
            raise InputError(
                "--metric works with runs only, not with files or --pass-at-k. Leave it out."
            )
        picture = Path(out or "pass_at_k.png")
        curves: dict[str, Curve] = {}
        for label, path in zip(labels, inputs, strict=True):
            curves |= plot_data.pass_at_k_curves(path, label if len(inputs) > 1 else "")
        plot_pass_at_k(picture, curves, title=_title(labels))
        return picture
    run_curves, suffixes = [], []
    for run in inputs:
        metric, curve = plot_data.metric_over_steps(run, metric)  # the first run chooses for all
        run_curves.append(curve)
        suffixes.append(plot_data.split_suffix(run, metric))
    if metric is None:
        raise InputError("no run was given. Give one or more.")
    picture = Path(out or f"{metric.replace('/', '_')}.png")
    shared_suffix = suffixes[0] if len(set(suffixes)) == 1 else ""
    if not shared_suffix:
        labels = [label + suffix for label, suffix in zip(labels, suffixes, strict=True)]
    name = metric.removeprefix(plot_data.TRAIN_PREFIX)
    ylabel = name.replace("_", " ") + (" (training)" if name != metric else shared_suffix)
    curves = dict(zip(labels, run_curves, strict=True))
    plot_runs(picture, curves, metric, ylabel=ylabel, title=_title(labels))
    return picture


def _title(labels: Sequence[str]) -> str:
    """The name of a single run; the names of several are in the legend."""
    return labels[0] if len(labels) == 1 else ""


def plot_pass_at_k(path: Path, curves: Mapping[str, Curve], *, title: str = "") -> None:
    """Draw pass@k, one line for each label, with k from 1 to 1000 on a logarithmic axis.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        curves: by label, pairs of k (1 or more) and the share of puzzles (0 to 1) solved with k
            answers.
        title: what is above the picture, if anything.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the file extension is unknown, there are no curves, a curve has no points,
            or a number is out of range.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_extension(path)
    _check_lines("curve", curves)
    points = [point for curve in curves.values() for point in curve]
    for k, share in points:
        if not (k >= 1 and 0 <= share <= 1):
            raise InputError(
                f"pass@{k} = {share} cannot be drawn. Give a k of 1 or more and a share of 0 to 1."
            )
    ks, shares = zip(*points, strict=True)
    with plot_style():
        from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

        figure, axes = line_figure(curves)
        axes.set_xscale("log")
        axes.set_xlim(1, max(_LARGEST_K, *ks))
        axes.xaxis.set_major_formatter(FuncFormatter(_integer_tick))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, min(1, max(0.01, *shares) * 1.08))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.set_xlabel("k, answers allowed per puzzle")
        axes.set_ylabel("pass@k")
        axes.set_title(_shortened(title), loc="left")
        save_figure(path, figure)


def plot_runs(
    path: Path,
    runs: Mapping[str, Curve],
    metric: str,
    *,
    ylabel: str | None = None,
    title: str = "",
) -> None:
    """Draw a metric against training steps, one line for each run.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        runs: by run name, pairs of step and value. A value that is not finite leaves a gap.
        metric: the name of the metric.
        ylabel: the label of the y axis. Default: the metric's name.
        title: what is above the picture, if anything.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the file extension is unknown, there are no runs, or a run has no points.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_extension(path)
    _check_lines("run", runs)
    with plot_style():
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        figure, axes = line_figure(runs)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(_integer_tick))
        axes.set_xlabel("training step")
        axes.set_ylabel(metric.replace("_", " ") if ylabel is None else ylabel)
        axes.set_title(_shortened(title), loc="left")
        save_figure(path, figure)


def _check_lines(word: str, lines: Mapping[str, Curve]) -> None:
    if not lines:
        raise InputError(f"no {word} was given to plot. Give one or more.")
    for label, points in lines.items():
        if not points:
            raise InputError(f"{word} {label!r} has no points to plot. Leave it out.")


def line_figure(lines: Mapping[str, Curve]) -> tuple["Figure", "Axes"]:
    """A figure with one line for each label. Several lines have a legend above."""
    from matplotlib.figure import Figure

    names = [_shortened(label) for label in lines]
    columns = max(1, min(len(names), _LEGEND_CHARACTERS // (max(map(len, names)) + 8)))
    legend_height = -(-len(lines) // columns) * _LEGEND_LINE if len(lines) > 1 else 0
    figure = Figure(figsize=(_WIDTH, _HEIGHT + legend_height), layout="constrained")
    axes = figure.add_subplot()
    handles = [_draw_line(axes, number, points) for number, points in enumerate(lines.values())]
    if len(lines) > 1:
        placeholders = list(map(str, range(len(names))))
        legend = figure.legend(handles, placeholders, loc="outside upper left", ncols=columns)
        for text, name in zip(legend.get_texts(), names, strict=True):
            text.set_text(name)  # matplotlib would hide a label that begins with _
    return figure, axes


def _draw_line(axes: "Axes", number: int, points: Curve) -> "Line2D":
    """Draw a line. Its number decides its colour, marker and dashes."""
    points = sorted(points, key=lambda point: point[0])
    color = COLORS[number % len(COLORS)]
    if len(points) > _MAX_POINTS:
        axes.plot(*zip(*points, strict=True), color=color, linewidth=0.6, alpha=0.25, zorder=2)
    size = -(-len(points) // _MAX_POINTS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    means = [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]
    (line,) = axes.plot(
        *zip(*means, strict=True),
        color=color,
        linestyle=_DASHES[number // len(COLORS) % len(_DASHES)],
        marker=_MARKERS[number % len(_MARKERS)] if len(points) <= _MAX_MARKERS else "",
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,  # a marker on the axis is not cut off
        zorder=3,
    )
    return line


def _shortened(label: str) -> str:
    """A label that fits the width of a plot. A long one loses its middle."""
    if len(label) <= _LEGEND_CHARACTERS - 10:
        return label
    kept = (_LEGEND_CHARACTERS - 11) // 2
    return f"{label[:kept]}…{label[-kept:]}"


def _integer_tick(value: float, _: Any = None) -> str:
    """The label of a tick: a whole number, or nothing between whole numbers."""
    return f"{round(value):,}" if value == round(value) else ""
