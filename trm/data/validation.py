"""A validation split, taken from the training puzzles, to choose the best checkpoint by.

The split depends only on the data and the share. It is the same for every seed, every number of
processes and every length of a run.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trm.data.dataset import Dataset
from trm.data.split import Split
from trm.errors import ConfigError

#: The name of the validation split.
VALIDATION = "validation"


def with_validation_split(dataset: Dataset, share: float) -> Dataset:
    """Add a split ``validation``, taken from ``train``.

    Raises:
        ConfigError: see :func:`train_validation_split`. Also if puzzles have identifiers.
        DataError: if there is no ``train`` split.
    """
    train = dataset.split("train")
    if train.identifiers is not None:
        raise ConfigError(
            f"data.validation_share = {share:g}: the puzzles of {dataset.path} have identifiers, "
            "and the embedding of a validation puzzle would never be trained. Set it to 0."
        )
    train, validation = train_validation_split(train, share)
    return replace(dataset, splits={**dataset.splits, "train": train, VALIDATION: validation})


def train_validation_split(split: Split, share: float) -> tuple[Split, Split]:
    """Divide the groups of a split, with all their copies, into training and validation groups.

    Both are loaded into memory and keep the order of the groups. Equal puzzles, such as those of
    two joined datasets, stay together, so the validation split may be slightly larger.

    Raises:
        ConfigError: if one of them would be empty.
    """
    total = split.num_groups
    order = np.random.Generator(np.random.Philox(0)).permutation(total)
    equal = _first_equal(split)
    chosen = np.isin(equal, equal[order[: round(share * total)]])
    if chosen.all() or not chosen.any():
        what = "all" if chosen.any() else "none"
        advice = "Give less" if chosen.any() else f"Give 0, or {1 / total:.2g} or more"
        raise ConfigError(
            f"data.validation_share = {share:g} holds {what} of {total:,} training puzzles out. "
            f"{advice if total > 1 else 'Give 0'}."
        )
    return _groups(split, np.flatnonzero(~chosen)), _groups(split, np.flatnonzero(chosen))


def _first_equal(split: Split) -> NDArray[np.int64]:
    """For each group (num_groups,), the index of the first group with the same examples."""
    begin, counts = split.example_range(np.asarray(split.puzzle_offsets[:-1]))
    known: dict[bytes, int] = {}
    return np.array([
        known.setdefault(split.inputs[b : b + n].tobytes() + split.labels[b : b + n].tobytes(), g)
        for g, (b, n) in enumerate(zip(begin.tolist(), counts.tolist(), strict=True))
    ])  # fmt: skip


def _groups(split: Split, chosen: NDArray[np.int64]) -> Split:
    """A split of the chosen groups (num_chosen,)."""
    puzzles, puzzle_offsets = _select_ranges(split.puzzle_offsets, chosen)
    owners = puzzles if split.stores_copies else chosen
    examples, example_offsets = _select_ranges(split.example_offsets, owners)
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


def _select_ranges(
    offsets: NDArray[np.int64], chosen: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The indices in ``[o[c], o[c + 1])`` for each chosen c, concatenated, and the new offsets."""
    begin, end = np.asarray(offsets[chosen]), np.asarray(offsets[chosen + 1])
    new = np.concatenate(([0], np.cumsum(end - begin)))
    return np.arange(new[-1]) + np.repeat(begin - new[:-1], end - begin), new
