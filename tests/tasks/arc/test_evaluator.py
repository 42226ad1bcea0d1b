"""What is counted of ARC answers, on three small tasks with copies."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from trm.data import BatchTransforms, Split
from trm.errors import DataError, TrmWarning
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.evaluator import NO_ANSWER, ArcEvaluator
from trm.tasks.arc.grids import NO_GRID, Grid, encode
from trm.tasks.arc.identifier_names import make_names
from trm.tasks.arc.notation import cropped
from trm.tasks.arc.votes import grid_from_key
from trm.tasks.metrics import EvalBatch, Metric, wilson

IDS = [b"one", b"two", b"three"]
TESTS = [1, 2, 3]  # test inputs of each task
#: What is submitted for a test input without an answer.
UNANSWERED = {"attempt_1": NO_ANSWER, "attempt_2": NO_ANSWER}
COPIES = 3  # puzzles of each task, the original among them


def grid(number: int) -> np.ndarray:
    """The output of a test input; turned or recoloured it is always another grid."""
    return np.array([[0, 1, 2], [3, 4, number]], np.uint8)


def wrong(number: int) -> np.ndarray:
    """The number-th of the wrong answers."""
    return np.full((2, 3), number, np.uint8)


@pytest.fixture
def split() -> Split:
    """As the builder makes it: examples once a task, copies as what they are."""
    rng = np.random.default_rng(0)
    num_puzzles, offsets = COPIES * len(IDS), COPIES * np.arange(len(IDS) + 1)
    symmetry = rng.integers(1, 8, num_puzzles).astype(np.int32)
    colors = np.stack([[0, 1, 2, *(rng.permutation(9) + 3)] for _ in range(num_puzzles)])
    symmetry[offsets[:-1]], colors[offsets[:-1]] = 0, np.arange(12)
    permutation = colors.astype(np.uint8)
    outputs = np.stack([encode(grid(number)) for number in range(sum(TESTS))])
    return Split(
        inputs=outputs,
        labels=outputs,
        example_offsets=np.cumsum([0, *TESTS]),
        puzzle_offsets=offsets,
        symmetry=symmetry,
        permutation=permutation,
        identifiers=np.arange(1, num_puzzles + 1, dtype=np.int32),
        info={"name": np.array(IDS), "solved": np.ones(len(IDS), bool)},
        names=make_names(np.array(IDS), offsets, symmetry, permutation),
        augmentation=ArcAugmentation(0, translate=False),
    )


def published(split: Split) -> Split:
    """The same split as the published layout has it: every row stored augmented, no info."""
    puzzles = np.arange(split.num_puzzles)
    begin, counts = split.example_range(puzzles)
    ends = np.cumsum(counts)
    examples = np.concatenate([np.arange(b, b + n) for b, n in zip(begin, counts, strict=True)])
    rows = split.make_batch(examples, np.repeat(puzzles, counts))
    return Split(
        inputs=rows.inputs.astype(np.uint8),
        labels=np.where(rows.labels < 0, 0, rows.labels).astype(np.uint8),
        example_offsets=np.concatenate(([0], ends)),
        puzzle_offsets=split.puzzle_offsets,
        identifiers=split.identifiers,
        names=split.names,
    )


def batch(split: Split, *given: tuple[int, int, int, np.ndarray, float]) -> EvalBatch:
    """Answers of group, place, copy, the grid meant for the original, and halting logit."""
    groups, places, copies, grids, logits = zip(*given, strict=True)
    puzzles = split.puzzle_offsets[np.array(groups)] + np.array(copies)
    examples = split.example_range(puzzles)[0] + np.array(places)
    found = split.make_batch(examples, puzzles)
    return EvalBatch(
        inputs=found.inputs,
        labels=found.labels,
        answers=as_copies(split, puzzles, np.stack([encode(grid) for grid in grids])),
        halt_logits=np.array(logits, np.float32),
        halt_steps=np.full(len(puzzles), 3, np.int32),
        steps=np.full(len(puzzles), 4, np.float32),
        puzzle_identifiers=found.puzzle_identifiers,
        examples=examples,
        puzzles=puzzles,
    )


def as_copies(split: Split, puzzles: np.ndarray, tokens: np.ndarray) -> np.ndarray:
    """What was done to the grids of copies, done to these (batch, 900)."""
    assert split.symmetry is not None
    assert split.permutation is not None
    zeros = np.zeros_like(puzzles)
    rows = BatchTransforms(
        split.symmetry[puzzles], split.permutation[puzzles], puzzles, zeros, zeros + 1
    )
    return ArcAugmentation(0, translate=False).apply(tokens, tokens, rows)[0].astype(np.int32)


def evaluated(split: Split, *given: tuple[int, int, int, np.ndarray, float]) -> ArcEvaluator:
    evaluator = ArcEvaluator(split)
    for row in given:
        evaluator.update(batch(split, row))
    return evaluator


def submitted(evaluator: ArcEvaluator) -> dict[str, Any]:
    """The submission of answers that leave test inputs out."""
    with pytest.warns(TrmWarning, match="test inputs have no answer"):
        return evaluator.submission()


#: Task one is solved by vote, of task two one test input at the second attempt, task three never.
ANSWERS = (
    (0, 0, 0, wrong(1), 2.0),
    (0, 0, 1, grid(0), 0.0),
    (0, 0, 2, grid(0), -1.0),
    (1, 0, 0, wrong(1), 2.0),
    (1, 0, 1, wrong(1), 1.0),
    (1, 0, 2, grid(1), 1.0),
    (1, 1, 0, wrong(2), 1.0),
    (2, 0, 0, wrong(3), 1.0),
)


def test_copies_vote_for_the_answer_to_the_original(split: Split) -> None:
    found = evaluated(split, *ANSWERS).result()
    shares = {1: [1, 0, 0], 2: [1, 0.5, 0], 5: [1, 0.5, 0], 1000: [1, 0.5, 0]}
    for k, by_task in shares.items():
        hits = sum(by_task)
        assert found[f"pass@{k}"] == Metric(hits / 3, 3, wilson(hits, 3)), k
    assert ArcEvaluator.headline == "pass@2"


def test_the_competition_counts_test_outputs_and_not_tasks(split: Split) -> None:
    outputs = evaluated(split, *ANSWERS).result()["pass@2/outputs"]
    assert outputs == Metric.share(2, 6)  # 1 of 1, 1 of 2 and 0 of 3


def test_the_common_numbers_are_of_single_answers(split: Split) -> None:
    found = evaluated(split, *ANSWERS).result()
    assert found["exact_accuracy"] == Metric.share(3, 8)
    assert (found["mean_steps"].value, found["would_halt_at"].value) == (4, 3)
    assert list(found)[:4] == ["exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps"]


def test_any_number_of_attempts_can_be_looked_at(split: Split) -> None:
    answers = [(0, 0, copy % COPIES, wrong(copy), 9.0 - copy) for copy in range(3)]
    found = evaluated(split, *answers, (0, 0, 0, grid(0), -1.0)).pass_at(range(1, 6))
    assert [metric.value for metric in found.values()] == [0, 0, 0, 1, 1]
    assert list(found) == [1, 2, 3, 4, 5]


def test_one_batch_or_many_make_no_difference(split: Split) -> None:
    evaluator = ArcEvaluator(split)
    evaluator.update(batch(split, *ANSWERS))
    one_by_one = evaluated(split, *ANSWERS)
    assert evaluator.tally == one_by_one.tally
    assert evaluator.pass_at([1, 2]) == one_by_one.pass_at([1, 2])


def test_the_published_layout_gives_the_same(split: Split) -> None:
    native, evaluator = ArcEvaluator(split), ArcEvaluator(published(split))
    whole = batch(split, *ANSWERS)
    native.update(whole)
    starts = published(split).example_range(whole.puzzles)[0]
    places = whole.examples - split.example_range(whole.puzzles)[0]
    evaluator.update(dataclasses.replace(whole, examples=starts + places))
    assert evaluator.result() == native.result()
    assert submitted(evaluator) == submitted(native)
    assert evaluator.per_task() == native.per_task()
    first = int(published(split).example_offsets[COPIES])  # of the second task, whose first is one
    for other, stored in ((evaluator, first), (native, 1)):
        best, second = other.attempts(stored)
        assert np.array_equal(cropped(best.answer), wrong(1))
        assert second.facts == ["1 of 3 votes", "confidence 0.731", "right"]
    assert evaluator.attempts(first + 2) == []  # of a copy
    assert native.attempts(5) == []  # without an answer


def test_each_task_has_its_numbers(split: Split) -> None:
    found = evaluated(split, *ANSWERS).per_task()
    assert list(found) == ["one", "two", "three"]
    names = [f"pass@{k}" for k in (1, 2, 5, 10, 100, 1000)]
    assert list(found["two"]) == [*names, "tests"]
    assert [(test["rank"], test["votes"]) for test in found["two"]["tests"]] == [(2, 3), (None, 1)]
    assert [found[name]["pass@2"] for name in found] == [1.0, 0.5, 0.0]


def test_the_submission_is_the_two_best_answers(split: Split) -> None:
    found = submitted(evaluated(split, *ANSWERS))
    right, other = grid(0).tolist(), wrong(1).tolist()
    assert found["one"] == [{"attempt_1": right, "attempt_2": other}]
    assert found["two"][0] == {"attempt_1": other, "attempt_2": grid(1).tolist()}


def test_a_single_answer_is_both_attempts(split: Split) -> None:
    only = wrong(2).tolist()
    found = submitted(evaluated(split, *ANSWERS))
    assert found["two"][1] == {"attempt_1": only, "attempt_2": only}


def test_a_test_input_without_an_answer_is_not_solved_and_keeps_its_place(split: Split) -> None:
    evaluator = evaluated(split, (1, 1, 0, grid(2), 1.0))
    found = evaluator.result()
    assert found["pass@1"] == Metric.share(0.5, 1)
    assert found["pass@2/outputs"] == Metric.share(1, 2)
    right = {"attempt_1": grid(2).tolist(), "attempt_2": grid(2).tolist()}
    assert submitted(evaluator)["two"] == [UNANSWERED, right]


def test_tasks_without_an_answer_are_submitted_but_not_counted(split: Split) -> None:
    evaluator = evaluated(split, (2, 1, 1, grid(4), 1.0), (0, 0, 1, wrong(1), 1.0))
    found = evaluator.result()
    assert found["pass@2"] == Metric.share(1 / 3, 2)
    assert found["pass@2/outputs"] == Metric.share(1, 4)
    assert list(evaluator.per_task()) == ["one", "three"]
    with pytest.warns(TrmWarning) as warned:
        assert evaluator.submission()["two"] == [UNANSWERED] * 2
    assert [str(warning.message) for warning in warned] == [
        "4 of 6 test inputs have no answer, or only empty grids, so both attempts are "
        "[[0, 0], [0, 0]]. Evaluate more copies."
    ]


def test_nothing_is_known_without_answers(split: Split) -> None:
    evaluator = ArcEvaluator(split)
    found = evaluator.result()
    assert found["pass@2"] == found["pass@2/outputs"] == Metric.share(0, 0)
    assert evaluator.per_task() == {}
    assert submitted(evaluator) == {
        name.decode(): [UNANSWERED] * count for name, count in zip(IDS, TESTS, strict=True)
    }


BLACK_CELL = np.zeros((1, 1), np.uint8)


@pytest.mark.parametrize("stored", [NO_GRID, BLACK_CELL], ids=["now", "by older versions"])
def test_tasks_of_unknown_outputs_are_answered_but_not_counted(split: Split, stored: Grid) -> None:
    labels = split.labels.copy()
    labels[0] = encode(stored)
    info = {**split.info, "solved": np.array([False, True, True])}
    evaluator = evaluated(dataclasses.replace(split, labels=labels, info=info), *ANSWERS)
    found = evaluator.result()
    assert found["pass@2"] == Metric.share(0.5, 2)
    assert found["pass@2/outputs"] == Metric.share(1, 5)
    assert found["exact_accuracy"] == Metric.share(1, 5)
    assert list(evaluator.per_task()) == ["two", "three"]
    (voted,) = evaluator.voted_tasks()["one"]
    assert (voted.solution, voted.rank, len(voted.ranking)) == (None, None, 2)
    assert list(submitted(evaluator)) == ["one", "two", "three"]


def test_a_true_output_of_one_black_cell_is_known(split: Split) -> None:
    labels = split.labels.copy()
    labels[0] = encode(BLACK_CELL)
    evaluator = evaluated(dataclasses.replace(split, labels=labels), (0, 0, 0, BLACK_CELL, 1.0))
    assert evaluator.result()["pass@2"] == Metric.share(1, 1)


def test_the_votes_on_every_test_input_can_be_read(split: Split) -> None:
    found = evaluated(split, *ANSWERS).voted_tasks()
    assert list(found) == ["one", "two", "three"]
    (voted,) = found["one"]
    assert grid_from_key(voted.given) == grid(0).tolist()
    votes = [(grid_from_key(candidate.key), candidate.votes) for candidate in voted.ranking]
    assert votes == [(grid(0).tolist(), 2), (wrong(1).tolist(), 1)]
    assert voted.solution == voted.ranking[0].key
    assert (voted.rank, voted.is_solved) == (1, True)
    assert [other.ranking for other in found["three"][1:]] == [[], []]


def test_an_empty_answer_is_a_candidate_but_no_attempt(split: Split) -> None:
    whole = batch(split, (0, 0, 1, grid(0), 1.0), (0, 0, 2, grid(0), 1.0))
    evaluator = evaluated(split, (0, 0, 0, grid(0), 1.0), (0, 0, 1, wrong(1), 0.0))
    evaluator.update(dataclasses.replace(whole, answers=np.zeros_like(whole.answers)))
    found = evaluator.result()
    assert found["pass@1"] == Metric.share(0, 1)
    assert found["pass@2/outputs"] == Metric.share(1, 1)
    attempts = {"attempt_1": grid(0).tolist(), "attempt_2": wrong(1).tolist()}
    assert submitted(evaluator)["one"] == [attempts]


def test_puzzles_without_names_cannot_be_told_apart(split: Split) -> None:
    nameless = dataclasses.replace(published(split), names=None)
    with pytest.raises(DataError, match=r"^the puzzles of this split have no identifiers\."):
        ArcEvaluator(nameless)
