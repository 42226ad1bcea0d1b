"""Plots: the files are written and read back, lines, ticks and labels."""

import html
import math
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.errors import ConfigError, InputError
from trm.pictures.figures import plot_style
from trm.show.plots import COLORS, plot_pass_at_k, plot_runs

pytest.importorskip("matplotlib")
from matplotlib.image import imread

SVG = "{http://www.w3.org/2000/svg}"
CURVE = [(1, 0.25), (2, 0.4), (10, 0.5), (100, 0.6), (1000, 0.75)]
SIGNATURES = {"png": b"\x89PNG\r\n\x1a\n", "svg": b"<?xml", "pdf": b"%PDF-"}

Draw = Callable[[Path], None]
DRAW: dict[str, Draw] = {
    "pass@k": lambda path: plot_pass_at_k(path, {"a": CURVE, "b": [(1, 0.1), (5, 0.3)]}),
    "runs": lambda path: plot_runs(path, {"a": [(0, 2.0), (10, 1.0)], "b": [(5, 1.5)]}, "loss"),
}


class Drawing:
    """What an SVG shows: its words, and each line's points and dashes by colour."""

    def __init__(self, path: Path) -> None:
        with_comments = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
        tree = ET.parse(path, with_comments)
        self.words = [html.unescape(found.text or "").strip() for found in tree.iter(ET.Comment)]
        self.lines: list[tuple[str, list[list[float]], bool]] = []
        for found in tree.iter(f"{SVG}path"):
            style = found.get("style", "")
            color = next((c for c in COLORS if f"stroke: {c.lower()}" in style), None)
            if color and "stroke-width: 1.8" in style:
                points = [list(map(float, p.split())) for p in _points(found.get("d", ""))]
                self.lines.append((color, points, "stroke-dasharray" in style))

    def of(self, color: str) -> list[list[float]]:
        """The points of the line of a colour, which comes before the legend's."""
        (line, *_) = [points for found, points, _ in self.lines if found == color]
        return line


def _points(data: str) -> list[str]:
    return [part for part in data.replace("M", "L").replace("\n", " ").split("L") if part.strip()]


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize("ending", SIGNATURES)
def test_each_kind_of_file_is_written(tmp_path: Path, draw: Draw, ending: str) -> None:
    path = tmp_path / "new" / f"plot.{ending}"
    draw(path)
    assert path.read_bytes().startswith(SIGNATURES[ending])
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_png_is_large_enough_to_read(tmp_path: Path) -> None:
    plot_pass_at_k(tmp_path / "a.png", {"a": CURVE})
    picture = imread(tmp_path / "a.png")
    assert picture.shape[0] > 500
    assert picture.shape[1] > 1000
    blue = np.abs(picture[..., :3] * 255 - (0, 0x72, 0xB2)).max(axis=-1) < 2
    assert blue.sum() > 1000


def test_pass_at_k_is_drawn_on_a_logarithmic_axis_from_zero(tmp_path: Path) -> None:
    plot_pass_at_k(tmp_path / "a.svg", {"a": CURVE})
    drawing = Drawing(tmp_path / "a.svg")
    across, down = np.array(drawing.of(COLORS[0])).T
    logs = np.log10([k for k, _ in CURVE])
    assert (across - across[0]) / (across[-1] - across[0]) == pytest.approx(logs / 3, abs=1e-4)
    shares = np.array([share for _, share in CURVE])
    bottom = down[0] + (down[0] - down[-1]) * shares[0] / (shares[-1] - shares[0])
    assert (bottom - down) / (bottom - down[-1]) == pytest.approx(shares / shares[-1], abs=1e-4)
    assert {"1", "10", "100", "1,000", "0%", "20%", "60%", "pass@k"} <= set(drawing.words)


def test_a_curve_that_ends_early_leaves_the_axis_as_it_is(tmp_path: Path) -> None:
    plot_pass_at_k(tmp_path / "a.svg", {"short": [(1, 0.0)], "long": [(1, 0.0), (1000, 0.0)]})
    assert {"1", "1,000"} <= set(Drawing(tmp_path / "a.svg").words)
    plot_pass_at_k(tmp_path / "b.svg", {"short": [(2, 1.0), (1, 0.5)]})
    assert {"1", "1,000", "100%"} <= set(Drawing(tmp_path / "b.svg").words)


