"""Several data sets of one task as one, their puzzle identifiers kept apart."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data.augment import Drawn
from trm.data.dataset import Dataset, SplitCounts
from trm.data.split import Split
from trm.errors import DataError


def join(datasets: Sequence[Dataset]) -> Dataset:
    """One data set of all puzzles of several.

    Identifier 0, the blank one, is common to all; the others of each follow those of the one
    before it, but a name that came before keeps its number. Augmentations and properties are
    those of the first.

    Raises:
        DataError: if their puzzles differ in length, vocabulary or layout, or if one trains on
            what another tests on.
    """
    first = datasets[0]
    if len(datasets) == 1:
        return first
    for other in datasets[1:]:
        _check_alike(first, other)
    _check_apart(datasets)
    names, numbers = _join_names(datasets)
    splits = {
        name: _join_splits(
            [(d.splits[name], n) for d, n in zip(datasets, numbers, strict=True)
             if name in d.splits],
            names,
        )
        for name in dict.fromkeys(name for dataset in datasets for name in dataset.splits)
    }  # fmt: skip
    counts = {
        name: SplitCounts(
            groups=split.num_groups, puzzles=split.num_puzzles, examples=len(split.inputs),
            arrays=tuple(split.arrays()),
        )
        for name, split in splits.items()
    }  # fmt: skip
    digests = "".join(dataset.meta.digest for dataset in datasets)
    meta = first.meta.model_copy(
        update={
            "source": " + ".join(dataset.meta.source for dataset in datasets),
            "num_puzzle_identifiers": 1 if names is None else len(names),
            "splits": counts,
            "digest": hashlib.sha256(digests.encode()).hexdigest(),
        }
    )
    return Dataset(Path(" + ".join(str(d.path) for d in datasets)), meta, splits)


def _check_alike(first: Dataset, other: Dataset) -> None:
    for what, ours, theirs in (
        ("puzzles of length", first.meta.seq_len, other.meta.seq_len),
        ("the vocabulary", " ".join(first.meta.vocabulary), " ".join(other.meta.vocabulary)),
        ("the layout", _layout(first), _layout(other)),
    ):
        if ours != theirs:
            raise DataError(
                f"{first.path} and {other.path} cannot be joined: {what} {ours} in the first, "
                f"{theirs} in the second. Build both alike."
            )


def _layout(dataset: Dataset) -> str:
    """The published layout stores examples a puzzle, ours a group."""
    ours = all(len(s.example_offsets) == s.num_groups + 1 for s in dataset.splits.values())
    return "native" if ours else "published"


def _check_apart(datasets: Sequence[Dataset]) -> None:
    for tested in datasets:
        held_out = _originals(tested, "test")
        for trained in datasets:
            if trained is tested:
                continue
            shared = held_out & _originals(trained, "train")
            if shared:
                raise DataError(
                    f"{trained.path} trains on {len(shared)} of the examples that {tested.path} "
                    "tests on: such an evaluation would mean nothing. Leave one of them out."
                )
            if held_out & _originals(trained, "test"):
                raise DataError(
                    f"{tested.path} and {trained.path} test on the same puzzles, which would count "
                    "twice. Leave one of them out."
                )


def _originals(dataset: Dataset, name: str) -> set[bytes]:
    """The unaugmented examples of a split, input and label."""
    if name not in dataset.splits:
        return set()
    split = dataset.splits[name]
    begin, counts = split.example_range(np.asarray(split.puzzle_offsets[:-1]))
    rows = np.repeat(begin, counts) + np.concatenate([np.arange(n) for n in counts])
    both = np.concatenate((split.inputs[rows], split.labels[rows]), axis=1)
    return {row.tobytes() for row in both}


def _join_names(
    datasets: Sequence[Dataset],
) -> tuple[NDArray[np.bytes_] | None, list[NDArray[np.int32]]]:
    """The names of the joined identifiers, and for each data set what its own become."""
    parts = [() if d.names is None else d.names.tolist() for d in datasets]
    blank = next((part[0] for part in parts if part), None)
    known: dict[bytes, int] = {}
    numbers = [
        np.array([0, *(known.setdefault(name, len(known) + 1) for name in part[1:])], np.int32)
        for part in parts
    ]
    return (None if blank is None else np.array([blank, *known])), numbers


def _join_splits(
    parts: Sequence[tuple[Split, NDArray[np.int32]]], names: NDArray[np.bytes_] | None
) -> Split:
    splits = [split for split, _ in parts]
    identifiers = [
        np.zeros(split.num_puzzles, np.int32)
        if split.identifiers is None
        else numbers[split.identifiers]
        for split, numbers in parts
    ]
    common = set.intersection(*(set(split.info) for split in splits))
    symmetry, permutation = _join_copies(splits)
    return Split(
        inputs=_concatenate(splits, "inputs"),
        labels=_concatenate(splits, "labels"),
        example_offsets=_chain([split.example_offsets for split in splits]),
        puzzle_offsets=_chain([split.puzzle_offsets for split in splits]),
        symmetry=symmetry,
        permutation=permutation,
        identifiers=None if names is None else np.concatenate(identifiers),
        info={n: np.concatenate([s.info[n] for s in splits]) for n in sorted(common)},
        names=names,
        augmentation=splits[0].augmentation,
    )


def _join_copies(splits: Sequence[Split]) -> Drawn | tuple[None, None]:
    """How all puzzles are augmented: not at all, where a split does not say."""
    width = next((s.permutation.shape[1] for s in splits if s.permutation is not None), None)
    if width is None:
        return None, None
    symmetries = [
        np.zeros(s.num_puzzles, np.int32) if s.symmetry is None else s.symmetry for s in splits
    ]
    same = np.arange(width, dtype=np.uint8)
    permutations = [
        np.tile(same, (s.num_puzzles, 1)) if s.permutation is None else s.permutation
        for s in splits
    ]
    return np.concatenate(symmetries), np.concatenate(permutations)


def _concatenate(splits: Sequence[Split], name: str) -> NDArray[Any]:
    return np.concatenate([getattr(split, name) for split in splits])


def _chain(offsets: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    ends = np.concatenate(([0], np.cumsum([part[-1] for part in offsets])))
    return np.concatenate(
        ([0], *(part[1:] + end for part, end in zip(offsets, ends, strict=False)))
    ).astype(np.int64)
