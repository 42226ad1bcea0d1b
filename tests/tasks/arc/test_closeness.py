"""How close attempts are to the true output."""

import numpy as np
import pytest

from trm.tasks.arc.closeness import Closeness, InputVotes, attempts_of, status, votes_json
from trm.tasks.arc.notation import cropped
from trm.tasks.arc.votes import Candidate

TRUTH = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
NONE = bytes([0, 0])


def key(grid: list[list[int]]) -> bytes:
    return bytes([len(grid), len(grid[0])]) + bytes(cell for row in grid for cell in row)


def spoiled(count: int) -> bytes:
    """The true output with this many wrong cells."""
    return key(TRUTH)[:2] + bytes(count) + key(TRUTH)[2 + count :]


def voted(*keys: bytes, solution: bytes | None = key(TRUTH)) -> InputVotes:
    ranking = [Candidate(one, 10 - n, 0.5) for n, one in enumerate(keys)]
    return InputVotes(key([[0]]), ranking, solution)


@pytest.mark.parametrize(
    ("candidate", "cells_right", "size_right", "text"),
    [
        (key(TRUTH), 9, True, "right"),
        (spoiled(1), 8, True, "1 of 9 cells wrong"),
        (spoiled(9), 0, True, "9 of 9 cells wrong"),
        (key(TRUTH[:2]), 6, False, "wrong size"),
        (key([row[:2] for row in TRUTH]), 6, False, "wrong size"),
        (key([[*row, 0] for row in TRUTH]), 9, False, "wrong size"),
        (NONE, 0, False, "wrong size"),
    ],
)
def test_right_cells_are_counted_from_the_top_left(
    candidate: bytes, cells_right: int, size_right: bool, text: str
) -> None:
    found = Closeness.of(candidate, key(TRUTH))
    assert (found.cells, found.cells_right, found.size_right) == (9, cells_right, size_right)
    assert str(found) == text


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ([key(TRUTH)], "solved"),
        ([spoiled(1), key(TRUTH)], "solved"),
        ([spoiled(1), NONE, key(TRUTH)], "solved"),  # an empty grid is passed over
        ([spoiled(4), spoiled(3), key(TRUTH)], "near"),
        ([key(TRUTH[:1]), spoiled(1)], "near"),
        ([spoiled(4), key(TRUTH[:1])], "other"),
        ([], "other"),
        ([NONE], "other"),
        ([key(TRUTH[:1]), key(TRUTH[:2]), spoiled(1)], "size"),
    ],
)
def test_what_became_of_a_test_input(keys: list[bytes], expected: str) -> None:
    assert status(voted(*keys)) == expected
    assert status(voted(*keys, solution=None)) == "unknown"


def test_attempts_are_boards_with_votes() -> None:
    first, second = attempts_of(voted(spoiled(2), NONE, key(TRUTH)))
    assert np.array_equal(cropped(second.answer), TRUTH)
    assert first.facts == ["10 of 27 votes", "confidence 0.500", "2 of 9 cells wrong"]
    (only,) = attempts_of(voted(spoiled(2), solution=None))
    assert only.facts == ["10 of 10 votes", "confidence 0.500"]


def test_the_votes_as_json() -> None:
    assert votes_json(voted(spoiled(1), key(TRUTH[:1]), key(TRUTH))) == {
        "status": "near", "votes": 27, "rank": 3, "cells": 9,
        "attempts": [
            {"votes": 10, "confidence": 0.5, "cells_right": 8, "size_right": True},
            {"votes": 9, "confidence": 0.5, "cells_right": 3, "size_right": False},
        ],
    }  # fmt: skip
    assert votes_json(voted())["rank"] is None