def test_a_larger_k_lengthens_the_axis(tmp_path: Path) -> None:
    plot_pass_at_k(tmp_path / "a.svg", {"a": [(1, 0.5), (10_000, 0.6)]})
    assert "10,000" in Drawing(tmp_path / "a.svg").words


@pytest.mark.parametrize("point", [(0, 0.5), (1, 40.0), (1, -0.1), (1, math.nan)])
def test_what_is_no_pass_at_k_is_refused(tmp_path: Path, point: tuple[int, float]) -> None:
    message = rf"^pass@{point[0]} = {point[1]} cannot be drawn\. Give a k of 1 or more and a share"
    with pytest.raises(InputError, match=message):
        plot_pass_at_k(tmp_path / "a.svg", {"a": [(1, 0.5), point]})


def test_runs_are_drawn_by_step(tmp_path: Path) -> None:
    points = [(2000, 0.5), (0, 2.0), (1000, 1.5)]
    plot_runs(tmp_path / "a.svg", {"a": points}, "exact_accuracy")
    drawing = Drawing(tmp_path / "a.svg")
    across, down = np.array(drawing.of(COLORS[0])).T
    assert np.diff(across) == pytest.approx([across[1] - across[0]] * 2)
    assert (down - down[0]) / (down[-1] - down[0]) == pytest.approx([0, 1 / 3, 1], abs=1e-4)
    assert {"training step", "exact accuracy", "0", "2,000"} <= set(drawing.words)


def test_a_lone_step_has_no_neighbours(tmp_path: Path) -> None:
    plot_runs(tmp_path / "a.svg", {"a": [(0, 1.0)]}, "loss")
    words = Drawing(tmp_path / "a.svg").words
    assert words.count("0") == 1
    assert "-0" not in words


def test_the_axis_may_be_named(tmp_path: Path) -> None:
    plot_runs(tmp_path / "a.svg", {"a": [(1, 1.0)]}, "loss", ylabel="loss in $")
    words = Drawing(tmp_path / "a.svg").words
    assert "loss in $" in words
    assert "loss" not in words


def test_a_value_that_is_no_number_is_a_gap(tmp_path: Path) -> None:
    values = [1.0, 0.9, math.nan, 0.7, math.inf, 0.5, 0.4]
    plot_runs(tmp_path / "a.svg", {"a": list(enumerate(values))}, "loss")
    assert len(Drawing(tmp_path / "a.svg").of(COLORS[0])) == 5


def test_few_points_are_marked_and_many_are_not(tmp_path: Path) -> None:
    marks = []
    for count in (20, 200):
        path = tmp_path / f"{count}.svg"
        plot_runs(path, {"a": [(step, 1 / (step + 1)) for step in range(count)]}, "loss")
        uses = ET.parse(path).getroot().iter(f"{SVG}use")
        marks.append(sum("fill: #0072b2" in use.get("style", "") for use in uses))
    assert marks == [20, 0]


def test_a_short_line_has_markers_next_to_a_long_one(tmp_path: Path) -> None:
    """A lone point would not be seen without."""
    path = tmp_path / "a.svg"
    plot_runs(path, {"long": [(step, 1.0) for step in range(100)], "new": [(50, 2.0)]}, "loss")
    uses = list(ET.parse(path).getroot().iter(f"{SVG}use"))
    assert sum(f"fill: {COLORS[1].lower()}" in use.get("style", "") for use in uses) == 2
    assert not any(f"fill: {COLORS[0].lower()}" in use.get("style", "") for use in uses)


def test_many_points_are_averaged_over_a_pale_line(tmp_path: Path) -> None:
    points = [(step, 1.0 + (-1) ** step) for step in range(1000)]
    plot_runs(tmp_path / "a.svg", {"a": points, "b": [(0, 0.0), (999, 2.0)]}, "loss")
    drawing = Drawing(tmp_path / "a.svg")
    across, down = np.array(drawing.of(COLORS[0])).T
    assert len(across) in (200, 201)  # the last is written twice
    (left, low), (right, high) = drawing.of(COLORS[1])
    assert across[0] - left == pytest.approx((right - left) * 2 / 999, abs=1e-3)
    middle = (low + high) / 2
    assert np.abs(down - middle).max() == pytest.approx((low - high) / 2 / 5, abs=1e-3)
    pale = (tmp_path / "a.svg").read_text()
    assert pale.count("stroke-opacity: 0.25; stroke-width: 0.6") == 1


