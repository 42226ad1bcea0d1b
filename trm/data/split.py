"""A split of a dataset in memory: its puzzles, and the batches gathered from them.

The words of the published code: a *group* is one original puzzle. Its *puzzles* are the original
and then its augmented copies. Each puzzle has the *examples* of its group (one in Sudoku, several
demonstrations in ARC). Examples are stored once per group, copies only as (symmetry, permutation).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data.array_files import check_still_whole
from trm.data.augmentation import Augmentation, BatchTransforms, Tokens, Transforms

#: The label of a cell that is not scored.
IGNORE_LABEL = -100
#: Token 0 fills the cells outside a puzzle. A label of 0 is not scored.
PAD = 0

REQUIRED = ("inputs", "labels", "example_offsets", "puzzle_offsets")
OPTIONAL = ("symmetry", "permutation", "identifiers")


@dataclass(frozen=True)
class Batch:
    """Examples of one split, augmented.

    Attributes:
        inputs: (batch, seq_len) int32.
        labels: (batch, seq_len) int32, ``IGNORE_LABEL`` where a cell is not scored.
        puzzle_identifiers: (batch,) int32, rows of the puzzle embedding.
        examples: (batch,) int64, rows of the split's arrays.
        puzzles: (batch,) int64, indices of the augmented puzzles.
        transforms: how each row was augmented, None without augmentation.
    """

    inputs: NDArray[np.int32]
    labels: NDArray[np.int32]
    puzzle_identifiers: NDArray[np.int32]
    examples: NDArray[np.int64]
    puzzles: NDArray[np.int64]
    transforms: BatchTransforms | None = None

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Split:
    """The puzzles of one split, such as ``train`` or ``test``.

    Attributes:
        inputs, labels: (num_examples, seq_len) uint8, not augmented.
        example_offsets: (num_groups + 1,), the examples of group g are ``[o[g], o[g + 1])``. In
            the published layout, which stores augmented copies, (num_puzzles + 1,): the examples
            of each puzzle.
        puzzle_offsets: (num_groups + 1,), the puzzles of group g.
        symmetry: (num_puzzles,), None without augmentation.
        permutation: (num_puzzles, vocab_size) uint8, None without augmentation.
        identifiers: (num_puzzles,), None if the only identifier is 0.
        info: arrays of the task with one row per group, such as a puzzle's source. Groups whose
            ``solved`` is false may have labels that are all padding: they are unknown.
        names: (num_puzzle_identifiers,) byte strings, the names of the identifiers; None if the
            only identifier is 0.
        augmentation: applies ``symmetry`` and ``permutation``.
    """

    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    example_offsets: NDArray[np.int64]
    puzzle_offsets: NDArray[np.int64]
    symmetry: NDArray[np.int32] | None = None
    permutation: NDArray[np.uint8] | None = None
    identifiers: NDArray[np.int32] | None = None
    info: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    names: NDArray[np.bytes_] | None = None
    augmentation: Augmentation | None = None

    def __repr__(self) -> str:
        return f"<Split of {self.num_groups:,} puzzles, {self.num_puzzles:,} with their copies>"

    @classmethod
    def of_single_examples(
        cls,
        inputs: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        puzzles_each: int = 1,
        info: Mapping[str, NDArray[Any]] | None = None,
    ) -> "Split":
        """A split whose groups have one example and ``puzzles_each`` puzzles."""
        offsets = np.arange(len(inputs) + 1, dtype=np.int64)
        return cls(inputs, labels, offsets, offsets * puzzles_each, info=info or {})

    @property
    def num_groups(self) -> int:
        """The number of original puzzles."""
        return len(self.puzzle_offsets) - 1

    @property
    def num_puzzles(self) -> int:
        """The number of puzzles, augmented copies included."""
        return int(self.puzzle_offsets[-1])

    def mean_puzzle_examples(self, most: int | None = None) -> float:
        """The mean number of examples per puzzle, counting at most ``most`` of each."""
        counts = self.example_range(np.arange(self.num_puzzles))[1]
        return int(np.minimum(counts, most or counts).sum()) / self.num_puzzles

    @property
    def total_puzzle_examples(self) -> int:
        """The number of examples, summed over all puzzles."""
        return int(self.example_range(np.arange(self.num_puzzles))[1].sum())

    @property
    def stores_copies(self) -> bool:
        """Whether examples are stored for every puzzle (published layout), not for every group."""
        return len(self.example_offsets) == self.num_puzzles + 1

    def example_range(
        self, puzzles: NDArray[np.int64], groups: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first example (batch,) of each puzzle (batch,), and their number (batch,).

        Args:
            puzzles: indices of puzzles.
            groups: the groups of these puzzles, if known.
        """
        offsets = np.asarray(self.example_offsets)
        owners = puzzles
        if not self.stores_copies:
            owners = self.group_of(puzzles) if groups is None else groups
        return offsets[owners], offsets[owners + 1] - offsets[owners]

    def name_of(self, example: int) -> str:
        """The name of the first puzzle that has this example; empty if puzzles have no names."""
        if self.names is None or self.identifiers is None:
            return ""
        owner = int(np.searchsorted(self.example_offsets, example, side="right")) - 1
        if not self.stores_copies:
            owner = int(self.puzzle_offsets[owner])
        return bytes(self.names[self.identifiers[owner]]).decode()

    def make_batch(
        self,
        examples: NDArray[np.int64],
        puzzles: NDArray[np.int64],
        transforms: Transforms | None = None,
    ) -> Batch:
        """Make a batch of examples (batch,), augmented like their puzzles (batch,).

        Args:
            examples: rows of ``inputs`` and ``labels``.
            puzzles: the puzzle that each example is taken for.
            transforms: augment in this way instead of in the way of the puzzles.

        Raises:
            DataError: if a file of the dataset was cut short since it was opened.
        """
        for array in self.arrays().values():
            check_still_whole(array)
        if transforms is None and self.symmetry is not None and self.permutation is not None:
            transforms = Transforms(self.symmetry[puzzles], self.permutation[puzzles])
        inputs: Tokens = self.inputs[examples]
        labels: Tokens = self.labels[examples]
        batch_transforms = None
        if self.augmentation is not None and transforms is not None:
            begins, counts = self.example_range(puzzles)
            batch_transforms = BatchTransforms(
                *transforms, puzzles=puzzles, example_index=examples - begins, num_examples=counts
            )
            inputs, labels = self.augmentation.apply(inputs, labels, batch_transforms)
        scored = labels.astype(np.int32)
        scored[labels == PAD] = IGNORE_LABEL
        identifiers = (
            np.zeros(len(puzzles), np.int32)
            if self.identifiers is None
            else self.identifiers[puzzles].astype(np.int32)
        )
        return Batch(
            inputs.astype(np.int32), scored, identifiers, examples, puzzles, batch_transforms
        )

    def group_of(self, puzzles: NDArray[np.int64]) -> NDArray[np.int64]:
        """The group (batch,) of each puzzle (batch,)."""
        return np.searchsorted(self.puzzle_offsets, puzzles, side="right") - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays to store, by file name."""
        named: dict[str, NDArray[Any] | None] = {
            name: getattr(self, name) for name in (*REQUIRED, *OPTIONAL)
        }
        named |= {f"info_{name}": array for name, array in self.info.items()}
        return {name: array for name, array in named.items() if array is not None}
