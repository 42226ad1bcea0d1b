"""Symmetric copies of puzzles, each of which is another way to the answer."""

import numpy as np
from numpy.typing import NDArray

from trm.data import Batch, BatchTransforms, Split
from trm.data.augmentation import Augmentation, Transforms
from trm.errors import ConfigError


class SymmetricCopies:
    """The symmetric copies that are solved for ``--votes``, the original first.

    Every puzzle is copied by the same symmetries in every evaluation.

    Args:
        augmentation: the symmetries of the puzzles; None if there are none.
        votes: the number of copies, the original included.
        augmented: whether the puzzles are augmented copies already.

    Raises:
        ConfigError: if the puzzles have fewer copies.
    """

    def __init__(
        self, augmentation: Augmentation | None, votes: int, *, augmented: bool = False
    ) -> None:
        self._augmentation = augmentation
        #: The symmetry (1,) and the permutation (1, vocab_size) of each copy but the original.
        self._transforms: list[Transforms] = []
        if votes == 1:
            return
        if augmentation is None or augmented:
            why = "are augmented copies already" if augmented else "have none"
            raise ConfigError(
                f"--votes {votes} needs symmetries, but these puzzles {why}. Leave it out."
            )
        # Enough draws to find all symmetries of a task that has only a few, such as eight.
        symmetry, permutation = augmentation.draw(100 * votes, np.random.default_rng(0))
        original = np.concatenate(([0], np.arange(permutation.shape[1])))
        drawn = np.column_stack((symmetry, permutation))
        _, first = np.unique(np.concatenate((original[None], drawn)), axis=0, return_index=True)
        places = np.sort(first)[1:votes] - 1
        if len(places) < votes - 1:
            raise ConfigError(
                f"--votes {votes}: these puzzles have only {1 + len(places)} symmetric copies. "
                "Ask for fewer."
            )
        self._transforms = [Transforms(symmetry[i : i + 1], permutation[i : i + 1]) for i in places]

    @classmethod
    def of_split(cls, split: Split, votes: int) -> "SymmetricCopies":
        """The copies of the puzzles of a split."""
        augmented = split.identifiers is not None or split.symmetry is not None
        return cls(split.augmentation, votes, augmented=augmented)

    def batches(
        self, split: Split, examples: NDArray[np.int64], puzzles: NDArray[np.int64]
    ) -> list[Batch]:
        """Every copy of these examples; see :meth:`trm.data.Split.make_batch`."""
        copies = range(1, 1 + len(self._transforms))
        drawn = [None, *(self._repeated(copy, len(examples)) for copy in copies)]
        return [split.make_batch(examples, puzzles, one) for one in drawn]

    def apply(self, tokens: NDArray[np.int32]) -> list[NDArray[np.int32]]:
        """Every copy of puzzles (batch, seq_len)."""
        copies = [tokens]
        for number in range(1, 1 + len(self._transforms)):
            assert self._augmentation is not None
            copy, _ = self._augmentation.apply(
                tokens, tokens, self.batch_transforms(number, len(tokens))
            )
            copies.append(copy.astype(np.int32))
        return copies

    def batch_transforms(self, copy: int, count: int) -> BatchTransforms:
        """How a batch of ``count`` puzzles is transformed to copy number ``copy``, from 1."""
        first = np.zeros(count, np.int64)
        return BatchTransforms(*self._repeated(copy, count), np.arange(count), first, first + 1)

    def undo(self, answers: NDArray[np.int32], transforms: BatchTransforms) -> NDArray[np.int32]:
        """Answers (batch, seq_len) to a copy, as answers to the original."""
        assert self._augmentation is not None
        return self._augmentation.undo(answers, transforms).astype(np.int32)

    def undo_moves(
        self, values: NDArray[np.float32], transforms: BatchTransforms
    ) -> NDArray[np.float32]:
        """Numbers (batch, seq_len) of the cells of a copy, as those of the original."""
        assert self._augmentation is not None
        return self._augmentation.undo_moves(values, transforms)

    def _repeated(self, copy: int, count: int) -> Transforms:
        symmetry, permutation = self._transforms[copy - 1]
        return Transforms(np.repeat(symmetry, count), np.repeat(permutation, count, axis=0))