def test_one_line_needs_no_legend(tmp_path: Path) -> None:
    plot_runs(tmp_path / "a.svg", {"only": [(0, 1.0), (1, 2.0)]}, "loss")
    assert "only" not in Drawing(tmp_path / "a.svg").words
    plot_runs(tmp_path / "b.svg", {"one": [(0, 1.0), (1, 2.0)], "two": [(0, 1.0)]}, "loss")
    assert {"one", "two"} <= set(Drawing(tmp_path / "b.svg").words)


def test_each_line_looks_different(tmp_path: Path) -> None:
    runs = {f"run-{number}": [(0, float(number)), (99, number + 1.0)] for number in range(20)}
    plot_runs(tmp_path / "a.svg", runs, "loss")
    text = (tmp_path / "a.svg").read_text()
    assert all(color.lower() in text for color in COLORS[:-1])
    drawing = Drawing(tmp_path / "a.svg")
    assert set(runs) <= set(drawing.words)
    assert {dashed for color, _, dashed in drawing.lines if color == COLORS[0]} == {False, True}


@pytest.mark.parametrize(
    "label", ["_hidden", "$5 or {6", "日本 🙂", "W" * 300, "long name " * 30, "", "a & <b>"]
)
def test_a_name_of_any_kind_is_in_the_legend(tmp_path: Path, label: str) -> None:
    plot_runs(tmp_path / "a.svg", {label: [(0, 1.0)], "other": [(0, 2.0)]}, "loss")
    words = Drawing(tmp_path / "a.svg").words
    shown = label if len(label) < 70 else f"{label[:34]}…{label[-34:]}"
    assert shown.strip() in words or not label


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize("ending", SIGNATURES)
def test_the_same_numbers_are_the_same_bytes(tmp_path: Path, draw: Draw, ending: str) -> None:
    paths = [tmp_path / f"{name}.{ending}" for name in ("first", "second")]
    for path in paths:
        draw(path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"Date" not in paths[0].read_bytes()


def test_the_same_numbers_are_the_same_bytes_in_another_process(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from trm.show.plots import plot_pass_at_k;"
        "[plot_pass_at_k(Path(name), {'a': [(1, 0.5)], 'b': [(9, 0.75)]}) for name in sys.argv[1:]]"
    )
    kinds = []
    for seed in ("1", "2"):
        names = [str(tmp_path / f"{seed}.{ending}") for ending in SIGNATURES]
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", program, *names], check=True, env=environment)
        kinds.append([Path(name).read_bytes() for name in names])
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
@pytest.mark.parametrize("name", ["plot.jpg", "plot", "pdf"])
def test_another_ending_is_refused(tmp_path: Path, draw: Draw, name: str) -> None:
    message = rf"^cannot draw to .*{name}: unknown file extension\. Use \.png, \.svg or \.pdf\.$"
    with pytest.raises(InputError, match=message):
        draw(tmp_path / "new" / name)
    assert not list(tmp_path.iterdir())


def test_nothing_to_plot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    with pytest.raises(InputError, match=r"^no run was given to plot\. Give one or more\.$"):
        plot_runs(path, {}, "loss")
    with pytest.raises(InputError, match=r"^run 'b' has no points to plot\. Leave it out\.$"):
        plot_runs(path, {"a": [(0, 1.0)], "b": []}, "loss")
    with pytest.raises(InputError, match=r"^no curve was given to plot\."):
        plot_pass_at_k(path, {})
    with pytest.raises(InputError, match=r"^curve 'a' has no points to plot\."):
        plot_pass_at_k(path, {"a": []})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)
def test_without_matplotlib_the_message_says_what_to_install(
    tmp_path: Path, draw: Draw, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ConfigError, match=r"not installed\. Run: pip install matplotlib$"):
        draw(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())


def test_a_matplotlib_that_is_broken_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "matplotlib":
                raise ModuleNotFoundError("No module named 'cycler'", name="cycler")

    monkeypatch.delitem(sys.modules, "matplotlib")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    with pytest.raises(ModuleNotFoundError, match="cycler"), plot_style():
        pass
