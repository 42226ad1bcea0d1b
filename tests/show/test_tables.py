"""Tables of metrics and evaluations, in a terminal and in Markdown."""

from tests.show.printed import printed
from trm.evaluation.report import ReportRow
from trm.inference.options import InferenceOptions
from trm.show.fitted_table import markdown
from trm.show.tables import metrics_table, results_table
from trm.tasks.metrics import Metric


def test_a_table_of_results_shows_names_as_they_are() -> None:
    rows = [
        ReportRow("mine [best]", "sudoku", 900, "exact_accuracy", Metric.share(3, 4), 0.874),
        ReportRow("runs/b", "sudoku", 90, "mean_steps", Metric(2.5, 4), None),
    ]
    lines = printed(results_table(rows))
    assert lines[0].split() == [
        "checkpoint", "task", "step", "metric", "value", "95%", "interval", "of", "reported"
    ]  # fmt: skip
    assert lines[2].startswith("mine [best]  sudoku ")
    numbers = ["900", "exact_accuracy", "0.7500", "0.3006", "to", "0.9544", "4", "0.8740"]
    assert lines[2].split()[3:] == numbers
    assert lines[3].split() == ["runs/b", "sudoku", "90", "mean_steps", "2.5000", "4"]
    assert markdown(results_table(rows)).splitlines()[1:] == [
        "| --- | --- | ---: | --- | ---: | --- | ---: | ---: |",
        "| mine [best] | sudoku | 900 | exact_accuracy | 0.7500 | 0.3006 to 0.9544 | 4 | 0.8740 |",
        "| runs/b | sudoku | 90 | mean_steps | 2.5000 |  | 4 |  |",
    ]


def test_what_was_measured_on_nothing_is_not_shown() -> None:
    metrics = {"exact": Metric.share(0, 0), "steps": Metric(0.0, 0), "own [x]": Metric(2.5)}
    lines = [line.split() for line in printed(metrics_table(metrics))[2:]]
    assert lines == [["exact", "-", "0"], ["steps", "-", "0"], ["own", "[x]", "2.5000"]]


def test_a_name_does_not_break_a_markdown_table() -> None:
    row = ReportRow(
        "a|b\n[c]", "toy", 1, "solved", Metric.share(0, 0), options=InferenceOptions(votes=3)
    )
    last = markdown(results_table([row])).splitlines()[-1]
    assert last == "| a\\|b [c] | toy | 1 | solved, 3 votes | - |  | 0 |"
