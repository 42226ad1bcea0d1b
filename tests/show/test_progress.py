"""Progress of training, evaluation and solving, in a terminal and elsewhere."""

import io

import pytest

from trm.show.progress import EvaluationView, SolvingView, TrainingView, duration, record_line
from trm.show.text import Terminal

TRAIN = {
    "event": "train", "step": 20, "loss": 1.23456, "halting_loss": 0.5, "exact_accuracy": None,
    "cell_accuracy": 0.25, "mean_steps": None, "lr": 1e-3, "samples_per_s": 512.0,
    "mfu": 0.354, "eta_s": 61.0, "elapsed_s": 3.0, "num_halted": 0,
}  # fmt: skip


def console(terminal: bool, width: int = 150) -> Terminal:
    return Terminal(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)


def text(view: Terminal) -> str:
    assert isinstance(view.file, io.StringIO)
    return view.file.getvalue()


def test_a_record_is_one_greppable_line() -> None:
    expected = (
        "train step 20/40 loss 1.235 cell_accuracy 0.25 samples_per_s 512 lr 0.001 eta 0:01:01"
    )
    assert record_line(TRAIN, 40) == expected
    assert record_line(TRAIN, 40, verbose=True) == (
        "train step 20/40 loss 1.235 halting_loss 0.5 cell_accuracy 0.25 lr 0.001 "
        "samples_per_s 512 mfu 0.354 eta 0:01:01"
    )


def test_without_a_terminal_each_record_is_a_line() -> None:
    view = console(terminal=False)
    with TrainingView(view, 40) as listen:
        listen(TRAIN)
        listen({"event": "eval", "step": 20, "exact_accuracy": 0.5})
    lines = text(view).splitlines()
    assert lines == [record_line(TRAIN, 40), "eval step 20/40 exact_accuracy 0.5"]


NUMBERS = "loss 1.235  cell_accuracy 0.25  mean_steps 3.5"


@pytest.mark.parametrize(
    ("width", "numbers"),
    [(60, NUMBERS), (80, NUMBERS + "  samples_per_s 512  lr 0.001")],
)
def test_a_terminal_has_a_bar_and_below_it_the_numbers_that_fit(width: int, numbers: str) -> None:
    view = console(terminal=True, width=width)
    with TrainingView(view, 40, start=10) as listen:
        listen(TRAIN | {"mean_steps": 3.5})
    bar, below, _ = text(view).split("\x1b[2K")[-1].splitlines()
    assert below == numbers
    assert bar.startswith("step 20/40 " + 12 * "\u2501")
    assert bar.endswith(" 50% 0:00:00 eta 0:01:01")
    assert len(bar) == width


START = {
    "event": "start", "step": 10, "run": "runs/a", "total_steps": 40, "processes": 2,
    "compiled": False, "step_flops": 5e9, "flops_per_s": 6e10, "step_s": 0.083, "run_s": 190.0,
}  # fmt: skip
ABOUT = "about 83 ms a step, 3 min in all (5.0 GFLOP a step at 60 GFLOP/s)"


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize(
    ("change", "more"),
    [
        ({}, [ABOUT]),
        ({"compiled": True}, [ABOUT, "compiling the network: the first steps take longer"]),
        ({"step": 40}, []),
    ],
)
def test_a_start_says_how_long_the_run_takes(
    terminal: bool, change: dict[str, object], more: list[str]
) -> None:
    view, record = console(terminal), START | change
    with TrainingView(view, 40) as listen:
        listen(record)
    run = f"run runs/a, from step {record['step']}, on 2 processes"
    for line in (run, *more):
        assert f"{line}\n" in text(view)
    assert ("about" in text(view)) == bool(more)


def test_verbose_numbers_take_several_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "verbosity", "verbose")
    view = console(terminal=True, width=60)
    with TrainingView(view, 40) as listen:
        listen(TRAIN)
    assert "halting_loss 0.5" in text(view)
    assert "\n  samples_per_s 512  mfu 0.354" in text(view)


