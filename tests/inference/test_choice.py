"""One answer out of several; ``test_predictions`` tests the majority."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.inference.choice import chosen, majority, winners
from trm.inference.options import Choice
from trm.tasks.metrics import EvalBatch

Make = Callable[..., EvalBatch]


@pytest.fixture
def rollouts(batch: Make) -> list[EvalBatch]:
    """Two examples, four rollouts: most answer 1 and 2, the most confident ones 2 and 1."""
    return [
        batch([[1, 1], [2, 2]], [0.5, 0.5], [3, 3]),
        batch([[2, 2], [1, 1]], [2.0, 3.0], [4, 1]),
        batch([[1, 1], [2, 2]], [-1.0, 0.5], [2, 5]),
        batch([[3, 3], [1, 1]], [2.0, 2.5], [1, 1]),
    ]


@pytest.mark.parametrize("choose", ["halt", "first"])
def test_the_most_confident_answer_is_chosen_and_the_first_in_a_tie(
    rollouts: list[EvalBatch], choose: Choice
) -> None:
    found = chosen(choose, rollouts)
    assert found.answers.tolist() == [[2, 2], [1, 1]]
    assert found.halt_logits.tolist() == [2.0, 3.0]
    assert found.halt_steps.tolist() == [4, 1]
    assert np.array_equal(found.examples, rollouts[0].examples)


def test_the_majority_is_chosen_though_others_are_more_confident(rollouts: list[EvalBatch]) -> None:
    found = chosen("vote", rollouts)
    assert found.answers.tolist() == [[1, 1], [1, 1]]  # two each: the more confident ones
    assert found.halt_logits.tolist() == [-0.25, 2.75]
    assert found.halt_steps.tolist() == [2, 1]
    again = majority(rollouts)
    assert np.array_equal(again.answers, found.answers)


@pytest.mark.parametrize("choose", ["halt", "first", "vote"])
def test_one_answer_is_left_as_it_is(rollouts: list[EvalBatch], choose: Choice) -> None:
    assert chosen(choose, rollouts[:1]) is rollouts[0]


def test_winners_are_all_rollouts_that_gave_the_answer(rollouts: list[EvalBatch]) -> None:
    answers = np.stack([rollout.answers for rollout in rollouts])
    logits = np.stack([rollout.halt_logits for rollout in rollouts])
    assert winners("vote", answers, logits) == [[0, 2], [1, 3]]
    assert winners("halt", answers, logits) == [[1], [1]]
