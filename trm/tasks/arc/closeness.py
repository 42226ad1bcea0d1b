"""The votes on a test input, and how close they are to the true output."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trm.tasks.arc.grids import encode
from trm.tasks.arc.votes import Candidate
from trm.tasks.metrics import Attempt

#: What became of a test input. A near miss has an attempt of the right size with one to three wrong
#: cells. With ``size``, no attempt has the right size.
Status = Literal["solved", "near", "size", "other", "unknown"]
#: The most wrong cells of a near miss.
NEAR = 3


@dataclass(frozen=True)
class InputVotes:
    """A test input and its candidates. Grids are keys, see :func:`trm.tasks.arc.votes.grid_keys`.

    Attributes:
        given: the test input.
        ranking: the candidates, best first; empty without a vote.
        solution: the true output, None if it is unknown.
    """

    given: bytes
    ranking: Sequence[Candidate]
    solution: bytes | None

    @property
    def attempts(self) -> list[Candidate]:
        """The two best candidates. An empty grid is never right, so it is passed over."""
        return [one for one in self.ranking if one.key[0]][:2]

    @property
    def is_solved(self) -> bool:
        """Whether one of the attempts is the true output."""
        return self.solution in [attempt.key for attempt in self.attempts]

    @property
    def rank(self) -> int | None:
        """The rank of the true output among the candidates, from 1; None if it has no vote."""
        keys = [one.key for one in self.ranking]
        return 1 + keys.index(self.solution) if self.solution in keys else None

    @property
    def num_votes(self) -> int:
        """All votes, of all candidates."""
        return sum(one.votes for one in self.ranking)


@dataclass(frozen=True)
class Closeness:
    """A candidate compared with the true output.

    Attributes:
        cells: the cells of the true output.
        cells_right: those that the candidate has too, at the same row and column.
        size_right: whether it has as many rows and columns.
    """

    cells: int
    cells_right: int
    size_right: bool

    @classmethod
    def of(cls, candidate: bytes, solution: bytes) -> "Closeness":
        """Compare two grids by their keys, see :func:`trm.tasks.arc.votes.grid_keys`."""
        grid, truth = _cells(candidate), _cells(solution)
        rows, columns = (min(sides) for sides in zip(grid.shape, truth.shape, strict=True))
        same = grid[:rows, :columns] == truth[:rows, :columns]
        return cls(truth.size, int(same.sum()), grid.shape == truth.shape)

    @property
    def is_right(self) -> bool:
        """Whether the candidate is the true output."""
        return self.size_right and self.cells_right == self.cells

    @property
    def is_near(self) -> bool:
        """Whether it has the right size and at most three wrong cells."""
        return self.size_right and self.cells - self.cells_right <= NEAR

    def __str__(self) -> str:
        """In words: ``right``, ``2 of 9 cells wrong`` or ``wrong size``."""
        if self.is_right:
            return "right"
        if not self.size_right:
            return "wrong size"
        return f"{self.cells - self.cells_right} of {self.cells} cells wrong"


def status(voted: InputVotes) -> Status:
    """What became of a test input, by its two attempts."""
    if voted.solution is None:
        return "unknown"
    found = [Closeness.of(attempt.key, voted.solution) for attempt in voted.attempts]
    if any(one.is_right for one in found):
        return "solved"
    if any(one.is_near for one in found):
        return "near"
    return "other" if not found or any(one.size_right for one in found) else "size"


def attempts_of(voted: InputVotes) -> list[Attempt]:
    """The attempts at a test input, as boards."""
    return [
        Attempt(
            encode(_cells(one.key)),
            one.votes,
            voted.num_votes,
            one.probability,
            "" if voted.solution is None else str(Closeness.of(one.key, voted.solution)),
        )
        for one in voted.attempts
    ]


def votes_json(voted: InputVotes) -> dict[str, Any]:
    """The votes on a test input whose true output is known, for ``trm eval --per-task``."""
    assert voted.solution is not None
    attempts = []
    for one in voted.attempts:
        found = Closeness.of(one.key, voted.solution)
        attempts.append(
            {
                "votes": one.votes,
                "confidence": one.probability,
                "cells_right": found.cells_right,
                "size_right": found.size_right,
            }
        )
    return {
        "status": status(voted),
        "votes": voted.num_votes,
        "rank": voted.rank,
        "cells": len(voted.solution) - 2,
        "attempts": attempts,
    }


def _cells(key: bytes) -> NDArray[np.uint8]:
    """The grid (rows, columns) of a key."""
    return np.frombuffer(key, np.uint8, offset=2).reshape(key[0], key[1])
