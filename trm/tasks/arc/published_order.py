"""The order of tasks and the copies of the published builder, reproduced exactly.

They decide the rows of the puzzle embedding. A published checkpoint can be evaluated only on
puzzles that are numbered in the same way (published ``dataset/build_arc_dataset.py``).
"""

from collections.abc import Iterator, Sequence

import numpy as np

from trm.data import Transforms, identity_permutations
from trm.tasks.arc.grids import FIRST_COLOR, VOCAB_SIZE, ArcTask, Pair
from trm.tasks.arc.symmetry import NUM_SYMMETRIES
from trm.tasks.arc.unique_copies import TRIES, UniqueCopies

#: The order of the tasks of ConceptARC in the published file
#: (``kaggle/combined/arc-agi_concept_challenges.json``): a concept and the numbers of its tasks.
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
    """The tasks of ConceptARC in the order of the published file, then all other tasks."""
    lines = (line.split() for line in _CONCEPTS.split("\n") if line)
    positions = {
        concept + number: position
        for position, (concept, number) in enumerate(
            (concept, number) for concept, *numbers in lines for number in numbers
        )
    }
    return sorted(tasks, key=lambda task: positions.get(task.id, len(positions)))


def shuffled_and_drawn(
    parts: Sequence[Sequence[ArcTask]], num_copies: int, seed: int
) -> Iterator[tuple[list[ArcTask], list[Transforms]]]:
    """The tasks of each part in the published order, and the original and the copies of each task.

    Args:
        parts: training, evaluation and other tasks, in the order of the published builder's input.
        num_copies: copies of each task; some tasks have fewer, see
            :func:`trm.tasks.arc.unique_copies.draw_unique_copies`.
        seed: the builder's seed.
    """
    rng = np.random.RandomState(seed)  # the published generator
    for part in parts:
        tasks = list(part)
        order = np.arange(len(tasks))
        rng.shuffle(order)
        tasks = [tasks[position] for position in order]
        yield tasks, [_draw_copies(task.train + task.test, num_copies, rng) for task in tasks]


def _draw_copies(pairs: Sequence[Pair], num_copies: int, rng: np.random.RandomState) -> Transforms:
    copies = UniqueCopies([pair.grids for pair in pairs], num_copies)
    tries = TRIES * num_copies
    while tries and copies.num_missing:
        # The published builder compares after every try. It tries at least this often.
        count = min(tries, copies.num_missing)
        tries -= count
        symmetry = np.empty(count, np.int32)
        permutation = identity_permutations(count, VOCAB_SIZE)
        for index in range(count):
            symmetry[index] = rng.randint(0, NUM_SYMMETRIES)
            colors = rng.permutation(np.arange(1, VOCAB_SIZE - FIRST_COLOR, dtype=np.uint8))
            permutation[index, FIRST_COLOR + 1 :] = FIRST_COLOR + colors
        copies.add(Transforms(symmetry, permutation))
    return copies.transforms
