"""Augmentations: a symmetry number and a permutation of the tokens for each augmented puzzle."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer[Any]]
Indices = NDArray[np.integer[Any]]


class Transforms(NamedTuple):
    """How puzzles are augmented.

    Attributes:
        symmetry: (puzzles,), the number of the symmetry; 0 moves nothing.
        permutation: (puzzles, vocab_size), the new token of each token.
    """

    symmetry: NDArray[np.int32]
    permutation: NDArray[np.uint8]


@dataclass(frozen=True)
class BatchTransforms:
    """How the rows of a batch are augmented.

    Attributes:
        symmetry: (batch,), the number of the symmetry; 0 moves nothing.
        permutation: (batch, vocab_size), the new token of each token.
        puzzles: (batch,), the index of the augmented puzzle in the split.
        example_index: (batch,), the index of the example among those of its puzzle.
        num_examples: (batch,), the number of examples of the puzzle.
    """

    symmetry: Indices
    permutation: Tokens
    puzzles: Indices
    example_index: Indices
    num_examples: Indices


class Augmentation(ABC):
    """The symmetries of a task's puzzles, applied to whole batches.

    Attributes:
        num_symmetries: the number of symmetries; None if any number is one. A dataset with others
            is not opened.
        first_free: the first token that a permutation may rename. A dataset with permutations that
            rename others is not opened.
    """

    num_symmetries: int | None = None
    first_free: int = 0

    @abstractmethod
    def apply(
        self, inputs: Tokens, labels: Tokens, transforms: BatchTransforms
    ) -> tuple[Tokens, Tokens]:
        """Transform examples, inputs and labels (batch, seq_len)."""

    @abstractmethod
    def undo(self, tokens: Tokens, transforms: BatchTransforms) -> Tokens:
        """The inverse of :meth:`apply`, for inputs or for answers (batch, seq_len)."""

    def undo_moves(
        self, values: NDArray[np.float32], transforms: BatchTransforms
    ) -> NDArray[np.float32]:
        """Move numbers (batch, seq_len) of cells back to their cells; NaN where this is unknown."""
        return np.full_like(values, np.nan)

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> Transforms:
        """Draw random symmetries (count,) and permutations (count, vocab_size)."""


class CellAugmentation(Augmentation):
    """Symmetries that move cells: new cell i takes the token of old cell ``cells(symmetry)[i]``.

    Args:
        cells: maps symmetry numbers (batch,) to source cells (batch, seq_len).
        num_symmetries: the number of symmetries.
        vocab_size: the number of tokens.
        first_free: the first token that may be renamed; ``vocab_size`` if none may.
    """

    def __init__(
        self,
        cells: Callable[[Indices], Indices],
        *,
        num_symmetries: int,
        vocab_size: int,
        first_free: int,
    ) -> None:
        self._cells = cells
        self.num_symmetries: int = num_symmetries
        self.first_free = first_free
        self._vocab_size = vocab_size

    def apply(
        self, inputs: Tokens, labels: Tokens, transforms: BatchTransforms
    ) -> tuple[Tokens, Tokens]:
        """See :meth:`Augmentation.apply`."""
        cells = self._cells(transforms.symmetry)

        def transform(tokens: Tokens) -> Tokens:
            moved = np.take_along_axis(tokens, cells, axis=1)
            renamed = np.take_along_axis(transforms.permutation, moved, axis=1)
            return renamed.astype(tokens.dtype)

        return transform(inputs), transform(labels)

    def undo(self, tokens: Tokens, transforms: BatchTransforms) -> Tokens:
        """See :meth:`Augmentation.undo`."""
        inverse = np.argsort(transforms.permutation, axis=1)
        renamed = np.take_along_axis(inverse, tokens, axis=1)
        return np.take_along_axis(renamed, self._old_places(transforms), axis=1).astype(
            tokens.dtype
        )

    def undo_moves(
        self, values: NDArray[np.float32], transforms: BatchTransforms
    ) -> NDArray[np.float32]:
        """See :meth:`Augmentation.undo_moves`."""
        return np.take_along_axis(values, self._old_places(transforms), axis=1)

    def _old_places(self, transforms: BatchTransforms) -> NDArray[np.intp]:
        """The new cell (batch, seq_len) of each old cell."""
        return np.argsort(self._cells(transforms.symmetry), axis=1)

    def draw(self, count: int, rng: np.random.Generator) -> Transforms:
        """See :meth:`Augmentation.draw`."""
        symmetry = rng.integers(0, self.num_symmetries, size=count, dtype=np.int32)
        return Transforms(
            symmetry, random_permutations(count, self._vocab_size, self.first_free, rng)
        )


def identity_permutations(count: int, vocab_size: int) -> NDArray[np.uint8]:
    """Permutations (count, vocab_size) that change no token."""
    return np.tile(np.arange(vocab_size, dtype=np.uint8), (count, 1))


def random_permutations(
    count: int, vocab_size: int, first_free: int, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """Random permutations (count, vocab_size) of the tokens from ``first_free`` on."""
    permutation = identity_permutations(count, vocab_size)
    permutation[:, first_free:] = rng.permuted(permutation[:, first_free:], axis=1)
    return permutation


def draw_copies(
    augmentation: Augmentation, num_groups: int, num_copies: int, rng: np.random.Generator
) -> Transforms:
    """Draw the transforms of ``1 + num_copies`` puzzles per group; the first is the original."""
    symmetry, permutation = augmentation.draw(num_groups * (1 + num_copies), rng)
    originals = slice(None, None, 1 + num_copies)
    symmetry[originals] = 0
    permutation[originals] = np.arange(permutation.shape[1])
    return Transforms(symmetry, permutation)
