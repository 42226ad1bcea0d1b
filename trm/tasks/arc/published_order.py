"""The copies and the order of tasks that the published builder draws, number by number.

The rows of a puzzle embedding are numbered by them: a published checkpoint can be evaluated only on
puzzles that have the same numbers (published ``dataset/build_arc_dataset.py``).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trm.data import Drawn
from trm.tasks.arc.copies import TRIES, Hasher
from trm.tasks.arc.grids import ArcTask, Pair
from trm.tasks.arc.names import FIRST_COLOR, NUM_SYMMETRIES, VOCAB_SIZE


def shuffled_and_drawn(
    parts: Sequence[Sequence[ArcTask]], num_copies: int, seed: int
) -> Iterator[tuple[list[ArcTask], list[Drawn]]]:
    """The tasks of each part in the published order, and the original and copies of each.

    Args:
        parts: training, evaluation and further tasks, as the published builder is given them.
        num_copies: of each task; some have fewer, as in :func:`trm.tasks.arc.copies.draw_distinct`.
        seed: of the builder.
    """
    rng = np.random.RandomState(seed)  # whose numbers never change
    for part in parts:
        tasks = list(part)
        order = np.arange(len(tasks))
        rng.shuffle(order)
        tasks = [tasks[place] for place in order]
        yield tasks, [_drawn(task.train + task.test, num_copies, rng) for task in tasks]


def _drawn(pairs: Sequence[Pair], num_copies: int, rng: np.random.RandomState) -> Drawn:
    """One try at a time as published, but that the hashes of many are compared at once."""
    symmetry = np.zeros(1, np.int32)
    permutation = np.arange(VOCAB_SIZE, dtype=np.uint8)[None]
    hashes = Hasher([pair.answered for pair in pairs])
    known = hashes(symmetry, permutation)
    tries = TRIES * num_copies
    while tries and len(known) <= num_copies:
        count = min(tries, 1 + num_copies - len(known))  # so many are tried at least
        tries -= count
        drawn = _tries(count, rng)
        symmetry = np.concatenate((symmetry, drawn[0]))
        permutation = np.concatenate((permutation, drawn[1]))
        known = np.concatenate((known, hashes(*drawn)))
        _, first = np.unique(known, return_index=True)
        first.sort()
        symmetry, permutation, known = symmetry[first], permutation[first], known[first]
    return symmetry, permutation


def _tries(count: int, rng: np.random.RandomState) -> Drawn:
    symmetry = np.empty(count, np.int32)
    colors: NDArray[np.uint8] = np.arange(1, VOCAB_SIZE - FIRST_COLOR, dtype=np.uint8)
    permutation = np.tile(np.arange(VOCAB_SIZE, dtype=np.uint8), (count, 1))
    for place in range(count):
        symmetry[place] = rng.randint(0, NUM_SYMMETRIES)
        permutation[place, FIRST_COLOR + 1 :] = FIRST_COLOR + rng.permutation(colors)
    return symmetry, permutation
