"""Plots for a report: pass@k, and a metric over training. Needs matplotlib (``trm[plot]``).

matplotlib is imported only where something is drawn, and never its ``pyplot``: no window system,
no figures that stay open. The same numbers give the same bytes.
"""

import contextlib
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from trm.errors import ConfigError, InputError
from trm.storage import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Points = Sequence[tuple[float, float]]

#: Okabe and Ito's palette, told apart by colour-blind readers too, without its pale yellow.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X")
_DASHES = ("-", "--", ":", "-.")
ENDINGS = (".png", ".svg", ".pdf")
_WIDTH, _HEIGHT = 6.4, 3.8  # inches
_LEGEND_LINE, _LEGEND_LETTERS = 0.21, 80  # inches, and what fits the width of a plot
_LARGEST_K = 1000
_MOST_MARKED = 30  # a line of more points is drawn without markers
_MOST_DRAWN = 200  # of more points the means of neighbours are drawn, above a pale line of all

_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that it is there everywhere
    "font.size": 10,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.8,
    "xtick.color": "#555555",
    "ytick.color": "#555555",
    "xtick.labelcolor": "black",
    "ytick.labelcolor": "black",
    "text.parse_math": False,  # names are shown as they are, with their dollar signs
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "figure.constrained_layout.w_pad": 0.08,
    "figure.constrained_layout.h_pad": 0.06,
    "svg.hashsalt": "trm",
    "pdf.fonttype": 42,
}
#: Without date and version, so that the same picture is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".svg": {"Date": None, "Creator": None},
    ".pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


def plot(
    paths: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    metric: str | None = None,
    pass_at_k: bool = False,
) -> Path:
    """Draw a metric over the steps of runs, or pass@k against k: ``trm plot``.

    Args:
        paths: runs, or files that ``trm eval --json`` or ``trm vote --json`` wrote.
        out: the picture, ``.png``, ``.svg`` or ``.pdf``; named after the metric if left out.
        metric: what to draw over the steps; the first run's headline if left out.
        pass_at_k: draw pass@k against k instead; ARC only.

    Returns:
        The picture.

    Raises:
        InputError: if a path has nothing to draw.
    """
    from trm.show import plot_data

    files = [Path(path) for path in paths]
    names = plot_data.labels(files)
    if pass_at_k or any(path.is_file() for path in files):
        if metric is not None:
            raise InputError(
                "--metric is drawn over the steps of runs, not of files or with --pass-at-k. "
                "Leave it out."
            )
        picture = Path(out or "pass_at_k.png")
        found: dict[str, plot_data.Curve] = {}
        for name, path in zip(names, files, strict=True):
            found |= plot_data.pass_at_k(path, name if len(files) > 1 else "")
        plot_pass_at_k(picture, found)
        return picture
    drawn, marks = [], []
    for path in files:
        metric, curve = plot_data.over_steps(path, metric)  # all draw that of the first
        drawn.append(curve)
        marks.append(plot_data.split_mark(path, metric))
    if metric is None:
        raise InputError("no run was given. Name one.")
    picture = Path(out or f"{metric.replace('/', '_')}.png")
    shared = marks[0] if len(set(marks)) == 1 else ""
    if not shared:
        names = [name + mark for name, mark in zip(names, marks, strict=True)]
    ylabel = metric.replace("_", " ") + shared
    plot_runs(picture, dict(zip(names, drawn, strict=True)), metric, ylabel=ylabel)
    return picture


def plot_pass_at_k(path: Path, curves: Mapping[str, Points]) -> None:
    """Draw pass@k, one line a label, k from 1 to 1000 on a logarithmic axis.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        curves: pairs of k (1 or more) and the share of puzzles (0 to 1) solved with k answers.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: for another ending, no curves, a curve without points, or a number that is
            neither a k nor a share.
        StorageError: if the file cannot be written; nothing is left behind.
    """
    check_ending(path, ENDINGS)
    _check_lines("curve", curves)
    points = [point for curve in curves.values() for point in curve]
    for k, share in points:
        if not (k >= 1 and 0 <= share <= 1):
            raise InputError(
                f"pass@{k} = {share} cannot be drawn. Give a k of 1 or more and a share of 0 to 1."
            )
    ks, shares = zip(*points, strict=True)
    with house_style():
        from matplotlib.ticker import FuncFormatter, NullLocator, PercentFormatter

        figure, axes = lines_figure(curves)
        axes.set_xscale("log")
        axes.set_xlim(1, max(_LARGEST_K, *ks))
        axes.xaxis.set_major_formatter(FuncFormatter(_grouped))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_ylim(0, min(1, max(0.01, *shares) * 1.08))
        axes.yaxis.set_major_formatter(PercentFormatter(xmax=1))
        axes.set_xlabel("k, answers allowed per puzzle")
        axes.set_ylabel("pass@k")
        save_figure(path, figure)


