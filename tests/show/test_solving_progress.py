"""How far the solving of many puzzles is, on a terminal and elsewhere."""

import io

import pytest
from rich.console import Console

from trm.show.progress import SolvingView


def console(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=150, color_system=None)


def text(view: Console) -> str:
    assert isinstance(view.file, io.StringIO)
    return view.file.getvalue()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in seconds, to be set."""
    now = [100.0]
    monkeypatch.setattr("trm.show.progress.time.monotonic", lambda: now[0])
    return now


def test_elsewhere_there_is_a_line_a_minute(clock: list[float]) -> None:
    view = console(terminal=False)
    with SolvingView(view) as progress:
        progress(1000, 0.2)  # were there already
        for done in range(1600, 5600, 600):
            clock[0] += 25
            progress(done, 0.2 + (done - 1000) / 6000)
    assert text(view).splitlines() == [
        "50%  2,800 puzzles  24 puzzles/s  ETA 0:02:05",
        "80%  4,600 puzzles  24 puzzles/s  ETA 0:00:50",
    ]


def test_of_a_stream_there_is_no_end_to_tell(clock: list[float]) -> None:
    view = console(terminal=False)
    with SolvingView(view) as progress:
        progress(0, None)
        clock[0] += 64
        progress(16, None)
    assert text(view) == "16 puzzles  0.25 puzzles/s\n"


def test_a_terminal_has_a_bar(clock: list[float]) -> None:
    view = console(terminal=True)
    with SolvingView(view) as progress:
        progress(0, 0.0)
        clock[0] += 2
        progress(3000, 0.5)
    assert "3,000 puzzles  1,500 puzzles/s  ETA 0:00:02" in text(view)
    assert " 50% " in text(view)
