"""Augmentations as what they are: a symmetry and a permutation of tokens per augmented puzzle."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer[Any]]
Indices = NDArray[np.integer[Any]]
Drawn = tuple[NDArray[np.int32], NDArray[np.uint8]]


@dataclass(frozen=True)
class Rows:
    """How each row of a batch is augmented, and which row it is.

    Attributes:
        symmetry: (batch,), which symmetry; 0 moves nothing.
        permutation: (batch, vocab_size), what each token becomes.
        puzzles: (batch,), the augmented puzzle of the split.
        places: (batch,), which of the puzzle's examples.
        counts: (batch,), how many examples the puzzle has.
    """

    symmetry: Indices
    permutation: Tokens
    puzzles: Indices
    places: Indices
    counts: Indices


class Augmentation(ABC):
    """The symmetries of a task's puzzles, applied to many examples at once."""

    @abstractmethod
    def apply(self, inputs: Tokens, labels: Tokens, rows: Rows) -> tuple[Tokens, Tokens]:
        """Transform examples, inputs and labels (batch, seq_len)."""

    @abstractmethod
    def undo(self, tokens: Tokens, rows: Rows) -> Tokens:
        """The inverse of :meth:`apply`, for inputs or for answers (batch, seq_len)."""

    @abstractmethod
    def draw(self, count: int, rng: np.random.Generator) -> Drawn:
        """Random symmetries (count,) and permutations (count, vocab_size)."""


class CellAugmentation(Augmentation):
    """Symmetries that move cells: new cell i takes the token of old cell ``cells(symmetry)[i]``.

    Args:
        cells: from symmetry numbers (batch,) to source cells (batch, seq_len).
        num_symmetries: how many there are.
        vocab_size: how many tokens there are.
        first_free: tokens from this one on may change names; ``vocab_size`` if none may.
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
        self._num_symmetries = num_symmetries
        self._vocab_size = vocab_size
        self._first_free = first_free

    def apply(self, inputs: Tokens, labels: Tokens, rows: Rows) -> tuple[Tokens, Tokens]:
        """See :meth:`Augmentation.apply`."""
        cells = self._cells(rows.symmetry)

        def moved(tokens: Tokens) -> Tokens:
            there = np.take_along_axis(tokens, cells, axis=1)
            return np.take_along_axis(rows.permutation, there, axis=1).astype(tokens.dtype)

        return moved(inputs), moved(labels)

    def undo(self, tokens: Tokens, rows: Rows) -> Tokens:
        """See :meth:`Augmentation.undo`."""
        named = np.take_along_axis(np.argsort(rows.permutation, axis=1), tokens, axis=1)
        back = np.argsort(self._cells(rows.symmetry), axis=1)
        return np.take_along_axis(named, back, axis=1).astype(tokens.dtype)

    def draw(self, count: int, rng: np.random.Generator) -> Drawn:
        """See :meth:`Augmentation.draw`."""
        symmetry = rng.integers(0, self._num_symmetries, size=count, dtype=np.int32)
        permutation = np.tile(np.arange(self._vocab_size, dtype=np.uint8), (count, 1))
        free = permutation[:, self._first_free :]
        permutation[:, self._first_free :] = rng.permuted(free, axis=1)
        return symmetry, permutation


def draw_copies(
    augmentation: Augmentation, num_groups: int, num_copies: int, rng: np.random.Generator
) -> Drawn:
    """Augmentations of ``1 + num_copies`` puzzles a group, the first of each being none."""
    symmetry, permutation = augmentation.draw(num_groups * (1 + num_copies), rng)
    originals = slice(None, None, 1 + num_copies)
    symmetry[originals] = 0
    permutation[originals] = np.arange(permutation.shape[1])
    return symmetry, permutation
