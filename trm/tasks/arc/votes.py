"""Votes: every copy of a task gives an answer, and the answers given most often are handed in.

As the published evaluator does (``evaluators/arc.py`` there): grids rank by how many copies gave
them, then by the mean halting probability of those answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: The published values of k in pass@k.
PASS_AT = (1, 2, 5, 10, 100, 1000)
#: A test input: the group of its task, and its place among the task's test inputs.
TestInput = tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A grid that somebody voted for: its key, the votes, their mean halting probability."""

    key: bytes
    votes: int
    probability: float


@dataclass
class Votes:
    """The votes of one evaluation, plain enough to be sent between processes.

    Attributes:
        given: for each test input each distinct grid's key, and with it the halting probability
            of each vote; all in order of arrival.
    """

    given: dict[TestInput, dict[bytes, list[float]]] = field(default_factory=dict)

    def add(
        self,
        groups: NDArray[np.integer[Any]],
        places: NDArray[np.integer[Any]],
        keys: Sequence[bytes],
        halt_logits: NDArray[np.floating[Any]],
    ) -> None:
        """Take in answers.

        Args:
            groups: (batch,), the task of each.
            places: (batch,), the test input of the task.
            keys: (batch,), the grids, see :meth:`trm.tasks.arc.restore.Grids.keys`.
            halt_logits: (batch,).
        """
        chances = sigmoid(halt_logits).tolist()
        rows = zip(groups.tolist(), places.tolist(), keys, chances, strict=True)
        for group, place, key, chance in rows:
            self.given.setdefault((group, place), {}).setdefault(key, []).append(chance)

    def merge(self, other: "Votes") -> None:
        """Take in the votes of another process, as if they had come after the own ones."""
        for test_input, grids in other.given.items():
            own = self.given.setdefault(test_input, {})
            for key, chances in grids.items():
                own.setdefault(key, []).extend(chances)

    @property
    def groups(self) -> list[int]:
        """The tasks that have a vote, in the order of the split."""
        return sorted({group for group, _ in self.given})

    def ranking(self, group: int, place: int) -> list[Candidate]:
        """The candidates for a test input, best first; ties in order of first appearance."""
        grids = self.given.get((group, place), {})
        # Not sum(), which rounds differently from Python 3.12 on.
        found = [Candidate(k, len(p), reduce(add, p) / len(p)) for k, p in grids.items()]
        return sorted(found, key=lambda one: (one.votes, one.probability), reverse=True)

    def rank(self, group: int, place: int, truth: bytes) -> int | None:
        """Where the true grid stands in the ranking, 0 for the best; None if nobody gave it."""
        if truth not in self.given.get((group, place), {}):
            return None
        return next(i for i, one in enumerate(self.ranking(group, place)) if one.key == truth)


def solved_share(ranks: Sequence[int | None], k: int) -> float:
    """pass@k of a task: the share of its test inputs with the truth among the first k.

    >>> solved_share([0, 2, None], k=2), solved_share([0, 2, None], k=3)
    (0.3333333333333333, 0.6666666666666666)
    """
    return sum(rank is not None and rank < k for rank in ranks) / len(ranks)


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The probabilities (batch,) of logits (batch,), in float64."""
    with np.errstate(over="ignore"):  # exp(-x) may be infinite, and the probability 0
        chances: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return chances
