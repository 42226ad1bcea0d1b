"""The symmetries of mazes. The labels of transformed mazes are computed again.

The rule of :mod:`trm.tasks.maze.solver` prefers some directions. So a rotated label is a shortest
path of the rotated maze, but rarely the one of the rule (``docs/explanation/maze-data.md``).
"""

import numpy as np

from trm.data import BatchTransforms, CellAugmentation, Transforms, identity_permutations
from trm.tasks.base import Tokens
from trm.tasks.maze.geometry import NUM_SYMMETRIES, VOCABULARY, symmetry_cells
from trm.tasks.maze.solver import solve


class MazeAugmentation(CellAugmentation):
    """The eight symmetries of the square, without permutations of tokens.

    :meth:`undo` only moves cells back. From a label that :meth:`apply` computed it makes a shortest
    path of the original maze, but rarely the one of the rule.
    """

    def __init__(self, size: int) -> None:
        super().__init__(
            lambda symmetry: symmetry_cells(size, symmetry),
            num_symmetries=NUM_SYMMETRIES,
            vocab_size=len(VOCABULARY),
            first_free=len(VOCABULARY),
        )

    def apply(
        self, inputs: Tokens, labels: Tokens, transforms: BatchTransforms
    ) -> tuple[Tokens, Tokens]:
        """Transform the mazes, and compute the labels of those that change."""
        inputs, labels = super().apply(inputs, labels, transforms)
        moved = transforms.symmetry != 0
        if moved.any():
            labels = labels.copy()
            labels[moved] = solve(inputs[moved])
        return inputs, labels


def all_copies(num_groups: int) -> Transforms:
    """All eight symmetries of each group; the first is the original.

    Returns:
        Symmetries (num_groups * 8,) and permutations (num_groups * 8, vocab_size).
    """
    symmetry = np.tile(np.arange(NUM_SYMMETRIES, dtype=np.int32), num_groups)
    return Transforms(symmetry, identity_permutations(len(symmetry), len(VOCABULARY)))