def test_lines_above_the_bar_fit_the_terminal_and_keep_paths_whole() -> None:
    path = "runs/sudoku/mlp-20260101-101010/checkpoints/step-000020"
    view = console(terminal=True, width=60)
    with TrainingView(view, 40) as listen:
        listen({"event": "checkpoint", "step": 20, "path": path})
        listen(
            {"event": "eval", "step": 20, "examples": 600, "exact_accuracy": 0.5,
             "cell_accuracy": 0.75, "mean_steps": 6.0, "elapsed_s": 1.0}
        )  # fmt: skip
    assert f"checkpoint {path}\n" in text(view)
    for line in (
        "eval step 20/40 examples 600 exact_accuracy 0.5",
        "  cell_accuracy 0.75 mean_steps 6",
    ):
        assert f"{line}\n" in text(view)


@pytest.mark.parametrize("terminal", [False, True], ids=["file", "terminal"])
def test_quiet_shows_warnings_only(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Terminal, "verbosity", "quiet")
    view = console(terminal)
    with TrainingView(view, 40) as listen:
        for record in (TRAIN, {"event": "warning", "step": 20, "message": "slow"}):
            listen(record)
    with EvaluationView(view) as update:
        update(1, 2)
    assert text(view) == "warning: slow\n"


def test_duration() -> None:
    assert duration(59.6) == "0:01:00"


class Clock:
    """The time in seconds, to be set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 0), (30.0, 1)])
def test_a_long_evaluation_says_how_long_after_its_first_batch(
    clock: Clock, seconds: float, lines: int
) -> None:
    view = console(terminal=False)
    with EvaluationView(view, clock=clock) as progress:
        progress(0, 100)
        for done in (10, 20, 100):
            clock.now += seconds
            progress(done, 100)
    expected = "100 examples, 0:04:30 left; --max-examples N takes fewer\n"
    assert text(view)[: len(expected)] == expected * lines


def test_an_evaluation_in_a_log_file_is_a_line_per_minute(clock: Clock) -> None:
    view = console(terminal=False)
    with EvaluationView(view, clock=clock) as progress:
        for _ in range(2):  # the second evaluation of a sweep
            progress(100, 500)  # were known already
            for done in range(200, 600, 100):
                clock.now += 40
                progress(done, 500)
    assert text(view).splitlines() == [
        "500 examples, 0:02:00 left; --max-examples N takes fewer",
        "80%  400 examples  2.50 examples/s  ETA 0:00:40",
        "40%  200 examples  2.50 examples/s  ETA 0:02:00",
        "80%  400 examples  2.50 examples/s  ETA 0:00:40",
    ]


def test_an_evaluation_is_a_bar_on_a_terminal(clock: Clock) -> None:
    view = console(terminal=True)
    with EvaluationView(view, clock=clock) as progress:
        progress(0, 100)
        clock.now += 200
        progress(50, 100)
    assert "50 examples  0.25 examples/s  ETA 0:03:20" in text(view)
    assert "max-examples" not in text(view)


def test_without_a_terminal_solving_prints_one_line_per_minute(clock: Clock) -> None:
    view = console(terminal=False)
    with SolvingView(view, clock=clock) as progress:
        progress(1000, 0.2)  # were there already
        for done in range(1600, 5600, 600):
            clock.now += 25
            progress(done, 0.2 + (done - 1000) / 6000)
    assert text(view).splitlines() == [
        "50%  2,800 puzzles  24 puzzles/s  ETA 0:02:05",
        "80%  4,600 puzzles  24 puzzles/s  ETA 0:00:50",
    ]


def test_a_stream_has_no_estimated_end(clock: Clock) -> None:
    view = console(terminal=False)
    with SolvingView(view, clock=clock) as progress:
        progress(0, None)
        clock.now += 64
        progress(16, None)
    assert text(view) == "16 puzzles  0.25 puzzles/s\n"


def test_solving_is_a_bar_in_a_terminal(clock: Clock) -> None:
    view = console(terminal=True)
    with SolvingView(view, clock=clock) as progress:
        progress(0, 0.0)
        clock.now += 2
        progress(3000, 0.5)
    assert "3,000 puzzles  1,500 puzzles/s  ETA 0:00:02" in text(view)
    assert " 50% " in text(view)
