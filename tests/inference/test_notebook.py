"""What Python and notebooks show of a solution, a model, data, and the results of calls."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trm
from trm.html_text import panels_html, table_html, text_html
from trm.inference.options import SolveOptions
from trm.inference.solution import Solution, SolutionStep
from trm.pictures.html import bars_svg, board_svg
from trm.tasks.base import Board, DataOptions, Puzzle, Task
from trm.tasks.registry import get_task
from trm.training.loop import TrainResult

TEXT = "1234341221434.21"


class Checker(HTMLParser):
    """Collects the text of HTML, and checks that all its elements are closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.append(tag)

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    return trm.load(trained_run, device="cpu")


def solution_of(name: str, text: str, properties: dict[str, Any], *halting: float) -> Solution:
    task = get_task(name)
    (puzzle,) = task.parse(text, properties)
    steps = (SolutionStep(n, puzzle.tokens, share) for n, share in enumerate(halting, 1))
    return Solution(task, puzzle, tuple(steps), SolveOptions())


def test_everything_that_a_call_returns_is_one_short_line(
    model: trm.Model, mini_data: Path, trained_run: Path
) -> None:
    dataset = trm.open_data(mini_data)
    report = trm.evaluate(model, data=mini_data, max_examples=4)
    sweep = trm.sweep_eval(model, data=mini_data, max_examples=4, samples=(1, 2), steps=1)
    solution = model.solve(TEXT)
    (run,) = trm.list_runs(trained_run)
    config = trm.run_config("sudoku", preset="mini")
    shown = [
        model, solution, solution.puzzle, solution.steps[0], dataset, dataset.meta, run, config,
        dataset.split("train"), report, report.metrics["exact_accuracy"], sweep, sweep.lines[1],
        report.evaluator, get_task("sudoku"),
    ]  # fmt: skip
    for value in shown:
        text = repr(value).replace(str(mini_data), "data").replace(str(trained_run), "run")
        assert re.fullmatch(r"<[^\n]{10,170}>", text), text
        assert "0x" not in text
        assert "array(" not in text
    assert str(config) == repr(config)
    assert "task sudoku, boards 4x4, parameters" in repr(model)
    assert repr(solution).startswith(f"<Solution {solution.answer}: ")
    assert re.search(r", 8 steps, .*consider.*, halting probability \d\.\d{3}>$", repr(solution))
    assert re.search(r": finished at step 180 of 180, best exact_accuracy [\d.]+>$", repr(run))
    assert repr(config) == (
        "<RunConfig of task sudoku: hidden size 96 with an MLP, 900 steps of batch 64>"
    )
    assert repr(report.metrics["mean_steps"]) == "<Metric 8.0000 of 4>"


@pytest.mark.parametrize(
    ("name", "text", "properties", "drawn"),
    [
        (
            "sudoku",
            TEXT,
            {"size": 4},
            [" 1 2 | 3 4", " 3 4 | 1 2", "-----+-----", " 2 1 | 4 3", " 4 . | 2 1"],
        ),
        ("maze", "S.##..#.G", {"size": 3}, ["S   ██", "██", "██  G"]),
        ("arc1", '{"a": {"test": [{"input": [[0, 1], [2, 3]]}]}}', {}, ["0 1", "2 3"]),
    ],
)
def test_print_shows_the_answer_as_it_is_drawn(
    name: str, text: str, properties: dict[str, Any], drawn: list[str]
) -> None:
    solution = solution_of(name, text, properties, 0.3, 0.9)
    assert [line.rstrip() for line in str(solution).split("\n")] == [
        *drawn,
        ", ".join(solution._facts),
    ]


def test_a_notebook_shows_the_puzzle_the_answer_and_the_confidence(model: trm.Model) -> None:
    solution = model.solve(TEXT)
    page = Checker(solution._repr_html_())
    assert page.text.startswith("puzzle" + TEXT.replace(".", "") + "answer after 8 steps")
    assert page.text.endswith(", ".join(solution._facts))
    assert page.tags.count("svg") == 3
    assert page.tags.count("line") == 2 * 6 + 1  # three lines each way around boxes, and the axis
    assert page.tags.count("title") == len(solution.steps)


