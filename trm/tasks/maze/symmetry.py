"""Turned and mirrored mazes, whose labels are drawn anew.

A label takes the path that the rule of :mod:`trm.tasks.maze.solver` finds, and that rule prefers
some directions: a turned label is a shortest path of the turned maze, but seldom the one that the
rule takes there (``docs/explanation/maze-data.md``).
"""

import numpy as np

from trm.data import BatchTransforms, CellAugmentation, Transforms, identity_permutations
from trm.tasks.base import Tokens
from trm.tasks.maze.geometry import NUM_SYMMETRIES, VOCABULARY, symmetry_cells
from trm.tasks.maze.solver import solve


class MazeAugmentation(CellAugmentation):
    """The eight symmetries of the square; no token changes its name.

    :meth:`undo` only moves cells back: what it makes of a label that :meth:`apply` drew is a
    shortest path of the original maze, but seldom the one that the rule takes.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            lambda symmetry: symmetry_cells(size, symmetry),
            num_symmetries=NUM_SYMMETRIES,
            vocab_size=len(VOCABULARY),
            first_free=len(VOCABULARY),
        )

    def apply(self, inputs: Tokens, labels: Tokens, rows: BatchTransforms) -> tuple[Tokens, Tokens]:
        """Move the mazes, and draw the labels of those that moved by the tie-break rule."""
        inputs, labels = super().apply(inputs, labels, rows)
        moved = rows.symmetry != 0
        if moved.any():
            labels = labels.copy()
            labels[moved] = solve(inputs[moved])
        return inputs, labels


def all_copies(num_groups: int) -> Transforms:
    """Every symmetry of each group, the first of each being none.

    Returns:
        symmetry (num_groups * 8,) and permutation (num_groups * 8, vocab_size).
    """
    symmetry = np.tile(np.arange(NUM_SYMMETRIES, dtype=np.int32), num_groups)
    return Transforms(symmetry, identity_permutations(len(symmetry), len(VOCABULARY)))
