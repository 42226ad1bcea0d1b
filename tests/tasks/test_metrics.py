"""The numbers of an evaluation, against hand counts and published intervals."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Metric, wilson

# Newcombe (1998), Statistics in Medicine 17: 857-872, table I, method 3.
NEWCOMBE = [
    (81, 263, 0.2553, 0.3662),
    (15, 148, 0.0624, 0.1605),
    (0, 20, 0.0, 0.1611),
    (1, 29, 0.0061, 0.1718),
    (50, 100, 0.4038, 0.5962),  # and statsmodels' proportion_confint(50, 100, method="wilson")
]


@pytest.mark.parametrize(("hits", "count", "low", "high"), NEWCOMBE)
def test_the_interval_is_the_published_one(hits: int, count: int, low: float, high: float) -> None:
    assert wilson(hits, count) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
@hypothesis_settings(deadline=None, derandomize=True)
def test_the_interval_holds_the_share_and_solves_its_equation(case: tuple[int, int]) -> None:
    hits, count = case
    low, high = wilson(hits, count)
    assert 0 <= low <= hits / count <= high <= 1
    mirrored = wilson(count - hits, count)
    assert (low, high) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))
    for bound in (low, high):
        variance = bound * (1 - bound) / count
        squared_distance = (bound - hits / count) ** 2
        assert squared_distance == pytest.approx(1.959963984540054**2 * variance, abs=1e-12)


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert Metric.share(0, 0) == Metric(0.0, 0, (0.0, 1.0))


def test_a_share_has_its_count_and_interval() -> None:
    metric = Metric.share(3, 4)
    assert (metric.value, metric.count, metric.interval) == (0.75, 4, wilson(3, 4))
    assert metric.as_json() == {"value": 0.75, "count": 4, "interval": list(wilson(3, 4))}


def test_what_a_number_lacks_is_left_out() -> None:
    assert Metric(2.5).as_json() == {"value": 2.5}
    assert (float(Metric(2.5, 8)), str(float(Metric(0.0, 0)))) == (2.5, "nan")
    assert Metric(2.5, 8).as_json() == {"value": 2.5, "count": 8}
    assert Metric(0.0, 0).as_json() == {"value": 0.0, "count": 0}


def batch(
    labels: list[list[int]], answers: list[list[int]], logits: list[float], steps: list[int]
) -> EvalBatch:
    count = len(labels)
    return EvalBatch(
        inputs=np.ones((count, len(labels[0])), np.int32),
        labels=np.array(labels, np.int32),
        answers=np.array(answers, np.int32),
        halt_logits=np.array(logits, np.float32),
        halt_steps=np.array(steps, np.int32),
        steps=np.full(count, 16, np.float32),
        puzzle_identifiers=np.zeros(count, np.int32),
        examples=np.arange(count),
        puzzles=np.arange(count),
    )


LABELS = [[2, 3, 4, 5], [2, 3, 4, 5], [2, -100, 4, -100], [-100, -100, -100, -100]]
ANSWERS = [[2, 3, 4, 5], [2, 3, 4, 4], [2, 9, 3, 9], [1, 2, 3, 4]]
LOGITS, STEPS = [0.0, 1.0, -1.0, -0.5], [1, 16, 4, 3]


def test_a_row_is_exact_if_all_its_scored_cells_are_right() -> None:
    assert batch(LABELS, ANSWERS, LOGITS, STEPS).exact.tolist() == [True, False, False, False]


def test_the_common_numbers_are_those_counted_by_hand() -> None:
    evaluator = AccuracyEvaluator()
    evaluator.update(batch(LABELS, ANSWERS, LOGITS, STEPS))
    found = evaluator.result()
    assert {name: metric.value for name, metric in found.items()} == {
        "exact_accuracy": 1 / 3,  # the last row has nothing to score: it does not count
        "cell_accuracy": (1 + 3 / 4 + 1 / 2) / 3,
        "halting_accuracy": 2 / 3,  # a logit of 0 halts
        "mean_steps": 16,
        "would_halt_at": 21 / 3,
        # softplus of the logits of wrong answers, and of minus those of right ones
        "halting_loss": pytest.approx(
            (math.log(2) + math.log1p(math.e) + math.log1p(1 / math.e)) / 3
        ),
    }
    assert {metric.count for metric in found.values()} == {3}
    assert found["exact_accuracy"].interval == wilson(1, 3)
    assert AccuracyEvaluator.headline in found


def test_batches_add_up_to_one() -> None:
    whole, parts = AccuracyEvaluator(), AccuracyEvaluator()
    whole.update(batch(LABELS, ANSWERS, LOGITS, STEPS))
    for rows in (slice(0, 1), slice(1, 4)):
        parts.update(batch(LABELS[rows], ANSWERS[rows], LOGITS[rows], STEPS[rows]))
    assert parts.result() == whole.result()


def test_mean_steps_is_left_out_if_an_answer_does_not_say_its_steps() -> None:
    evaluator, known = AccuracyEvaluator(), batch(LABELS, ANSWERS, LOGITS, STEPS)
    evaluator.update(known)
    evaluator.update(replace(known, steps=np.full(4, np.nan, np.float32)))
    found = evaluator.result()
    assert "mean_steps" not in found
    assert found["would_halt_at"].value == 21 / 3


def test_without_batches_the_numbers_are_0_of_0() -> None:
    found = AccuracyEvaluator().result()
    assert {(metric.value, metric.count) for metric in found.values()} == {(0.0, 0)}
