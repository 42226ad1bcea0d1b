"""A split of a data set in memory: its puzzles, and the batches gathered from them.

Words, as published: a *group* is one original puzzle; its *puzzles* are the augmented copies, the
first of them the original; each puzzle has the *examples* of its group (one in Sudoku, several
demonstrations in ARC). Examples are stored once a group, copies only as (symmetry, permutation).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data.augment import Augmentation, Drawn, Rows, Tokens

#: The label of a cell that is not scored.
IGNORE_LABEL = -100
#: Token 0 fills what is no part of a puzzle; as a label it is not scored.
PAD = 0

REQUIRED = ("inputs", "labels", "example_offsets", "puzzle_offsets")
OPTIONAL = ("symmetry", "permutation", "identifiers")


@dataclass(frozen=True)
class Batch:
    """Examples of one split, augmented.

    Attributes:
        inputs: (batch, seq_len) int32.
        labels: (batch, seq_len) int32, ``IGNORE_LABEL`` where nothing is scored.
        puzzle_identifiers: (batch,) int32, rows of the puzzle embedding.
        examples: (batch,) int64, rows of the split's arrays.
        puzzles: (batch,) int64, which augmented puzzle each row belongs to.
        rows: how each row was augmented, None if none was.
    """

    inputs: NDArray[np.int32]
    labels: NDArray[np.int32]
    puzzle_identifiers: NDArray[np.int32]
    examples: NDArray[np.int64]
    puzzles: NDArray[np.int64]
    rows: Rows | None = None

    def __len__(self) -> int:
        return len(self.inputs)


@dataclass(frozen=True)
class Split:
    """The puzzles to train on, or those to test on.

    Attributes:
        inputs, labels: (num_examples, seq_len) uint8, as the originals are.
        example_offsets: (num_groups + 1,), the examples of group g are ``[o[g], o[g + 1])``; or
            (num_puzzles + 1,), those of puzzle p, where copies were stored augmented (the
            published layout).
        puzzle_offsets: (num_groups + 1,), the puzzles of group g.
        symmetry: (num_puzzles,), or None where no puzzle is augmented.
        permutation: (num_puzzles, vocab_size) uint8, or None likewise.
        identifiers: (num_puzzles,), or None where the task has but one identifier, 0.
        info: the task's own arrays, one row a group, such as a puzzle's source.
        names: (num_puzzle_identifiers,) byte strings, what the data set's identifiers stand for;
            None where there is but one.
        augmentation: what applies ``symmetry`` and ``permutation``.
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

    @classmethod
    def of_single_examples(
        cls,
        inputs: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        *,
        puzzles_each: int = 1,
        info: Mapping[str, NDArray[Any]] | None = None,
    ) -> "Split":
        """A split whose groups have one example, and equally many puzzles."""
        offsets = np.arange(len(inputs) + 1, dtype=np.int64)
        return cls(inputs, labels, offsets, offsets * puzzles_each, info=info or {})

    @property
    def num_groups(self) -> int:
        """Original puzzles."""
        return len(self.puzzle_offsets) - 1

    @property
    def num_puzzles(self) -> int:
        """Puzzles, augmented ones among them."""
        return int(self.puzzle_offsets[-1])

    @property
    def mean_puzzle_examples(self) -> float:
        """Examples of a puzzle, on average over all puzzles."""
        return self.num_rows / self.num_puzzles

    @property
    def num_rows(self) -> int:
        """Examples as seen by each of their puzzles."""
        return int(self.example_range(np.arange(self.num_puzzles))[1].sum())

    def example_range(
        self, puzzles: NDArray[np.int64], groups: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The first example (batch,) of each puzzle (batch,), and their number (batch,).

        Args:
            puzzles: which ones.
            groups: the groups that they are of, where those are known.
        """
        offsets = np.asarray(self.example_offsets)
        owners = puzzles
        if len(offsets) != self.num_puzzles + 1:
            owners = self.group_of(puzzles) if groups is None else groups
        return offsets[owners], offsets[owners + 1] - offsets[owners]

    def name_of(self, example: int) -> str:
        """The name of the first puzzle that has an example; empty where puzzles have none."""
        if self.names is None or self.identifiers is None:
            return ""
        owner = int(np.searchsorted(self.example_offsets, example, side="right")) - 1
        if len(self.example_offsets) != self.num_puzzles + 1:
            owner = int(self.puzzle_offsets[owner])
        return bytes(self.names[self.identifiers[owner]]).decode()

    def gather(
        self,
        examples: NDArray[np.int64],
        puzzles: NDArray[np.int64],
        drawn: Drawn | None = None,
    ) -> Batch:
        """The given examples (batch,) as seen by the given puzzles (batch,).

        Args:
            examples: rows of ``inputs`` and ``labels``.
            puzzles: which puzzle's copy of each.
            drawn: augment so, instead of as the puzzles say.
        """
        if drawn is None and self.symmetry is not None and self.permutation is not None:
            drawn = (self.symmetry[puzzles], self.permutation[puzzles])
        inputs: Tokens = self.inputs[examples]
        labels: Tokens = self.labels[examples]
        rows = None
        if self.augmentation is not None and drawn is not None:
            begins, counts = self.example_range(puzzles)
            rows = Rows(*drawn, puzzles=puzzles, places=examples - begins, counts=counts)
            inputs, labels = self.augmentation.apply(inputs, labels, rows)
        scored = labels.astype(np.int32)
        scored[labels == PAD] = IGNORE_LABEL
        identifiers = (
            np.zeros(len(puzzles), np.int32)
            if self.identifiers is None
            else self.identifiers[puzzles].astype(np.int32)
        )
        return Batch(inputs.astype(np.int32), scored, identifiers, examples, puzzles, rows)

    def group_of(self, puzzles: NDArray[np.int64]) -> NDArray[np.int64]:
        """The group (batch,) of each puzzle (batch,)."""
        return np.searchsorted(self.puzzle_offsets, puzzles, side="right") - 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What is stored, by file name."""
        named: dict[str, NDArray[Any] | None] = {
            name: getattr(self, name) for name in (*REQUIRED, *OPTIONAL)
        }
        named |= {f"info_{name}": array for name, array in self.info.items()}
        return {name: array for name, array in named.items() if array is not None}
