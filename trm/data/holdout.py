"""Puzzles held out of training, to choose a checkpoint by without looking at the test split.

Which ones is fixed by the data and the share alone: the same for every seed, for any number of
processes, and for a longer run.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trm.data.dataset import Dataset
from trm.data.split import Split
from trm.errors import ConfigError

#: What a data set calls the puzzles that are held out.
VALIDATION = "validation"


def with_held_out(dataset: Dataset, share: float) -> Dataset:
    """The data set with a split ``validation``, taken from ``train``; itself if the share is 0.

    Raises:
        ConfigError: see :func:`held_out`.
        DataError: if it has no ``train`` split.
    """
    if not share:
        return dataset
    train = dataset.split("train")
    if train.identifiers is not None:
        raise ConfigError(
            f"data.validation_share = {share:g}: the puzzles of {dataset.path} have identifiers, "
            "and the embedding of one held out would never be trained. Set it to 0."
        )
    kept, held = held_out(train, share)
    return replace(dataset, splits={**dataset.splits, "train": kept, VALIDATION: held})


def held_out(split: Split, share: float) -> tuple[Split, Split]:
    """The groups that are trained on, and the share that is held out; each with all its copies.

    Both are in memory, and their groups in the order of the split. Equal puzzles, such as those of
    two joined data sets, go to the same side, so that a few more may be held out.

    Raises:
        ConfigError: if one of them would be empty.
    """
    total = split.num_groups
    order = np.random.Generator(np.random.Philox(0)).permutation(total)
    equal = _first_equal(split)
    held = np.isin(equal, equal[order[: round(share * total)]])
    if held.all() or not held.any():
        what = "all" if held.any() else "none"
        way_out = "Give less" if held.any() else f"Give 0, or {1 / total:.2g} or more"
        raise ConfigError(
            f"data.validation_share = {share:g} holds {what} of {total:,} training puzzles out. "
            f"{way_out if total > 1 else 'Give 0'}."
        )
    return _groups(split, np.flatnonzero(~held)), _groups(split, np.flatnonzero(held))


def _first_equal(split: Split) -> NDArray[np.int64]:
    """For each group (num_groups,) the first one whose original has the same examples."""
    begin, counts = split.example_range(np.asarray(split.puzzle_offsets[:-1]))
    known: dict[bytes, int] = {}
    return np.array([
        known.setdefault(split.inputs[b : b + n].tobytes() + split.labels[b : b + n].tobytes(), g)
        for g, (b, n) in enumerate(zip(begin.tolist(), counts.tolist(), strict=True))
    ])  # fmt: skip


def _groups(split: Split, chosen: NDArray[np.int64]) -> Split:
    """Some groups (num_chosen,) of a split, as a split of their own."""
    puzzles, puzzle_offsets = _pieces(split.puzzle_offsets, chosen)
    a_puzzle_each = len(split.example_offsets) == split.num_puzzles + 1
    owners = puzzles if a_puzzle_each else chosen
    examples, example_offsets = _pieces(split.example_offsets, owners)
    return replace(
        split,
        inputs=split.inputs[examples],
        labels=split.labels[examples],
        example_offsets=example_offsets,
        puzzle_offsets=puzzle_offsets,
        symmetry=None if split.symmetry is None else split.symmetry[puzzles],
        permutation=None if split.permutation is None else split.permutation[puzzles],
        identifiers=None if split.identifiers is None else split.identifiers[puzzles],
        info={name: array[chosen] for name, array in split.info.items()},
    )


def _pieces(
    offsets: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places ``[o[c], o[c + 1])`` of each chosen c, one after the other, and new offsets."""
    begin, end = np.asarray(offsets[chosen]), np.asarray(offsets[chosen + 1])
    new = np.concatenate(([0], np.cumsum(end - begin)))
    return np.arange(new[-1]) + np.repeat(begin - new[:-1], end - begin), new