def test_tables_have_all_metrics_and_all_lines(model: trm.Model, mini_data: Path) -> None:
    report = trm.evaluate(model, data=mini_data, max_examples=4)
    page = Checker(report._repr_html_())
    assert page.tags.count("tr") == len(report.metrics) + 1
    for name, metric in report.metrics.items():
        assert name + "".join(metric.texts) in page.text
    assert "tasksudokuboards4x4" in Checker(model._repr_html_()).text
    sweep = trm.sweep_eval(model, data=mini_data, max_examples=4, samples=(1, 2), steps=2)
    page = Checker(sweep._repr_html_())
    assert page.tags.count("tr") == 3
    assert all(line.described in page.text for line in sweep.lines)
    splits = trm.open_data(mini_data).splits
    page = Checker(trm.open_data(mini_data)._repr_html_())
    assert page.tags.count("tr") == len(splits) + 1
    assert all(f"{name}{split.num_groups:,}{split.num_puzzles:,}" in page.text
               for name, split in splits.items())  # fmt: skip


def test_the_result_of_training_says_how_the_run_ended() -> None:
    result = TrainResult(Path("runs/<b>"), 90, 180, False, "exact_accuracy", 0.5, 60)
    facts = "stopped at step 90 of 180, best exact_accuracy 0.5000 at step 60"
    assert repr(result) == f"<TrainResult runs/<b>: {facts}>"
    page = Checker(result._repr_html_())
    assert page.text == "TrainResult runs/<b>" + re.sub("(stopped|accuracy) |, ", r"\1", facts)


@pytest.mark.parametrize(
    ("name", "text", "properties"),
    [
        ("sudoku", "." * 36, {"size": 6}),
        ("maze", "S.##..#.G", {"size": 3}),
        ("arc1", '{"a": {"test": [{"input": [[0, 1], [2, 3]]}]}}', {}),
    ],
)
def test_all_tasks_are_drawn(name: str, text: str, properties: dict[str, Any]) -> None:
    solution = solution_of(name, text, properties, 0.3, 0.9)
    page = Checker(solution._repr_html_())
    cells = sum(board.colors[..., 0].size for _, board in solution.pictures())
    assert page.tags.count("rect") == cells + 3  # two bars, and the area behind them
    assert "considered it correct from step 2 on, halting probability 0.900" in page.text


class Words(Task):
    """A task that draws no boards."""

    name, summary, data_options = "words", "Words.", DataOptions

    def build_data(self, out: Path, options: Any, rng: np.random.Generator) -> Any:
        raise NotImplementedError

    def format(self, tokens: Any) -> str:
        return "<script>alert('&')</script>" + "x" * 100


def test_text_from_outside_is_escaped() -> None:
    hostile = "<script>alert('&')</script>"
    puzzle = Puzzle(np.zeros(4, np.uint8), hostile)
    solution = Solution(Words(), puzzle, (SolutionStep(1, puzzle.tokens, 0.1),))
    board = Board(np.zeros((1, 1, 3), np.uint8), (hostile,))
    for page in (
        solution._repr_html_(), board_svg(board), text_html(hostile), panels_html([], hostile),
        table_html(hostile, [hostile], [[hostile]]),
    ):  # fmt: skip
        checked = Checker(page)
        assert "script" not in checked.tags
        assert hostile in checked.text
        assert html.escape(hostile) in page
    assert repr(solution).startswith("<Solution <script>alert('&')</script>" + "x" * 50 + "...:")
    assert str(solution).startswith(hostile + "x" * 100 + "\n1 step, ")


def test_letters_are_readable_on_dark_and_light_cells() -> None:
    colors = np.array([[[250, 250, 250], [40, 40, 40]]], np.uint8)
    filled_in, changed = np.array([[True, False]]), np.array([[False, True]])
    page = board_svg(Board(colors, ("S", "G"), filled_in, changed, (1, 1)))
    assert re.findall(r'font-weight="(\w+)" fill="(#?\w+)"', page) == [
        ("normal", "#004b91"),
        ("bold", "white"),
    ]
    assert page.count('fill="none"') == 1


def test_a_board_may_be_empty() -> None:
    assert Checker(board_svg(Board(np.zeros((0, 0, 3), np.uint8)))).tags == ["svg", "g"]


def test_bars_are_as_high_as_the_shares() -> None:
    heights = re.findall(r'height="([\d.]+)" fill="#', bars_svg([0.0, 0.5, 1.0]))
    assert heights == ["0.0", "18.0", "36.0"]
