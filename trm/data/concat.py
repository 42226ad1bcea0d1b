"""Concatenating several datasets of one task; their puzzle identifiers stay distinct."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data.augmentation import Transforms, identity_permutations
from trm.data.dataset import Dataset, SplitCounts
from trm.data.split import Split
from trm.errors import DataError


def concat_datasets(datasets: Sequence[Dataset]) -> Dataset:
    """One dataset with the puzzles of several.

    Identifier 0, the blank one, is shared. The other identifiers of a dataset follow those of the
    dataset before it; a name that occurs again keeps its number. Augmentations and properties are
    those of the first dataset.

    Raises:
        DataError: if puzzles differ in length, vocabulary or layout, or if one dataset trains on
            test puzzles of another.
    """
    first = datasets[0]
    for other in datasets[1:]:
        _check_compatible(first, other)
    _check_disjoint(datasets)
    names, new_identifiers = _concat_names(datasets)
    splits: dict[str, Split] = {}
    for name in dict.fromkeys(name for dataset in datasets for name in dataset.splits):
        parts = [
            (dataset.splits[name], numbers)
            for dataset, numbers in zip(datasets, new_identifiers, strict=True)
            if name in dataset.splits
        ]
        splits[name] = _concat_splits(parts, names)
    digests = "".join(dataset.meta.digest for dataset in datasets)
    meta = first.meta.model_copy(
        update={
            "source": " + ".join(dataset.meta.source for dataset in datasets),
            "num_puzzle_identifiers": 1 if names is None else len(names),
            "splits": {name: SplitCounts.of(split) for name, split in splits.items()},
            "digest": hashlib.sha256(digests.encode()).hexdigest(),
        }
    )
    return Dataset(Path(" + ".join(str(d.path) for d in datasets)), meta, splits)


def _check_compatible(first: Dataset, other: Dataset) -> None:
    def layout(dataset: Dataset) -> str:
        native = all(len(s.example_offsets) == s.num_groups + 1 for s in dataset.splits.values())
        return "native" if native else "published"

    for what, value, other_value in (
        ("puzzles of length", first.meta.seq_len, other.meta.seq_len),
        ("the vocabulary", " ".join(first.meta.vocabulary), " ".join(other.meta.vocabulary)),
        ("the layout", layout(first), layout(other)),
    ):
        if value != other_value:
            raise DataError(
                f"{first.path} and {other.path} cannot be joined: {what} {value} in the first, "
                f"{other_value} in the second. Build both in the same way."
            )


def _check_disjoint(datasets: Sequence[Dataset]) -> None:
    """Refuse a test puzzle that another dataset trains or tests on."""
    for tested in datasets:
        test_examples = _original_examples(tested, "test")
        for trained in datasets:
            if trained is tested:
                continue
            shared = test_examples & _original_examples(trained, "train")
            if shared:
                raise DataError(
                    f"{trained.path} trains on {len(shared)} of the test examples of "
                    f"{tested.path}, so an evaluation would be meaningless. Leave one of them out."
                )
            if test_examples & _original_examples(trained, "test"):
                raise DataError(
                    f"{tested.path} and {trained.path} share test puzzles, which would count "
                    "twice. Leave one of them out."
                )


def _original_examples(dataset: Dataset, name: str) -> set[bytes]:
    """The unaugmented examples of a split, input and label."""
    if name not in dataset.splits:
        return set()
    split = dataset.splits[name]
    begin, counts = split.example_range(np.asarray(split.puzzle_offsets[:-1]))
    rows = np.repeat(begin, counts) + np.concatenate([np.arange(n) for n in counts])
    both = np.concatenate((split.inputs[rows], split.labels[rows]), axis=1)
    return {row.tobytes() for row in both}


def _concat_names(
    datasets: Sequence[Dataset],
) -> tuple[NDArray[np.bytes_] | None, list[NDArray[np.int32]]]:
    """The names of all identifiers, and the new numbers of each dataset's identifiers."""
    parts = [() if d.names is None else d.names.tolist() for d in datasets]
    blank = next((part[0] for part in parts if part), None)
    known: dict[bytes, int] = {}
    numbers = [
        np.array([0, *(known.setdefault(name, len(known) + 1) for name in part[1:])], np.int32)
        for part in parts
    ]
    return (None if blank is None else np.array([blank, *known])), numbers


def _concat_splits(
    parts: Sequence[tuple[Split, NDArray[np.int32]]], names: NDArray[np.bytes_] | None
) -> Split:
    splits = [split for split, _ in parts]
    identifiers = [
        np.zeros(split.num_puzzles, np.int32)
        if split.identifiers is None
        else numbers[split.identifiers]
        for split, numbers in parts
    ]
    common_info = set.intersection(*(set(split.info) for split in splits))
    symmetry, permutation = _concat_transforms(splits) or (None, None)
    return Split(
        inputs=np.concatenate([split.inputs for split in splits]),
        labels=np.concatenate([split.labels for split in splits]),
        example_offsets=_concat_offsets([split.example_offsets for split in splits]),
        puzzle_offsets=_concat_offsets([split.puzzle_offsets for split in splits]),
        symmetry=symmetry,
        permutation=permutation,
        identifiers=None if names is None else np.concatenate(identifiers),
        info={n: np.concatenate([s.info[n] for s in splits]) for n in sorted(common_info)},
        names=names,
        augmentation=splits[0].augmentation,
    )


def _concat_transforms(splits: Sequence[Split]) -> Transforms | None:
    """The transforms of all puzzles; a split without any is not augmented."""
    vocab_size = next((s.permutation.shape[1] for s in splits if s.permutation is not None), None)
    if vocab_size is None:
        return None
    symmetries = [
        np.zeros(s.num_puzzles, np.int32) if s.symmetry is None else s.symmetry for s in splits
    ]
    permutations = [
        identity_permutations(s.num_puzzles, vocab_size) if s.permutation is None else s.permutation
        for s in splits
    ]
    return Transforms(np.concatenate(symmetries), np.concatenate(permutations))


def _concat_offsets(offsets: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    ends = np.concatenate(([0], np.cumsum([part[-1] for part in offsets])))
    return np.concatenate(
        ([0], *(part[1:] + end for part, end in zip(offsets, ends, strict=False)))
    ).astype(np.int64)
