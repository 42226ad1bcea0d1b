"""Augmented copies of a task, no two of them equal.

Two copies are equal if they have the same pairs of grids, in any order (published
``dataset/build_arc_dataset.py``). Copies are compared by hash. Equal copies always have equal
hashes, so the copies that are kept all differ. Two different copies have equal hashes with a
probability below 2**-57; then one of them is left out.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import Transforms, identity_permutations
from trm.tasks.arc.grids import FIRST_COLOR, MAX_SIDE, NUM_COLORS, VOCAB_SIZE, Grid
from trm.tasks.arc.symmetry import INVERSE, NUM_SYMMETRIES, transform_grid
from trm.tasks.splitmix import Hashes, mix

#: Random copies drawn for each wanted copy, at most; as published.
TRIES = 5

# The hash of a grid is the sum over its cells of (a number for the cell) * (a number for the
# colour), mixed with its shape. So the numbers of the cells of each colour are summed once per
# grid, and the hash of a copy takes only ten multiplications.
_CELLS = mix(np.arange(MAX_SIDE * MAX_SIDE, dtype=np.uint64)).reshape(MAX_SIDE, MAX_SIDE)
_COLORS = mix(np.arange(1000, 1000 + NUM_COLORS, dtype=np.uint64))
_OUTPUT = np.uint64(0xD6E8FEB86659FD93)  # odd: distinguishes a pair from its reverse


class UniqueCopies:
    """Copies of a task that all differ. The first is the original.

    Args:
        pairs: all input and output grids of the task.
        max_copies: the largest number of copies to keep, without the original.

    Attributes:
        transforms: the symmetry and the permutation of each copy.
    """

    def __init__(self, pairs: Sequence[tuple[Grid, Grid]], max_copies: int) -> None:
        self._hasher = CopyHasher(pairs)
        self._limit = 1 + max_copies
        self.transforms = Transforms(np.zeros(1, np.int32), identity_permutations(1, VOCAB_SIZE))
        self._hashes = self._hasher(*self.transforms)

    @property
    def num_missing(self) -> int:
        """The number of copies that are still missing."""
        return self._limit - len(self._hashes)

    def add(self, drawn: Transforms) -> None:
        """Add the copies that differ from all others, until none is missing."""
        hashes = np.concatenate((self._hashes, self._hasher(*drawn)))
        symmetry = np.concatenate((self.transforms.symmetry, drawn.symmetry))
        permutation = np.concatenate((self.transforms.permutation, drawn.permutation))
        _, first = np.unique(hashes, return_index=True)
        kept = np.sort(first)[: self._limit]
        self.transforms = Transforms(symmetry[kept], permutation[kept])
        self._hashes = hashes[kept]


def draw_unique_copies(
    pairs: Sequence[tuple[Grid, Grid]],
    num_copies: int,
    draw: Callable[[int, np.random.Generator], Transforms],
    rng: np.random.Generator,
) -> Transforms:
    """The original of a task, and copies that all differ.

    Args:
        pairs: all input and output grids of the task.
        num_copies: the wanted number of copies. There are fewer if ``TRIES * num_copies`` random
            ones do not contain this many.
        draw: the augmentation's ``draw``.
        rng: the source of random numbers.
    """
    copies = UniqueCopies(pairs, num_copies)
    for _ in range(TRIES):
        if not copies.num_missing:
            break
        copies.add(draw(num_copies, rng))
    return copies.transforms


class CopyHasher:
    """Computes the hashes (n,) of a task's copies from symmetries (n,) and permutations (n, 12)."""

    def __init__(self, pairs: Sequence[tuple[Grid, Grid]]) -> None:
        sums, shapes = zip(*(_sum_cells(grid) for pair in pairs for grid in pair), strict=True)
        self._sums = np.stack(sums)  # (grids, symmetries, colours)
        self._shapes = mix(np.array(shapes, np.uint64))  # (grids, symmetries)

    def __call__(self, symmetry: NDArray[Any], permutation: NDArray[np.uint8]) -> Hashes:
        colors = _COLORS[permutation[:, FIRST_COLOR:] - np.uint8(FIRST_COLOR)]
        grids = (self._sums[:, symmetry] * colors).sum(axis=2, dtype=np.uint64)
        grids = mix(grids ^ self._shapes[:, symmetry])
        pairs = mix(grids[0::2] + grids[1::2] * _OUTPUT)
        total: Hashes = pairs.sum(axis=0, dtype=np.uint64)
        return total


def _sum_cells(grid: Grid) -> tuple[Hashes, list[int]]:
    """The sums (symmetries, colours) of the cell numbers of each colour, under each symmetry.

    Also a number (symmetries,) for the shape of the grid under each symmetry.
    """
    cells, shapes = [], []
    for symmetry in range(NUM_SYMMETRIES):
        rows, columns = transform_grid(grid, symmetry).shape
        cells.append(transform_grid(_CELLS[:rows, :columns], INVERSE[symmetry]).ravel())
        shapes.append(rows * (MAX_SIDE + 1) + columns)
    is_color = grid.reshape(-1, 1) == np.arange(NUM_COLORS, dtype=np.uint8)
    return np.stack(cells) @ is_color.astype(np.uint64), shapes
