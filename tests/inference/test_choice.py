"""One answer out of several, on made-up ones; the majority stands in ``test_predictions``."""

from collections.abc import Callable

import numpy as np
import pytest

from trm.inference.choice import chosen, majority, winners
from trm.inference.options import Choice
from trm.tasks.metrics import EvalBatch

Make = Callable[..., EvalBatch]


@pytest.fixture
def ballots(batch: Make) -> list[EvalBatch]:
    """Two examples, four rollouts: most say 1 and 2, the surest say 2 and 1."""
    return [
        batch([[1, 1], [2, 2]], [0.5, 0.5], [3, 3]),
        batch([[2, 2], [1, 1]], [2.0, 3.0], [4, 1]),
        batch([[1, 1], [2, 2]], [-1.0, 0.5], [2, 5]),
        batch([[3, 3], [1, 1]], [2.0, 2.5], [1, 1]),
    ]


@pytest.mark.parametrize("choose", ["halt", "first"])
def test_the_surest_is_taken_and_of_equals_the_first(
    ballots: list[EvalBatch], choose: Choice
) -> None:
    found = chosen(choose, ballots)
    assert found.answers.tolist() == [[2, 2], [1, 1]]
    assert found.halt_logits.tolist() == [2.0, 3.0]
    assert found.halt_steps.tolist() == [4, 1]
    assert np.array_equal(found.examples, ballots[0].examples)


def test_the_majority_is_taken_though_others_are_surer(ballots: list[EvalBatch]) -> None:
    found = chosen("vote", ballots)
    assert found.answers.tolist() == [[1, 1], [1, 1]]  # of two and two the surer ones
    assert found.halt_logits.tolist() == [-0.25, 2.75]
    assert found.halt_steps.tolist() == [2, 1]
    again = majority(ballots)
    assert np.array_equal(again.answers, found.answers)


@pytest.mark.parametrize("choose", ["halt", "first", "vote"])
def test_of_one_there_is_no_choice(ballots: list[EvalBatch], choose: Choice) -> None:
    assert chosen(choose, ballots[:1]) is ballots[0]


def test_winners_have_all_that_gave_the_answer(ballots: list[EvalBatch]) -> None:
    answers = np.stack([ballot.answers for ballot in ballots])
    logits = np.stack([ballot.halt_logits for ballot in ballots])
    assert winners("vote", answers, logits) == [[0, 2], [1, 3]]
    assert winners("halt", answers, logits) == [[1], [1]]
