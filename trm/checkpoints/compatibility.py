"""Whether a dataset fits a checkpoint, and the embedding row of each puzzle."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import PUBLISHED_ORDER, Dataset, DatasetMeta, Split, is_published
from trm.errors import CheckpointError
from trm.runs.checkpoint import PuzzleNames


@dataclass(frozen=True)
class TrainedOn:
    """The puzzles that a checkpoint was trained on.

    Attributes:
        name: of the checkpoint.
        data: the description of the puzzles.
        names: the puzzle of each row of the puzzle embedding, None if unknown.
    """

    name: str
    data: DatasetMeta
    names: PuzzleNames | None

    def check(self, dataset: Dataset, *, any_length: bool = False) -> None:
        """Refuse puzzles of another vocabulary, or of another length.

        Args:
            dataset: the puzzles.
            any_length: whether the weights fit puzzles of this length too.

        Raises:
            CheckpointError: saying how they differ.
        """
        length = self.data.seq_len if not any_length else dataset.meta.seq_len
        for quantity, given, trained in (
            ("puzzles of length", dataset.meta.seq_len, length),
            ("a vocabulary of size", dataset.meta.vocab_size, self.data.vocab_size),
            ("the vocabulary", dataset.meta.vocabulary, self.data.vocabulary),
        ):
            if given != trained:
                raise CheckpointError(
                    f"{dataset.path} has {quantity} {given}, {self.name} was trained for "
                    f"{trained}. Give data of that kind with --data."
                )

    def check_puzzle_identifiers(self, dataset: Dataset) -> None:
        """Refuse data whose puzzle identifiers or their order differ from the training data's.

        Raises:
            CheckpointError: saying how they differ.
        """
        trained, given = self.data.num_puzzle_identifiers, dataset.meta.num_puzzle_identifiers
        names: NDArray[Any] | None = dataset.names
        numbered_as_published = is_published(dataset.path) or bool(
            dataset.meta.properties.get(PUBLISHED_ORDER)
        )
        if trained != given:
            problem = f"has {given:,} puzzle identifiers, {self.name} was trained with {trained:,}"
        elif self.names is not None and names is not None and (self.names != names).any():
            problem = f"has other puzzle identifiers than {self.name} was trained with"
        elif self.names is None and names is not None and not numbered_as_published:
            problem = f"numbers its puzzles in another way than the data of {self.name}"
        else:
            return
        raise CheckpointError(
            f"{dataset.path} {problem}. Give the data that it was trained with, or start from the "
            "mean of all puzzle embeddings with --reset-puzzle-embedding."
        )

    def rows_of(self, names: NDArray[Any]) -> NDArray[np.int64]:
        """The row (n,) of each of these puzzles (n,), -1 for those it was not trained on."""
        known: NDArray[Any] = np.asarray(self.names)
        order = np.argsort(known, kind="stable")
        rows = order[np.searchsorted(known, names, sorter=order).clip(max=len(known) - 1)]
        return np.where(known[rows] == names, rows, -1)

    def rows_to_keep(self, dataset: Dataset) -> NDArray[np.int64] | None:
        """The row of each puzzle identifier of a dataset with other puzzles, -1 if it is new.

        None if all identifiers are the same.

        Raises:
            CheckpointError: if they differ, and nothing says which are known.
        """
        names: NDArray[Any] | None = dataset.names
        if self.names is not None and names is not None and not np.array_equal(self.names, names):
            return self.rows_of(names)
        self.check_puzzle_identifiers(dataset)
        return None

    def with_identifiers(self, split: Split, dataset: Dataset) -> Split:
        """The split with each puzzle's identifier replaced by its row in the checkpoint.

        Raises:
            CheckpointError: if the checkpoint was not trained on some of the puzzles.
        """
        if split.names is None or split.identifiers is None:
            return split
        if self.names is None:  # a published checkpoint: its rows are in the order of its data
            self.check_puzzle_identifiers(dataset)
            return split
        known: NDArray[Any] = np.asarray(self.names)
        if np.array_equal(split.names, known):
            return split
        used = np.asarray(split.names)[split.identifiers]
        rows = self.rows_of(used)
        unknown = rows < 0
        if unknown.any():
            examples = ", ".join(
                name.decode(errors="replace") for name in np.unique(used[unknown])[:3]
            )
            raise CheckpointError(
                f"{self.name} does not know {unknown.sum():,} of the {len(used):,} puzzle "
                f"identifiers of {dataset.path}, such as {examples}: it has no embedding "
                "for them. Give the data that it was trained with, or --reset-puzzle-embedding."
            )
        return replace(split, names=known, identifiers=rows.astype(np.int32))
