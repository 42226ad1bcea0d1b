"""What a sweep looks like: a table, a plot, and what to type next."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from tests.evaluation.sweeps import line, sweep
from trm.errors import InputError
from trm.evaluation.sweep import Line
from trm.show.sweeps import _along, _curves, conclusion, line_text, plot_sweep, sweep_table
from trm.show.tables import markdown

LINES = (
    line(60, 0.1), line(70, 0.2, samples=2, noise=0.3, choose="halt"),
    line(72, 0.4, samples=4, noise=0.3, choose="halt"),
    line(66, 0.15, samples=4, noise=0.3, choose="first", halt=0.9),
)  # fmt: skip


def test_a_table_of_a_sweep() -> None:
    view = Console(file=io.StringIO(), width=80)
    view.print(sweep_table(sweep(*LINES)))
    assert isinstance(view.file, io.StringIO)
    shown = [text.split() for text in view.file.getvalue().splitlines() if text.strip()]
    assert shown[-4] == ["6", "1", "-", "-", "-", "0.6000", "0.502", "to", "0.691", "1.00", "0.1"]
    assert shown[-1] == [
        "6", "4", "0.3", "first", "0.9", "0.6600", "0.563", "to", "0.745", "1.50", "0.15"
    ]  # fmt: skip
    assert markdown(sweep_table(sweep(LINES[0]))).splitlines()[0] == (
        "| steps | samples | noise | choose | exact accuracy | 95% interval | steps taken | GFLOP |"
    )
    several = markdown(sweep_table(sweep(line(5, 1.0, votes=2, choose="vote"))))
    assert " | choose | votes | " in several


def test_what_to_type_next() -> None:
    found = list(conclusion(sweep(*LINES), ["--ckpt", "my run"]))
    assert found == [
        "best (exact_accuracy 0.7200, 0.4 GFLOP a puzzle): trm eval --ckpt 'my run' --samples 4 "
        "--noise 0.3 --choose halt",
        "cheapest within its interval (exact_accuracy 0.6600, 0.15 GFLOP a puzzle): trm eval "
        "--ckpt 'my run' --samples 4 --noise 0.3 --choose first --halt 0.9",
    ]
    assert next(conclusion(sweep(LINES[0]))).endswith(": trm eval")
    assert line_text(sweep(*LINES), LINES[0]).startswith("as published: exact_accuracy 0.6000, 0.1")


def named(*lines: Line) -> dict[str, list[int | None]]:
    along = _along(lines)
    return {name: [getattr(one, along) for one in group] for name, group in _curves(lines).items()}


def test_along_a_line_go_the_samples_from_the_undisturbed_one_on() -> None:
    assert named(*LINES) == {"halt": [1, 2, 4], "first": [1, 4]}
    other = line(70, 0.2, samples=2, noise=1.0, choose="halt")
    assert named(*LINES[:3], other) == {"noise 0.3": [1, 2, 4], "noise 1": [1, 2]}
    longer = (line(61, 0.2, steps=12), line(62, 0.4, steps=12, samples=2, noise=0.3, choose="halt"))
    assert named(*LINES[:2], *longer) == {"steps as trained": [1, 2], "steps 12": [1, 2]}


def test_of_one_number_of_samples_the_steps_go_along_it() -> None:
    lines = [line(50 + steps, steps / 10, steps=steps) for steps in (8, 2)]
    assert named(*lines) == {"": [2, 8]}
    votes = [line(9, 1.0, steps=s, votes=2, choose=c) for s in (1, 2) for c in ("halt", "vote")]
    assert named(*votes) == {"halt": [1, 2], "vote": [1, 2]}


@pytest.mark.parametrize("ending", [".png", ".svg", ".pdf"])
def test_a_plot_is_the_same_each_time(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        plot_sweep(tmp_path / f"{name}{ending}", sweep(*LINES))
    first, second = ((tmp_path / f"{name}{ending}").read_bytes() for name in ("a", "b"))
    assert first == second
    assert len(first) > 3000


def test_a_plot_says_what_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from trm.show import plots

    monkeypatch.setitem(plots._STYLE, "svg.fonttype", "none")
    plot_sweep(tmp_path / "a.svg", sweep(*LINES))
    drawn = (tmp_path / "a.svg").read_text()
    for text in (">halt<", ">first<", "GFLOP per puzzle; the numbers are samples<", ">0.2<", ">4<",
                 ">exact accuracy<"):  # fmt: skip
        assert text in drawn


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"a\.jpg: unknown kind of picture\. End it in \.png, "):
        plot_sweep(tmp_path / "a.jpg", sweep(*LINES))
