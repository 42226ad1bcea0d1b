"""What people look at, on a terminal and elsewhere."""

import io
from pathlib import Path

import pytest
from rich.console import Console

import trm
from trm.commands.processes import size_text
from trm.evaluation.report import Row
from trm.inference.options import InferenceOptions
from trm.show.progress import EvaluationView, TrainingView, duration, record_line
from trm.show.solution import show_solution_steps, solution_summary
from trm.show.tables import markdown, metrics_table, results_table
from trm.tasks.metrics import Metric

TRAIN = {
    "event": "train", "step": 20, "loss": 1.23456, "exact_accuracy": None, "mean_steps": None,
    "samples_per_s": 512.0, "mfu": 0.354, "eta_s": 61.0, "elapsed_s": 3.0, "num_halted": 0,
}  # fmt: skip


def console(terminal: bool, width: int = 150) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, color_system=None)


def text(view: Console) -> str:
    assert isinstance(view.file, io.StringIO)
    return view.file.getvalue()


def test_a_record_is_one_greppable_line() -> None:
    expected = (
        "train step 20/40 loss 1.235 exact_accuracy - mean_steps - samples_per_s 512 mfu 0.354 "
        "eta 0:01:01"
    )
    assert record_line(TRAIN, 40) == expected


def test_elsewhere_each_record_is_a_line() -> None:
    view = console(terminal=False)
    with TrainingView(view, 40) as listen:
        listen(TRAIN)
        listen({"event": "eval", "step": 20, "exact_accuracy": 0.5})
    lines = text(view).splitlines()
    assert lines == [record_line(TRAIN, 40), "eval step 20/40 exact_accuracy 0.5"]


def test_a_terminal_has_a_bar_and_keeps_evaluations() -> None:
    view = console(terminal=True)
    with TrainingView(view, 40, start=10) as listen:
        listen(TRAIN)
        listen({"event": "eval", "step": 20, "exact_accuracy": 0.5})
    shown = text(view)
    assert "step 20/40" in shown
    assert "loss 1.235  exact -  halts at -  512 samples/s  MFU 35%  ETA 0:01:01" in shown
    assert "eval step 20/40 exact_accuracy 0.5\n" in shown


def test_a_narrow_terminal_has_room_for_less() -> None:
    view = console(terminal=True, width=110)
    with TrainingView(view, 40) as listen:
        listen(TRAIN)
    assert "512 samples/s  ETA 0:01:01" in text(view)


@pytest.mark.parametrize("terminal", [False, True])
def test_a_board_is_shown_where_it_changes(trained_run: Path, terminal: bool) -> None:
    model = trm.load(trained_run, device="cpu")
    puzzle = model.parse("123434122143.321")[0]
    view = console(terminal)
    solution = show_solution_steps(view, model.task, puzzle, model.think(puzzle))
    assert solution.answer == "1234341221434321"
    assert "step 1: 1 cell changed" in text(view)
    changed = sum(a != b for a, b in zip(solution.boards, solution.boards[1:], strict=False))
    if not terminal:  # a terminal also draws the steps in between, and wipes them
        assert text(view).count("changed") == 1 + changed
    assert solution_summary(solution).startswith("answer 1234341221434321: valid; the model would")


@pytest.mark.parametrize(
    ("num_bytes", "expected"), [(12, "12 B"), (2048, "2.0 KiB"), (5 * 2**30, "5.0 GiB")]
)
def test_size_text(num_bytes: int, expected: str) -> None:
    assert size_text(num_bytes) == expected


def test_duration() -> None:
    assert duration(59.6) == "0:01:00"


@pytest.mark.parametrize(("seconds", "lines"), [(1.0, 0), (30.0, 1)])
def test_a_long_evaluation_says_how_long_after_its_first_batch(
    monkeypatch: pytest.MonkeyPatch, seconds: float, lines: int
) -> None:
    now = [0.0]
    monkeypatch.setattr("trm.show.progress.time.monotonic", lambda: now[0])
    view = console(terminal=False)
    with EvaluationView(view) as progress:
        for done in (10, 20, 100):
            now[0] += seconds
            progress(done, 100)
    expected = "100 examples, 0:04:30 to go; --max-examples takes fewer\n"
    assert text(view) == expected * lines


def test_an_evaluation_is_a_bar_on_a_terminal() -> None:
    view = console(terminal=True)
    with EvaluationView(view) as progress:
        progress(50, 100)
    assert "evaluating" in text(view)
    assert "to go" not in text(view)


def test_a_table_of_results_shows_names_as_they_are() -> None:
    rows = [
        Row("mine [best]", "sudoku", 900, "exact_accuracy", Metric.share(3, 4), 0.874),
        Row("runs/b", "sudoku", 90, "mean_steps", Metric(2.5, 4), None),
    ]
    view = console(terminal=False)
    view.print(results_table(rows))
    lines = text(view).splitlines()
    assert lines[1].split() == [
        "task", "checkpoint", "step", "metric", "value", "95%", "interval", "of", "reported"
    ]  # fmt: skip
    assert " mine [best] " in lines[3]
    numbers = ["900", "exact_accuracy", "0.7500", "0.3006", "to", "0.9544", "4", "0.8740"]
    assert lines[3].split()[3:] == numbers
    assert lines[4].split() == ["sudoku", "runs/b", "90", "mean_steps", "2.5000", "4"]
    assert markdown(results_table(rows)).splitlines()[1:] == [
        "| --- | --- | ---: | --- | ---: | --- | ---: | ---: |",
        "| sudoku | mine [best] | 900 | exact_accuracy | 0.7500 | 0.3006 to 0.9544 | 4 | 0.8740 |",
        "| sudoku | runs/b | 90 | mean_steps | 2.5000 |  | 4 |  |",
    ]


def test_what_was_measured_on_nothing_is_not_shown() -> None:
    metrics = {"exact": Metric.share(0, 0), "steps": Metric(0.0, 0), "own [x]": Metric(2.5)}
    view = console(terminal=False)
    view.print(metrics_table(metrics))
    lines = [line.split() for line in text(view).splitlines()[3:6]]
    assert lines == [["exact", "-", "0"], ["steps", "-", "0"], ["own", "[x]", "2.5000"]]


def test_a_name_does_not_break_a_markdown_table() -> None:
    row = Row(
        "a|b\n[c]", "toy", 1, "solved", Metric.share(0, 0), thinking=InferenceOptions(votes=3)
    )
    last = markdown(results_table([row])).splitlines()[-1]
    assert last == "| toy | a\\|b [c] | 1 | solved, 3 votes | - |  | 0 |  |"
