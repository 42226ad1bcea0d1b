"""Whether a split can be trained on: the type and shape of each array, and every value in it."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trm.data.split import Split

if TYPE_CHECKING:
    from trm.data.dataset import DatasetMeta, SplitCounts

#: The name of an array, and what is wrong with it.
Problem = tuple[str, str]

_INTEGERS = "iu"
#: Numpy's kinds of types, in words.
_KINDS = {"b": "true or false", "i": "integers", "u": "integers", "f": "numbers", "S": "text"}
#: Rows at a time where a check makes a copy.
_ROWS_AT_ONCE = 1 << 16


def find_problem(
    split: Split,
    meta: "DatasetMeta",
    counts: "SplitCounts | None" = None,
    info_kinds: Mapping[str, str] = MappingProxyType({}),
) -> Problem | None:
    """The first problem of a split, None if it can be trained on.

    Args:
        split: the arrays, with the augmentation that will be applied.
        meta: the vocabulary, the length and the identifiers of the puzzles.
        counts: the number of groups, puzzles and examples; None in the published layout, where the
            offsets tell.
        info_kinds: see :attr:`trm.tasks.base.Task.info_kinds`.
    """
    return next(_problems(split, meta, counts, info_kinds), None)


def limits(splits: Mapping[str, Split]) -> dict[str, Any]:
    """What :func:`find_problem` asks of the augmentation of each split."""
    augmentations = {name: split.augmentation for name, split in splits.items()}
    return {name: a and (a.num_symmetries, a.first_free) for name, a in augmentations.items()}


def _problems(
    split: Split,
    meta: "DatasetMeta",
    counts: "SplitCounts | None",
    info_kinds: Mapping[str, str],
) -> Iterator[Problem]:
    """All problems. Take only the first, because each check relies on those before it."""
    arrays = split.arrays()
    for name in ("puzzle_offsets", "example_offsets"):
        yield from _offset_problems(name, arrays[name])
    if counts is None:
        groups, owners = len(split.puzzle_offsets) - 1, len(split.example_offsets) - 1
        puzzles, examples = owners, int(split.example_offsets[-1])
    else:
        groups, puzzles, examples = counts.groups, counts.puzzles, counts.examples
        owners = groups
    expected: dict[str, tuple[str, tuple[int, ...]]] = {
        "puzzle_offsets": ("i", (groups + 1,)),
        "example_offsets": ("i", (owners + 1,)),
        "inputs": (_INTEGERS, (examples, meta.seq_len)),
        "labels": (_INTEGERS, (examples, meta.seq_len)),
        "symmetry": (_INTEGERS, (puzzles,)),
        "permutation": (_INTEGERS, (puzzles, meta.vocab_size)),
        "identifiers": (_INTEGERS, (puzzles,)),
        **{f"info_{name}": (kinds, (groups,)) for name, kinds in info_kinds.items()},
    }
    for name, (kinds, shape) in expected.items():
        if name in arrays:
            yield from _type_problems(name, arrays[name], kinds, shape)
    for name, end in (("puzzle_offsets", puzzles), ("example_offsets", examples)):
        if arrays[name][-1] != end:
            yield name, f"it ends at {arrays[name][-1]}, not {end}"
    for name in ("inputs", "labels"):
        if counts is not None and arrays[name].dtype != np.uint8:
            yield name, f"it has {arrays[name].dtype}, not uint8"
    for name, array in split.info.items():
        if array.shape[:1] != (groups,):
            yield f"info_{name}", f"it has shape {array.shape}, not ({groups}, ...)"
        if array.dtype.kind == "S":
            yield from _text_problems(f"info_{name}", array)
    yield from _value_problems(split, meta)


def _value_problems(split: Split, meta: "DatasetMeta") -> Iterator[Problem]:
    augmentation = split.augmentation
    num_symmetries = None if augmentation is None else augmentation.num_symmetries
    for name, what, array, limit in (
        ("inputs", "token", split.inputs, meta.vocab_size),
        ("labels", "token", split.labels, meta.vocab_size),
        ("identifiers", "identifier", split.identifiers, meta.num_puzzle_identifiers),
        ("symmetry", "symmetry", split.symmetry, num_symmetries),
        ("permutation", "token", split.permutation, meta.vocab_size),
    ):
        if array is not None:
            yield from _range_problems(name, what, array, limit)
    if split.labels.min() == 0:
        for start, rows in _in_parts(split.labels):
            empty = start + np.flatnonzero(~rows.any(axis=1))
            if "solved" in split.info:
                owners = np.searchsorted(split.example_offsets, empty, side="right") - 1
                empty = empty[split.info["solved"][owners] != 0]
            if len(empty):
                yield "labels", f"row {empty[0]} has no label to score"
    if split.permutation is not None:
        fixed = 0 if augmentation is None else augmentation.first_free
        yield from _permutation_problems(split.permutation, fixed)


def _offset_problems(name: str, offsets: NDArray[Any]) -> Iterator[Problem]:
    """Offsets rise from 0."""
    if offsets.dtype.kind != "i" or offsets.ndim != 1 or len(offsets) < 2:
        found = f"{offsets.dtype} of shape {offsets.shape}"
        yield name, f"it has {found}, not a row of two or more integers"
    if offsets[0] != 0:
        yield name, f"row 0 has {offsets[0]}, not 0"
    falls = np.flatnonzero(offsets[1:] <= offsets[:-1])
    if len(falls):
        row = falls[0] + 1
        before = f"{offsets[row - 1]} in the row before"
        yield name, f"row {row} has {offsets[row]}, not more than {before}"


def _text_problems(name: str, array: NDArray[Any]) -> Iterator[Problem]:
    """What is wrong with an array of names: it has to hold UTF-8."""
    if np.ascontiguousarray(array).view(np.uint8).max(initial=0) < 128:
        return
    for row, value in enumerate(array.ravel().tolist()):
        try:
            value.decode()
        except UnicodeDecodeError:
            yield name, f"row {row} is not UTF-8 text"


def name_problems(names: NDArray[Any], count: int) -> Iterator[Problem]:
    """What is wrong with the names (count,) of the puzzle identifiers."""
    yield from _type_problems("identifiers", names, "S", (count,))
    yield from _text_problems("identifiers", names)


def _type_problems(
    name: str, array: NDArray[Any], kinds: str, shape: tuple[int, ...]
) -> Iterator[Problem]:
    if array.dtype.kind not in kinds:
        yield name, f"it has {array.dtype}, not {_KINDS[kinds[0]]}"
    if array.shape != shape:
        yield name, f"it has shape {array.shape}, not {shape}"


def _range_problems(
    name: str, what: str, array: NDArray[Any], limit: int | None
) -> Iterator[Problem]:
    """Values below 0, or from ``limit`` on."""
    top = np.iinfo(array.dtype).max if limit is None else limit - 1
    if array.min() >= 0 and array.max() <= top:
        return
    for start, rows in _in_parts(array):
        wrong = np.argwhere((rows < 0) | (rows > top))
        if len(wrong):
            value = rows[tuple(wrong[0])]
            yield name, f"row {start + wrong[0][0]} has {what} {value}, not one of 0 to {top}"


def _permutation_problems(permutation: NDArray[Any], fixed: int) -> Iterator[Problem]:
    identity = np.arange(permutation.shape[1])
    for start, rows in _in_parts(permutation):
        taken = np.zeros(rows.shape, bool)
        np.put_along_axis(taken, rows, True, axis=1)
        wrong = ~taken.all(axis=1) | (rows[:, :fixed] != identity[:fixed]).any(axis=1)
        if wrong.any():
            row = int(wrong.argmax())
            kind = f"0 to {len(identity) - 1}" + f" that keeps 0 to {fixed - 1}" * (fixed > 0)
            yield "permutation", f"row {start + row} is not a permutation of {kind}"


def _in_parts(array: NDArray[Any]) -> Iterator[tuple[int, NDArray[Any]]]:
    """Some rows at a time, with the number of the first."""
    for start in range(0, len(array), _ROWS_AT_ONCE):
        yield start, array[start : start + _ROWS_AT_ONCE]
