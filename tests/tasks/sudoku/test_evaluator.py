"""What is counted of Sudoku answers, on boards made up by hand."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.data import Split
from trm.tasks.metrics import EvalBatch, Metric
from trm.tasks.solved_puzzles import describe_sources
from trm.tasks.sudoku.evaluator import SudokuEvaluator

Solved = Callable[[int], np.ndarray]


@pytest.fixture
def split(solved: Solved) -> Split:
    """Four 4x4 puzzles, two puzzles of each group, from two sources."""
    labels = np.tile(solved(4) + np.uint8(1), (4, 1))
    sources = np.array([b"hard", "数独".encode(), b"hard", b"hard"])
    info = {"source": sources, "rating": np.zeros(4, np.int32)}
    return Split.of_single_examples(labels, labels, puzzles_each=2, info=info)


def batch(split: Split, answers: np.ndarray, puzzles: list[int]) -> EvalBatch:
    gathered = split.make_batch(split.group_of(np.array(puzzles)), np.array(puzzles))
    return EvalBatch(
        inputs=gathered.inputs,
        labels=gathered.labels,
        answers=answers.astype(np.int32),
        halt_logits=np.ones(len(puzzles), np.float32),
        halt_steps=np.ones(len(puzzles), np.int32),
        steps=np.full(len(puzzles), 2, np.float32),
        puzzle_identifiers=gathered.puzzle_identifiers,
        examples=gathered.examples,
        puzzles=gathered.puzzles,
    )


def four_answers(split: Split) -> np.ndarray:
    """The solution, another valid Sudoku, one with a blank, and padding alone."""
    answers = np.array(split.labels)
    answers[1] = np.array([0, 1, 3, 2, 5, 4])[answers[1]]
    answers[2, 0] = 1
    answers[3] = 0
    return answers


def test_valid_answers_are_counted_though_they_be_wrong(split: Split) -> None:
    evaluator = SudokuEvaluator(split)
    evaluator.update(batch(split, four_answers(split), [0, 2, 4, 6]))
    found = evaluator.result()
    assert found["valid_sudoku"] == Metric.share(2, 4)
    assert found["exact_accuracy"] == Metric.share(1, 4)
    assert found[evaluator.headline] == found["exact_accuracy"]


def test_each_source_has_its_accuracy(split: Split) -> None:
    evaluator = SudokuEvaluator(split)
    evaluator.update(batch(split, four_answers(split)[:2], [1, 3]))
    evaluator.update(batch(split, four_answers(split)[2:], [4, 7]))
    found = evaluator.result()
    assert found["exact_accuracy/hard"] == Metric.share(1, 3)
    assert found["exact_accuracy/数独"] == Metric.share(0, 1)
    assert found["valid_sudoku"] == Metric.share(2, 4)


def test_of_many_sources_the_largest_are_named(solved: Solved) -> None:
    labels = np.tile(solved(4) + np.uint8(1), (30, 1))
    sources = np.array([f"s{number % 25:02}".encode() for number in range(30)])
    split = Split.of_single_examples(labels, labels, info={"source": sources})
    evaluator = SudokuEvaluator(split)
    evaluator.update(batch(split, labels, list(range(30))))
    named = [name for name in evaluator.result() if name.startswith("exact_accuracy/")]
    assert named == [f"exact_accuracy/s{number:02}" for number in range(20)]
    assert describe_sources(split)["sources"].endswith("s19 1 and 5 others")


def test_the_common_numbers_are_there_too(split: Split) -> None:
    evaluator = SudokuEvaluator(split)
    evaluator.update(batch(split, four_answers(split), [0, 2, 4, 6]))
    found = evaluator.result()
    assert found["cell_accuracy"].value == pytest.approx((1 + 0 + 15 / 16 + 0) / 4)
    assert found["halting_accuracy"] == Metric.share(1, 4)
    assert (found["mean_steps"].value, found["would_halt_at"].value) == (2, 1)


def test_without_answers_there_is_no_source(split: Split) -> None:
    found = SudokuEvaluator(split).result()
    assert found["valid_sudoku"] == Metric.share(0, 0)
    assert [name for name in found if "/" in name] == []
