"""Rankings of candidates, against counts by hand and a plain definition."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.tasks.arc.votes import Candidate, Votes, sigmoid, solved_share

A, B, C = b"\1\1\0", b"\1\1\1", b"\1\1\2"


def votes(*given: tuple[int, int, bytes, float]) -> Votes:
    """Votes of group, place, grid and halting logit."""
    found = Votes()
    if given:
        groups, places, keys, logits = zip(*given, strict=True)
        found.add(np.array(groups), np.array(places), keys, np.array(logits, np.float32))
    return found


def order(found: Votes, group: int = 0, place: int = 0) -> list[bytes]:
    return [candidate.key for candidate in found.ranking(group, place)]


def test_the_most_votes_come_first() -> None:
    found = votes((0, 0, A, 9.0), (0, 0, B, -3.0), (0, 0, B, -4.0))
    mean = (float(sigmoid(np.array([-3.0]))[0]) + float(sigmoid(np.array([-4.0]))[0])) / 2
    assert found.ranking(0, 0)[0] == Candidate(B, 2, mean)
    assert order(found) == [B, A]


def test_of_as_many_votes_the_higher_mean_probability_comes_first() -> None:
    found = votes((0, 0, A, 0.0), (0, 0, B, 2.0), (0, 0, A, 0.5), (0, 0, B, -1.0))
    assert order(found) == [B, A]


def test_of_equal_ones_the_first_comes_first() -> None:
    assert order(votes((0, 0, C, 1.0), (0, 0, A, 1.0), (0, 0, B, 1.0))) == [C, A, B]


def test_test_inputs_are_voted_on_apart() -> None:
    found = votes((1, 0, A, 1.0), (0, 0, B, 1.0), (0, 1, C, 1.0))
    assert [order(found, *where) for where in ((0, 0), (0, 1), (1, 0), (1, 1))] == [
        [B],
        [C],
        [A],
        [],
    ]
    assert found.groups == [0, 1]


def test_the_rank_of_the_truth() -> None:
    found = votes((0, 0, A, 1.0), (0, 0, B, 2.0))
    assert [found.rank(0, 0, key) for key in (A, B, C)] == [1, 0, None]
    assert found.rank(0, 1, A) is None


def test_pass_at_k_is_the_share_of_test_inputs_solved_within_k() -> None:
    assert [solved_share([0, 2, None, 1], k) for k in (1, 2, 3, 1000)] == [0.25, 0.5, 0.75, 0.75]


cases = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.integers(0, 1),
        st.sampled_from([A, B, C]),
        st.sampled_from([-2.0, 0.0, 0.1, 0.2, 0.3, 3.0]),
    ),
    max_size=40,
)


@given(given=cases)
@settings(deadline=None, derandomize=True)
def test_rankings_are_those_of_a_plain_definition(
    given: list[tuple[int, int, bytes, float]],
) -> None:
    """As stated in the published evaluator: [count, mean], descending, by a stable sort."""
    found = votes(*given)
    for group in range(3):
        for place in range(2):
            tally: dict[bytes, list[float]] = {}
            for key, logit in ((k, x) for g, p, k, x in given if (g, p) == (group, place)):
                entry = tally.setdefault(key, [0, 0.0])
                entry[0] += 1
                entry[1] += float(sigmoid(np.array([logit], np.float32))[0])
            means = {key: [count, total / count] for key, (count, total) in tally.items()}
            ranked = sorted(means.items(), key=lambda item: item[1], reverse=True)
            assert order(found, group, place) == [key for key, _ in ranked]


def test_probabilities_are_those_of_float64() -> None:
    found = sigmoid(np.array([0, -1000, 1000, 20, -0.5], np.float32))
    assert found.dtype == np.float64
    assert found[:3].tolist() == [0.5, 0, 1]
    assert found[3:] == pytest.approx([1 / (1 + np.exp(-20.0)), 1 / (1 + np.exp(0.5))], rel=1e-15)
