"""The results of a sweep: a table, a plot, and commands to type next."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.evaluation.sweeps import line, sweep
from tests.show.printed import printed
from trm.errors import InputError
from trm.evaluation.sweep import SweepLine
from trm.show.fitted_table import markdown
from trm.show.plots import COLORS
from trm.show.sweeps import plot_sweep, sweep_conclusion, sweep_line_parts, sweep_table

LINES = (
    line(60, 0.1), line(70, 0.2, samples=2, noise=0.3, choose="halt"),
    line(72, 0.4, samples=4, noise=0.3, choose="halt"),
    line(66, 0.15, samples=4, noise=0.3, choose="first", halt=0.9),
)  # fmt: skip


def test_a_table_of_a_sweep() -> None:
    shown = [text.split() for text in printed(sweep_table(sweep(*LINES)))]
    assert shown[-4] == ["6", "1", "-", "-", "-", "0.6000", "0.502-0.691", "1.00", "0.1"]
    assert shown[-1] == ["6", "4", "0.3", "first", "0.9", "0.6600", "0.563-0.745", "1.50", "0.15"]
    assert markdown(sweep_table(sweep(LINES[0]))).splitlines()[0] == (
        "| steps | samples | noise | choose | exact accuracy | 95% interval | steps taken | GFLOP |"
    )
    several = markdown(sweep_table(sweep(line(5, 1.0, votes=2, choose="vote"))))
    assert " | choose | votes | " in several


def test_what_to_type_next() -> None:
    found = list(sweep_conclusion(sweep(*LINES), ["--ckpt", "my run"]))
    assert found == [
        "best: exact_accuracy 0.7200, 0.4 GFLOP a puzzle",
        "  trm eval --ckpt 'my run' --samples 4 --noise 0.3 --choose halt",
        "cheapest within its interval: exact_accuracy 0.6600, 0.15 GFLOP a puzzle",
        "  trm eval --ckpt 'my run' --samples 4 --noise 0.3 --choose first --halt 0.9",
    ]
    assert list(sweep_conclusion(sweep(LINES[0])))[1] == "  trm eval"
    how, result = sweep_line_parts(sweep(*LINES), LINES[0])
    assert (how, result) == ("as published:", "exact_accuracy 0.6000, 0.1 GFLOP a puzzle")


SVG = "{http://www.w3.org/2000/svg}"


def drawn_texts(path: Path) -> list[tuple[str, str]]:
    """The texts of an SVG with their colours; matplotlib names each text in a comment."""
    with_comments = ET.XMLParser(target=ET.TreeBuilder(insert_comments=True))
    texts = []
    for group in ET.parse(path, with_comments).iter(f"{SVG}g"):
        if group.get("id", "").startswith("text_"):
            words = next(found.text or "" for found in group if found.tag is ET.Comment)
            styles = [found.get("style", "") for found in group.iter(f"{SVG}g")]
            color = next((c for c in COLORS if any(f"fill: {c.lower()}" in s for s in styles)), "")
            texts.append((words.strip(), color))
    return texts


def drawn_curves(folder: Path, *lines: SweepLine) -> dict[str, list[str]]:
    """The numbers next to the points of each curve, by the curve's name in the legend."""
    plot_sweep(folder / "a.svg", sweep(*lines))
    texts = drawn_texts(folder / "a.svg")
    numbers = {color: [word for word, c in texts if c == color] for color in COLORS}
    axis_title = next(i for i, (word, _) in enumerate(texts) if word == "exact accuracy")
    names = [word for word, color in texts[axis_title + 1 :] if not color] or [""]
    curves = {name: numbers.pop(color) for name, color in zip(names, COLORS, strict=False)}
    assert not any(numbers.values())
    return curves


def test_samples_vary_along_a_curve_from_the_one_without_noise(tmp_path: Path) -> None:
    assert drawn_curves(tmp_path, *LINES) == {"halt": ["1", "2", "4"], "first": ["1", "4"]}
    other = line(70, 0.2, samples=2, noise=1.0, choose="halt")
    assert drawn_curves(tmp_path, *LINES[:3], other) == {
        "noise 0.3": ["1", "2", "4"],
        "noise 1": ["1", "2"],
    }
    longer = (line(61, 0.2, steps=12), line(62, 0.4, steps=12, samples=2, noise=0.3, choose="halt"))
    assert drawn_curves(tmp_path, *LINES[:2], *longer) == {
        "steps as trained": ["1", "2"],
        "steps 12": ["1", "2"],
    }


def test_steps_vary_along_a_curve_if_the_samples_do_not(tmp_path: Path) -> None:
    lines = [line(50 + steps, steps / 10, steps=steps) for steps in (8, 2)]
    assert drawn_curves(tmp_path, *lines) == {"": ["2", "8"]}
    votes = [line(9, 1.0, steps=s, votes=2, choose=c) for s in (1, 2) for c in ("halt", "vote")]
    assert drawn_curves(tmp_path, *votes) == {"halt": ["1", "2"], "vote": ["1", "2"]}


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_plot_is_the_same_each_time(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        plot_sweep(tmp_path / f"{name}{ending}", sweep(*LINES))
    first, second = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 3000


def test_a_plot_names_its_axes_and_curves(tmp_path: Path) -> None:
    plot_sweep(tmp_path / "a.svg", sweep(*LINES))
    words = {word for word, _ in drawn_texts(tmp_path / "a.svg")}
    expected = {"halt", "first", "GFLOP per puzzle; the numbers are samples", "0.2", "4"}
    assert words >= expected | {"exact accuracy"}


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jpg: unknown file extension\. Use \.png, "):
        plot_sweep(tmp_path / "a.jpg", sweep(*LINES))
