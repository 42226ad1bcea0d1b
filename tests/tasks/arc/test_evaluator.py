"""What is counted of ARC answers, on three small tasks with copies."""

import dataclasses

import numpy as np
import pytest

from trm.data import BatchTransforms, Split
from trm.errors import DataError
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.evaluator import NO_ANSWER, ArcEvaluator
from trm.tasks.arc.grids import encode
from trm.tasks.arc.identifier_names import make_names
from trm.tasks.arc.notation import cropped
from trm.tasks.metrics import EvalBatch, Metric, wilson

IDS = [b"one", b"two", b"three"]
TESTS = [1, 2, 3]  # test inputs of each task
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
    assert evaluator.submission() == native.submission()
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
    found = evaluated(split, *ANSWERS).submission()
    right, other = grid(0).tolist(), wrong(1).tolist()
    assert found["one"] == [{"attempt_1": right, "attempt_2": other}]
    assert found["two"][0] == {"attempt_1": other, "attempt_2": grid(1).tolist()}


def test_a_single_answer_is_both_attempts(split: Split) -> None:
    only = wrong(2).tolist()
    found = evaluated(split, *ANSWERS).submission()
    assert found["two"][1] == {"attempt_1": only, "attempt_2": only}


def test_a_test_input_without_an_answer_is_not_solved_and_keeps_its_place(split: Split) -> None:
    evaluator = evaluated(split, (1, 1, 0, grid(2), 1.0))
    assert evaluator.result()["pass@1"] == Metric.share(0.5, 1)
    none = {"attempt_1": NO_ANSWER, "attempt_2": NO_ANSWER}
    right = {"attempt_1": grid(2).tolist(), "attempt_2": grid(2).tolist()}
    assert evaluator.submission() == {"two": [none, right]}


def test_tasks_without_an_answer_are_not_looked_at(split: Split) -> None:
    evaluator = evaluated(split, (2, 1, 1, grid(4), 1.0), (0, 0, 1, wrong(1), 1.0))
    assert evaluator.result()["pass@2"] == Metric.share(1 / 3, 2)
    assert list(evaluator.submission()) == list(evaluator.per_task()) == ["one", "three"]


def test_nothing_is_known_without_answers(split: Split) -> None:
    evaluator = ArcEvaluator(split)
    assert evaluator.result()["pass@2"] == Metric.share(0, 0)
    assert evaluator.submission() == evaluator.per_task() == {}


def test_tasks_of_unknown_outputs_are_answered_but_not_counted(split: Split) -> None:
    info = {**split.info, "solved": np.array([False, True, True])}
    evaluator = evaluated(dataclasses.replace(split, info=info), *ANSWERS)
    found = evaluator.result()
    assert found["pass@2"] == Metric.share(0.5, 2)
    assert found["exact_accuracy"] == Metric.share(1, 5)
    assert list(evaluator.per_task()) == ["two", "three"]
    assert list(evaluator.submission()) == ["one", "two", "three"]


def test_an_empty_answer_is_a_candidate_like_others(split: Split) -> None:
    whole = batch(split, (0, 0, 1, grid(0), 1.0))
    evaluator = ArcEvaluator(split)
    evaluator.update(dataclasses.replace(whole, answers=np.zeros_like(whole.answers)))
    assert evaluator.submission() == {"one": [{"attempt_1": [], "attempt_2": []}]}
    assert evaluator.result()["pass@1"] == Metric.share(0, 1)


def test_puzzles_without_names_cannot_be_told_apart(split: Split) -> None:
    nameless = dataclasses.replace(published(split), names=None)
    with pytest.raises(DataError, match=r"^the puzzles of this split have no identifiers\."):
        ArcEvaluator(nameless)
