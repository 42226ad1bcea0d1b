"""What is counted of maze answers, on mazes made up by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.data import Split
from trm.tasks.maze.evaluator import MazeEvaluator
from trm.tasks.maze.solver import solve
from trm.tasks.metrics import EvalBatch, Metric

Drawn = Callable[[str], np.ndarray]


@pytest.fixture
def split(drawn: Drawn) -> Split:
    """Five times one maze."""
    mazes = np.tile(drawn("S.G/.#./..."), (5, 1))
    return Split.of_single_examples(mazes, solve(mazes))


@pytest.fixture
def answers(drawn: Drawn) -> np.ndarray:
    """The label, a longer path, no path, one through the wall, and padding alone."""
    drawings = ("SoG/.#./...", "S.G/o#o/ooo", "S.G/.#./...", "SoG/.../...")
    return np.stack([*map(drawn, drawings), np.zeros(9, np.uint8)])


def batch(split: Split, answers: np.ndarray, rows: slice) -> EvalBatch:
    puzzles = np.arange(len(split.inputs))[rows]
    gathered = split.make_batch(puzzles, puzzles)
    return EvalBatch(
        inputs=gathered.inputs,
        labels=gathered.labels,
        answers=answers[rows].astype(np.int32),
        halt_logits=np.ones(len(puzzles), np.float32),
        halt_steps=np.ones(len(puzzles), np.int32),
        steps=np.full(len(puzzles), 2, np.float32),
        puzzle_identifiers=gathered.puzzle_identifiers,
        examples=gathered.examples,
        puzzles=gathered.puzzles,
    )


def test_paths_are_counted_though_they_be_not_the_label(split: Split, answers: np.ndarray) -> None:
    evaluator = MazeEvaluator()
    evaluator.update(batch(split, answers, slice(0, 2)))
    evaluator.update(batch(split, answers, slice(2, 5)))
    found = evaluator.result()
    assert found["valid_path"] == Metric.share(2, 5)
    assert found["shortest_path"] == Metric.share(1, 5)
    assert found["exact_accuracy"] == Metric.share(1, 5)
    assert found[evaluator.headline] == found["exact_accuracy"]


def test_another_shortest_path_is_not_exact(drawn: Drawn) -> None:
    maze = drawn("S../.../..G")[None]
    split = Split.of_single_examples(maze, solve(maze))
    evaluator = MazeEvaluator()
    evaluator.update(batch(split, drawn("Soo/..o/..G")[None], slice(0, 1)))
    found = evaluator.result()
    assert found["shortest_path"] == found["valid_path"] == Metric.share(1, 1)
    assert found["exact_accuracy"] == Metric.share(0, 1)


def test_the_common_numbers_are_there_too(split: Split, answers: np.ndarray) -> None:
    evaluator = MazeEvaluator()
    evaluator.update(batch(split, answers, slice(0, 1)))
    found = evaluator.result()
    assert found["cell_accuracy"].value == found["would_halt_at"].value == 1
    assert found["mean_steps"].value == 2
    assert found["halting_accuracy"] == Metric.share(1, 1)


def test_without_answers_the_shares_are_of_none() -> None:
    found = MazeEvaluator().result()
    assert found["valid_path"] == found["shortest_path"] == Metric.share(0, 0)
