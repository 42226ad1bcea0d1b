"""Augmentations as what they are: a symmetry and a permutation of tokens per augmented puzzle."""

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Tokens = NDArray[np.integer[Any]]
Indices = NDArray[np.integer[Any]]


class Augmentation(Protocol):
    """The symmetries of a task's puzzles, applied to many examples at once.

    Symmetry 0 with the permutation that changes nothing gives the tokens back as they are.
    """

    def apply(self, tokens: Tokens, symmetry: Indices, permutation: Indices) -> Tokens:
        """Transform examples.

        Args:
            tokens: (batch, seq_len).
            symmetry: (batch,), which symmetry.
            permutation: (batch, vocab_size), what each token becomes.
        """
        ...

    def undo(self, tokens: Tokens, symmetry: Indices, permutation: Indices) -> Tokens:
        """The inverse of :meth:`apply`."""
        ...


class CellAugmentation:
    """Symmetries that move cells: new cell i takes the token of old cell ``cells(symmetry)[i]``.

    Args:
        cells: from symmetry numbers (batch,) to source cells (batch, seq_len).
    """

    def __init__(self, cells: Callable[[Indices], Indices]) -> None:
        self._cells = cells

    def apply(self, tokens: Tokens, symmetry: Indices, permutation: Indices) -> Tokens:
        """See :meth:`Augmentation.apply`."""
        moved = np.take_along_axis(tokens, self._cells(symmetry), axis=1)
        return np.take_along_axis(permutation, moved, axis=1)

    def undo(self, tokens: Tokens, symmetry: Indices, permutation: Indices) -> Tokens:
        """See :meth:`Augmentation.undo`."""
        original = np.take_along_axis(np.argsort(permutation, axis=1), tokens, axis=1)
        return np.take_along_axis(original, np.argsort(self._cells(symmetry), axis=1), axis=1)
