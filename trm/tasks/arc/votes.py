"""Voting: every copy of a task gives an answer, and the most frequent answers are submitted.

As in the published evaluator (``evaluators/arc.py``), grids are ranked by the number of copies that
gave them, then by the mean halting probability of these answers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.tasks.arc.augmentation import grid_sizes
from trm.tasks.arc.grids import FIRST_COLOR, MAX_SIDE

#: The published values of k in pass@k.
PASS_AT = (1, 2, 5, 10, 100, 1000)
#: A test input: the group of its task, and its index among the task's test inputs.
TestInput = tuple[int, int]


def grid_keys(tokens: NDArray[np.integer[Any]]) -> list[bytes]:
    """The grids at the top left of tokens (batch, 900) as bytes: height, width and colours.

    Equal grids have equal keys. A grid is the largest rectangle of colours, as in the published
    evaluator.
    """
    boards = np.ascontiguousarray(tokens, np.uint8)
    sizes = grid_sizes(boards)
    colors = boards.reshape(-1, MAX_SIDE, MAX_SIDE) - np.uint8(FIRST_COLOR)
    return [
        bytes((height, width)) + board[:height, :width].tobytes()
        for board, (height, width) in zip(colors, sizes.tolist(), strict=True)
    ]


def grid_from_key(key: bytes) -> list[list[int]]:
    """The rows of a grid from its key; an empty list for an empty grid."""
    height, width = key[:2]
    return [list(key[2 + row * width : 2 + (row + 1) * width]) for row in range(height)]


@dataclass(frozen=True)
class Candidate:
    """A grid with votes: its key, the number of votes, and their mean halting probability."""

    key: bytes
    votes: int
    probability: float


@dataclass
class Votes:
    """The votes of one evaluation.

    Attributes:
        given: for each test input, the key of each distinct grid and the halting probabilities of
            its votes; all in order of arrival.
    """

    given: dict[TestInput, dict[bytes, list[float]]] = field(default_factory=dict)

    def add(
        self,
        groups: NDArray[np.integer[Any]],
        test_indices: NDArray[np.integer[Any]],
        keys: Sequence[bytes],
        halt_logits: NDArray[np.floating[Any]],
    ) -> None:
        """Add a vote for each answer.

        Args:
            groups: (batch,), the groups of the tasks.
            test_indices: (batch,), indices of the tasks' test inputs.
            keys: (batch,), the answers, see :func:`grid_keys`.
            halt_logits: (batch,).
        """
        probabilities = sigmoid(halt_logits).tolist()
        rows = zip(groups.tolist(), test_indices.tolist(), keys, probabilities, strict=True)
        for group, index, key, probability in rows:
            self.given.setdefault((group, index), {}).setdefault(key, []).append(probability)

    @property
    def groups(self) -> list[int]:
        """The groups of the tasks with votes, in the order of the split."""
        return sorted({group for group, _ in self.given})

    def ranking(self, group: int, test_index: int) -> list[Candidate]:
        """The candidates for a test input, best first; ties in order of first appearance."""
        grids = self.given.get((group, test_index), {})
        # Not sum(): since Python 3.12 it rounds in another way.
        candidates = [Candidate(k, len(p), reduce(add, p) / len(p)) for k, p in grids.items()]
        return sorted(candidates, key=lambda c: (c.votes, c.probability), reverse=True)

    def rank(self, group: int, test_index: int, solution: bytes) -> int | None:
        """The rank of the solution among the candidates, from 0; None if it has no vote."""
        keys = [candidate.key for candidate in self.ranking(group, test_index)]
        return keys.index(solution) if solution in keys else None


def solved_share(ranks: Sequence[int | None], k: int) -> float:
    """pass@k of a task: the share of its test inputs with the solution among the first k.

    >>> solved_share([0, 2, None], k=2), solved_share([0, 2, None], k=3)
    (0.3333333333333333, 0.6666666666666666)
    """
    return sum(rank is not None and rank < k for rank in ranks) / len(ranks)


def sigmoid(logits: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """The probabilities (batch,) of logits (batch,), in float64."""
    with np.errstate(over="ignore"):  # exp(-x) may be infinite; then the probability is 0
        probabilities: NDArray[np.float64] = 1 / (1 + np.exp(-logits.astype(np.float64)))
    return probabilities
