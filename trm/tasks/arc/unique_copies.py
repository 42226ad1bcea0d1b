"""Augmented copies of a task, no two of them equal.

Two copies are equal if they have the same pairs of grids, in any order (published
``dataset/build_arc_dataset.py``). Instead of the grids their hashes are compared: equal copies
always have equal hashes, so no two copies that are kept are equal. That two others have equal
hashes, and one is left out for nothing, has a chance below 2**-57 for each two.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trm.data import Transforms
from trm.tasks.arc.augmentation import INVERSE, turned
from trm.tasks.arc.grids import MAX_SIDE, Grid
from trm.tasks.arc.identifier_names import FIRST_COLOR, NUM_COLORS, NUM_SYMMETRIES, VOCAB_SIZE
from trm.tasks.splitmix import Hashes, mix

#: A task's copies are sought among so many times their number, as published.
TRIES = 5

# The hash of a grid is the sum over its cells of (a number of the place) * (a number of the
# colour), mixed with its shape. So the places of each colour can be summed up once a grid, and a
# copy, which sees other places and colours, takes ten multiplications.
_PLACES = mix(np.arange(MAX_SIDE * MAX_SIDE, dtype=np.uint64)).reshape(MAX_SIDE, MAX_SIDE)
_COLORS = mix(np.arange(1000, 1000 + NUM_COLORS, dtype=np.uint64))
_OUTPUT = np.uint64(0xD6E8FEB86659FD93)  # odd: tells a pair from its reverse


class Draws(Protocol):
    """What draws symmetries (count,) and permutations (count, 12)."""

    def __call__(self, count: int, rng: np.random.Generator) -> Transforms: ...


def draw_distinct(
    pairs: Sequence[tuple[Grid, Grid]], num_copies: int, draw: Draws, rng: np.random.Generator
) -> Transforms:
    """The original of a task, and copies that differ from it and from each other.

    Args:
        pairs: all the task's grids, inputs and outputs.
        num_copies: how many are wanted; there are fewer if ``TRIES * num_copies`` random ones
            do not give as many.
        draw: of the augmentation.
        rng: what to draw from.
    """
    symmetry = np.zeros(1, np.int32)
    permutation = np.arange(VOCAB_SIZE, dtype=np.uint8)[None]
    hashes = Hasher(pairs)
    known = hashes(symmetry, permutation)
    for _ in range(TRIES):
        if len(known) > num_copies:
            break
        drawn = draw(num_copies, rng)
        symmetry = np.concatenate((symmetry, drawn[0]))
        permutation = np.concatenate((permutation, drawn[1]))
        known = np.concatenate((known, hashes(*drawn)))
        _, first = np.unique(known, return_index=True)
        kept = np.sort(first)[: 1 + num_copies]
        symmetry, permutation, known = symmetry[kept], permutation[kept], known[kept]
    return Transforms(symmetry, permutation)


class Hasher:
    """Hashes (n,) of the copies of a task under symmetries (n,) and permutations (n, 12)."""

    def __init__(self, pairs: Sequence[tuple[Grid, Grid]]) -> None:
        sums, shapes = zip(*(_summed(grid) for pair in pairs for grid in pair), strict=True)
        self._sums = np.stack(sums)  # (grids, symmetries, colours)
        self._shapes = mix(np.array(shapes, np.uint64))  # (grids, symmetries)

    def __call__(self, symmetry: NDArray[Any], permutation: NDArray[np.uint8]) -> Hashes:
        colors = _COLORS[permutation[:, FIRST_COLOR:] - np.uint8(FIRST_COLOR)]
        grids = (self._sums[:, symmetry] * colors).sum(axis=2, dtype=np.uint64)
        grids = mix(grids ^ self._shapes[:, symmetry])
        pairs = mix(grids[0::2] + grids[1::2] * _OUTPUT)
        total: Hashes = pairs.sum(axis=0, dtype=np.uint64)
        return total


def _summed(grid: Grid) -> tuple[Hashes, list[int]]:
    """The sums (symmetries, colours) of the places where each colour of a grid comes to stand.

    Also a number (symmetries,) of the shape that the grid takes.
    """
    places, shapes = [], []
    for symmetry in range(NUM_SYMMETRIES):
        rows, columns = turned(grid, symmetry).shape
        places.append(turned(_PLACES[:rows, :columns], INVERSE[symmetry]).ravel())
        shapes.append(rows * (MAX_SIDE + 1) + columns)
    is_color = grid.reshape(-1, 1) == np.arange(NUM_COLORS, dtype=np.uint8)
    return np.stack(places) @ is_color.astype(np.uint64), shapes
