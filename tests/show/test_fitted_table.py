"""Tables in narrow terminals, wide ones and pipes."""

import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.evaluation.sweeps import line, sweep
from tests.show.printed import printed
from tests.show.test_text import HOSTILE, SHOWN
from trm.config import RunConfig
from trm.evaluation.report import ReportRow
from trm.inference.options import InferenceOptions
from trm.runs.listing import BestEvaluation, RunSummary
from trm.settings import ResolvedSettings
from trm.show.fitted_table import Column, FittedTable
from trm.show.sweeps import sweep_table
from trm.show.tables import (
    files_table,
    metrics_table,
    results_table,
    runs_table,
    settings_table,
    tasks_table,
)
from trm.tasks.metrics import Metric
from trm.tasks.registry import list_tasks

NAME = "mlp-20261129-004057-a-long-name-that-people-copy"
STEP = f"{NAME}/checkpoints/step-065104"
DATA = "data/puzzles-of-the-published-builder/with-all-augmentations"
OPTIONS = InferenceOptions(steps=32, samples=4)


def result(name: str, reported: float | None = None) -> ReportRow:
    value = Metric.share(3, 422_786)
    return ReportRow(name, "sudoku", 65_104, "exact_accuracy", value, reported, "validation",
                     OPTIONS)  # fmt: skip


def run(name: str) -> RunSummary:
    return RunSummary(
        folder=Path("runs/sudoku") / name, task="sudoku", state="broken off", step=65_104,
        total_steps=65_104, best=BestEvaluation("exact_accuracy", 0.874, 60_000, "validation"),
        updated=datetime(2026, 11, 29, tzinfo=UTC), num_bytes=1,
    )  # fmt: skip


def settings() -> ResolvedSettings:
    config = RunConfig(task="sudoku", data={"paths": (DATA, "data/sudoku")})
    return ResolvedSettings(config, {"data.paths": "environment TRM_DATA__PATHS"})


TABLES = {
    "runs": (runs_table([run(NAME), run("a")]), [NAME, "sudoku", "broken off", "0.8740"]),
    "results": (
        results_table([result(f"runs/sudoku/{STEP}", 0.874), result("mine")]),
        [STEP, "exact_accuracy,", "0.0000 to 0.0000", "422,786", "0.8740"],
    ),
    "settings": (settings_table(settings()), [DATA, "data/sudoku"]),
    "tasks": (tasks_table(list_tasks()), ["sudoku", "published", "built in"]),
    "files": (files_table({f"training_state/{NAME}.safetensors": 10**9}), ["1,000,000,000"]),
    "metrics": (metrics_table({"a_metric_of_a_plugin": Metric.share(3, 4)}), ["0.7500"]),
    "sweep": (
        sweep_table(sweep(line(60, 123.4, samples=1024, noise=0.25, choose="first", votes=8,
                               halt=0.995, steps=128))),
        ["128", "1024", "0.995", "0.6000", "123"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("width", [80, 120])
def test_a_table_fits_and_what_people_copy_is_whole(name: str, width: int) -> None:
    table, copied = TABLES[name]
    lines = printed(table, width)
    assert max(map(cell_len, lines)) <= width, "\n".join(lines)
    assert not any(shown.endswith(" ") for shown in lines)
    for text in copied:
        assert any(text in shown for shown in lines), text


@pytest.mark.parametrize("name", TABLES)
def test_a_pipe_gets_whole_rows(name: str) -> None:
    table, copied = TABLES[name]
    lines = printed(table)
    assert len(lines) == 2 + len(table.rows)
    for shown, row in zip(lines[2:], table.rows, strict=True):
        assert shown.split() == " ".join(row).split()
    assert all(any(text in shown for shown in lines) for text in copied)


def test_columns_are_left_out_by_priority_and_named() -> None:
    table = FittedTable("name", Column("third", leave_out=1), Column("first", leave_out=3),
                        Column("second", leave_out=2))  # fmt: skip
    table.add_row("n" * 20, "3" * 8, "1" * 8, "2" * 8)
    assert printed(table, 50)[0].split() == ["name", "third", "first", "second"]
    assert printed(table, 49)[0].split() == ["name", "third", "second"]
    assert printed(table, 39)[0].split() == ["name", "third"]
    last = printed(table, 29)[2:]
    assert " ".join(last).split() == [
        "n" * 20,
        *["not", "shown", "in", "29", "columns:", "third,", "first,", "second"],
    ]


def test_a_row_continues_on_the_next_line_after_a_cell_that_is_too_long() -> None:
    table = FittedTable(Column("path", is_name=True), ">n", "of")
    table.add_row("runs/a", "12", "x" * 20)
    table.add_row("runs/a-longer-one", "7", "y")
    assert printed(table, 40) == [
        "path             n  of",
        "────────────────────────────────────────",
        "runs/a          12  xxxxxxxxxxxxxxxxxxxx",
        "runs/a-longer-one",
        "                 7  y",
    ]


def test_text_is_wrapped_at_words_and_beside_the_other_cells() -> None:
    table = FittedTable("", Column("", wraps=True), ">")
    table.add_row("toy", "one two three-four", "5")
    assert printed(table, 20) == ["toy  one two       5", "     three-four"]


def test_a_cell_is_as_wide_as_its_escaped_text() -> None:
    table = FittedTable("name", ">n")
    table.add_row(HOSTILE, "1")
    table.add_row("数独", "2")
    lines = printed(table)
    assert lines[2] == f"{SHOWN}  1"
    assert cell_len(lines[3]) == cell_len(lines[2])


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="zip"):
        FittedTable("a", "b").add_row("1")


def test_whatever_the_width_no_line_is_longer_and_no_word_is_lost() -> None:
    draw = random.Random(0)
    texts = ("a", "runs/sudoku/name", "x" * 30, "数独", "", "one two three")
    for _ in range(300):
        columns = [
            Column(draw.choice(("", "two words")), right=draw.random() < 0.3,
                   wraps=draw.random() < 0.3, is_name=draw.random() < 0.3)
            for _ in range(draw.randint(1, 6))
        ]  # fmt: skip
        table = FittedTable(*columns)
        table.add_row(*draw.choices(texts, k=len(columns)))
        width = draw.choice((30, 40, 80))
        lines = printed(table, width)
        assert max(map(cell_len, lines)) <= width
        assert sorted(" ".join(lines).replace("─", "").split()) == sorted(
            " ".join([*(column.name for column in columns), *table.rows[0]]).split()
        )
