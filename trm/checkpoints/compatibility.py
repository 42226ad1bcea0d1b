"""Whether a checkpoint and a data set belong together, and which row each puzzle has."""

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
        names: what the rows of its puzzle embedding stand for, where that is known.
    """

    name: str
    data: DatasetMeta
    names: PuzzleNames | None

    def check(self, dataset: Dataset) -> None:
        """Refuse puzzles of another kind.

        Raises:
            CheckpointError: saying how they differ.
        """
        for what, theirs, ours in (
            ("puzzles of length", dataset.meta.seq_len, self.data.seq_len),
            ("a vocabulary of size", dataset.meta.vocab_size, self.data.vocab_size),
            ("the vocabulary", dataset.meta.vocabulary, self.data.vocabulary),
        ):
            if theirs != ours:
                raise CheckpointError(
                    f"{dataset.path} has {what} {theirs}, {self.name} was trained for {ours}. "
                    "Give data of that kind with --data."
                )

    def check_puzzle_identifiers(self, dataset: Dataset) -> None:
        """Refuse data whose puzzle identifiers are not, in this order, those it was trained on.

        Raises:
            CheckpointError: saying how they differ.
        """
        ours, theirs = self.data.num_puzzle_identifiers, dataset.meta.num_puzzle_identifiers
        names: NDArray[Any] | None = dataset.names
        if ours != theirs:
            why = f"has {theirs:,} puzzle identifiers, {self.name} was trained with {ours:,}"
        elif self.names is not None and names is not None and (self.names != names).any():
            why = f"has other puzzle identifiers than {self.name} was trained with"
        elif self.names is None and names is not None and not _numbered_as_published(dataset):
            why = f"is not numbered by the published builder, as {self.name} was trained on it"
        else:
            return
        raise CheckpointError(
            f"{dataset.path} {why}. Give the data that it was trained with, or begin with the "
            "mean of all puzzles by --reset-puzzle-embedding."
        )

    def with_identifiers(self, split: Split, dataset: Dataset) -> Split:
        """The split with the numbers that the checkpoint gave to the names of its puzzles.

        Raises:
            CheckpointError: if it was not trained with some of those names.
        """
        if split.names is None or split.identifiers is None:
            return split
        if self.names is None:  # a published one, for which the data says what they are
            self.check_puzzle_identifiers(dataset)
            return split
        known: NDArray[Any] = np.asarray(self.names)
        if np.array_equal(split.names, known):
            return split
        used = np.asarray(split.names)[split.identifiers]
        order = np.argsort(known, kind="stable")
        places = np.searchsorted(known, used, sorter=order).clip(max=len(known) - 1)
        unknown = known[order[places]] != used
        if unknown.any():
            some = ", ".join(name.decode() for name in np.unique(used[unknown])[:3])
            raise CheckpointError(
                f"{self.name} does not know {unknown.sum():,} of the {len(used):,} puzzle "
                f"identifiers of {dataset.path}, such as {some}: their embedding would mean "
                "nothing. Give the data that it was trained with, or --reset-puzzle-embedding."
            )
        return replace(split, names=known, identifiers=order[places].astype(np.int32))


def _numbered_as_published(dataset: Dataset) -> bool:
    """Whether the numbers of the puzzles are those of the published builder."""
    return is_published(dataset.path) or bool(dataset.meta.properties.get(PUBLISHED_ORDER))
