"""The copies and the order of tasks that the published builder draws, number by number.

The rows of a puzzle embedding are numbered by them: a published checkpoint can be evaluated only on
puzzles that have the same numbers (published ``dataset/build_arc_dataset.py``).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from trm.data import Transforms
from trm.tasks.arc.grids import ArcTask, Pair
from trm.tasks.arc.identifier_names import FIRST_COLOR, NUM_SYMMETRIES, VOCAB_SIZE
from trm.tasks.arc.unique_copies import TRIES, Hasher

#: The tasks of ConceptARC stand in the published file in this order, which follows no rule: those
#: of each concept after the other (``kaggle/combined/arc-agi_concept_challenges.json``).
_CONCEPTS = """
ExtractObjects 10 7 9 4 1 5 8 6 2 3
Count 3 9 2 8 4 1 7 5 6 10
Copy 5 2 7 10 4 1 8 3 6 9
Center 3 9 6 10 1 2 4 8 7 5
TopBottom2D 7 6 2 3 1 9 5 4 8 10
Order 1 10 3 4 8 7 9 2 5 6
MoveToBoundary 3 4 10 6 8 7 9 2 1 5
SameDifferent 6 3 9 10 4 8 2 5 7 1
HorizontalVertical 10 4 6 3 8 5 7 2 1 9
TopBottom3D 9 6 1 10 8 5 7 2 4 3
CompleteShape 6 3 7 9 2 4 8 5 1 10
AboveBelow 5 3 1 8 10 9 7 6 4 2
FilledNotFilled 1 9 2 8 6 4 7 5 3 10
InsideOutside 8 5 9 4 3 7 2 6 1 10
CleanUp 1 2 9 8 4 7 5 6 3 10
ExtendToBoundary 9 1 4 7 3 8 2 10 5 6
"""


def concepts_in_order(tasks: Sequence[ArcTask]) -> list[ArcTask]:
    """The tasks of ConceptARC in the order of the published file; others keep theirs, behind."""
    lines = (line.split() for line in _CONCEPTS.split("\n") if line)
    places = {
        concept + number: place
        for place, (concept, number) in enumerate(
            (concept, number) for concept, *numbers in lines for number in numbers
        )
    }
    return sorted(tasks, key=lambda task: places.get(task.id, len(places)))


def shuffled_and_drawn(
    parts: Sequence[Sequence[ArcTask]], num_copies: int, seed: int
) -> Iterator[tuple[list[ArcTask], list[Transforms]]]:
    """The tasks of each part in the published order, and the original and copies of each.

    Args:
        parts: training, evaluation and further tasks, as the published builder is given them.
        num_copies: of each task; some have fewer, see
            :func:`trm.tasks.arc.unique_copies.draw_distinct`.
        seed: of the builder.
    """
    rng = np.random.RandomState(seed)  # whose numbers never change
    for part in parts:
        tasks = list(part)
        order = np.arange(len(tasks))
        rng.shuffle(order)
        tasks = [tasks[place] for place in order]
        yield tasks, [_drawn(task.train + task.test, num_copies, rng) for task in tasks]


def _drawn(pairs: Sequence[Pair], num_copies: int, rng: np.random.RandomState) -> Transforms:
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
    return Transforms(symmetry, permutation)


def _tries(count: int, rng: np.random.RandomState) -> Transforms:
    symmetry = np.empty(count, np.int32)
    colors: NDArray[np.uint8] = np.arange(1, VOCAB_SIZE - FIRST_COLOR, dtype=np.uint8)
    permutation = np.tile(np.arange(VOCAB_SIZE, dtype=np.uint8), (count, 1))
    for place in range(count):
        symmetry[place] = rng.randint(0, NUM_SYMMETRIES)
        permutation[place, FIRST_COLOR + 1 :] = FIRST_COLOR + rng.permutation(colors)
    return Transforms(symmetry, permutation)