def plot_runs(
    path: Path, runs: Mapping[str, Points], metric: str, *, ylabel: str | None = None
) -> None:
    """Draw a metric against training steps, one line a run.

    Args:
        path: ends in ``.png``, ``.svg`` or ``.pdf``.
        runs: pairs of step and value, by the run's name; a value that is not finite is a gap.
        metric: its name.
        ylabel: what to write at the axis instead of the metric's name.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: for another ending, no runs, or a run without points.
        StorageError: if the file cannot be written; nothing is left behind.
    """
    check_ending(path, ENDINGS)
    _check_lines("run", runs)
    with house_style():
        from matplotlib.ticker import FuncFormatter, MaxNLocator

        figure, axes = lines_figure(runs)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(_grouped))
        axes.set_xlabel("training step")
        axes.set_ylabel(metric.replace("_", " ") if ylabel is None else ylabel)
        save_figure(path, figure)


def check_ending(path: Path, endings: Sequence[str]) -> None:
    """Raise an :class:`InputError` unless the name ends in one of ``endings``."""
    if path.suffix.lower() not in endings:
        known = f"{', '.join(endings[:-1])} or {endings[-1]}"
        raise InputError(f"cannot draw to {path}: unknown kind of picture. End it in {known}.")


@contextlib.contextmanager
def house_style() -> Iterator[None]:
    """matplotlib with our looks, whatever the reader's own settings are; draw and save inside.

    Raises:
        ConfigError: if matplotlib is not installed.
    """
    try:
        import matplotlib
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ConfigError(
            'matplotlib, which draws pictures, is not installed. Run: pip install "trm[plot]"'
        ) from None
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_STYLE)
        yield


def save_figure(path: Path, figure: "Figure", dpi: int = 160) -> None:
    """Write a figure, in the kind that the ending says, whole or not at all.

    Raises:
        StorageError: if the file cannot be written.
    """
    kind = path.suffix.lower()
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes, which everybody can see.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(drawn, format=kind[1:], dpi=dpi, metadata=_METADATA[kind])
    with atomic_file(path) as file:
        file.write(drawn.getvalue())


def _check_lines(word: str, lines: Mapping[str, Points]) -> None:
    if not lines:
        raise InputError(f"no {word} was given to plot. Give one or more.")
    for label, points in lines.items():
        if not points:
            raise InputError(f"{word} {label!r} has no points to plot. Leave it out.")


def lines_figure(lines: Mapping[str, Points]) -> tuple["Figure", "Axes"]:
    """A figure with a line a label, and a legend above if there is more than one."""
    from matplotlib.figure import Figure

    columns = _legend_columns(list(lines))
    legend_height = -(-len(lines) // columns) * _LEGEND_LINE if len(lines) > 1 else 0
    figure = Figure(figsize=(_WIDTH, _HEIGHT + legend_height), layout="constrained")
    axes = figure.add_subplot()
    drawn = [_line(axes, number, points) for number, points in enumerate(lines.values())]
    if len(lines) > 1:
        names = [_shortened(label) for label in lines]
        places = list(map(str, range(len(names))))
        legend = figure.legend(drawn, places, loc="outside upper left", ncols=columns)
        for text, name in zip(legend.get_texts(), names, strict=True):
            text.set_text(name)  # not as a label: one that begins with _ would be left out
    return figure, axes


def _line(axes: "Axes", number: int, points: Points) -> "Line2D":
    """Draw the line of this number, which decides how it looks."""
    points = sorted(points, key=lambda point: point[0])
    color = COLORS[number % len(COLORS)]
    if len(points) > _MOST_DRAWN:
        axes.plot(*zip(*points, strict=True), color=color, linewidth=0.6, alpha=0.25, zorder=2)
    (line,) = axes.plot(
        *zip(*_means(points), strict=True),
        color=color,
        linestyle=_DASHES[number // len(COLORS) % len(_DASHES)],
        marker=_MARKERS[number % len(_MARKERS)] if len(points) <= _MOST_MARKED else "",
        markeredgecolor="white",
        markeredgewidth=0.6,
        clip_on=False,  # a point on the axis is seen whole
        zorder=3,
    )
    return line


def _means(points: Points) -> Sequence[tuple[float, float]]:
    """The points, or of too many the means of equally many neighbours."""
    size = -(-len(points) // _MOST_DRAWN)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(fmean(x for x, _ in group), fmean(y for _, y in group)) for group in groups]


def _legend_columns(labels: Sequence[str]) -> int:
    longest = max(len(_shortened(label)) for label in labels)
    return max(1, min(len(labels), _LEGEND_LETTERS // (longest + 8)))


def _shortened(label: str) -> str:
    """A label that fits the legend: of a longer one the middle is left out."""
    if len(label) <= _LEGEND_LETTERS - 10:
        return label
    kept = (_LEGEND_LETTERS - 11) // 2
    return f"{label[:kept]}…{label[-kept:]}"


def _grouped(value: float, _: Any = None) -> str:
    """A tick's number; none for a tick between whole numbers, as beside a lone step."""
    return f"{round(value):,}" if value == round(value) else ""
