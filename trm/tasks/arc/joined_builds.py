"""Answers to several builds of the same tasks, which have other copies and other numbers.

A copy is known by its name, which has the task, the symmetry and the colours. A test input is known
by its grid before the copy was made.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import BatchTransforms, Split
from trm.errors import DataError, InputError
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.grids import encode, parse_grid
from trm.tasks.arc.identifier_names import BLANK, parse_names
from trm.tasks.arc.votes import grid_keys
from trm.tasks.metrics import Rows

_ROWS_AT_ONCE = 8192
_WAY_OUT = "Give answers to the tasks of the data, or other data with --data."


def join_builds(
    split: Split, ids: Sequence[str], answered: Mapping[str, tuple[NDArray[Any], NDArray[Any]]]
) -> tuple[Split, dict[str, Rows]]:
    """See :meth:`trm.tasks.metrics.Evaluator.join_builds`.

    Args:
        split: the tasks.
        ids: the ID of each group.
        answered: for each file, the names (n,) and the inputs (n, 900) of its answers.
    """
    names = [np.array([name.encode() for name in ids])]
    names += [file_names for file_names, _ in answered.values()]
    all_names, first, number = np.unique(
        np.concatenate(names), return_index=True, return_inverse=True
    )
    numbers = np.split(number.reshape(-1), np.cumsum([len(part) for part in names])[:-1])
    try:
        tasks, symmetry, permutation = parse_names(all_names)
    except DataError as error:
        raise InputError(f"{', '.join(answered)}: {error}") from error
    group_of = {name.encode(): group for group, name in reversed(list(enumerate(ids)))}
    group = np.array([group_of.get(task, -1) for task in tasks.tolist()])
    for file, own in zip(answered, numbers[1:], strict=True):
        if (unknown := own[group[own] < 0]).size:
            task = tasks[unknown[0]].decode(errors="replace")
            raise InputError(f"{file} has answers to task {task}, the data have none. {_WAY_OUT}")
    # The original is the first puzzle of its group; the others are in order of appearance.
    order = np.lexsort((first, group))
    puzzle = np.empty(len(order), np.int64)
    puzzle[order] = np.arange(len(order))
    starts, counts = split.example_range(np.asarray(split.puzzle_offsets[:-1]))
    offsets = np.concatenate(([0], np.cumsum(counts)))
    examples = np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])
    joined = Split(
        inputs=np.asarray(split.inputs[examples]),
        labels=np.asarray(split.labels[examples]),
        example_offsets=offsets,
        puzzle_offsets=np.concatenate(([0], np.cumsum(np.bincount(group, minlength=len(ids))))),
        symmetry=symmetry[order],
        permutation=permutation[order],
        identifiers=np.arange(1, 1 + len(order), dtype=np.int32),
        info={"name": names[0], **split.info},
        names=np.concatenate(([BLANK], all_names[order])),
        augmentation=ArcAugmentation(seed=0, translate=False),
    )
    rows = {
        file: _rows(joined, file, puzzle[own], inputs)
        for (file, (_, inputs)), own in zip(answered.items(), numbers[1:], strict=True)
    }
    return joined, rows


def _rows(split: Split, file: str, puzzles: NDArray[np.int64], inputs: NDArray[Any]) -> Rows:
    """The examples (n,) of inputs (n, 900) that a file has as these puzzles (n,), and the puzzles.

    Raises:
        InputError: for an input that is not one of its task's.
    """
    known: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    owners = np.repeat(np.arange(split.num_groups), np.diff(split.example_offsets)).tolist()
    for example, of_task in enumerate(zip(owners, grid_keys(split.inputs), strict=True)):
        known[of_task].append(example)
    seen: Counter[tuple[int, bytes]] = Counter()  # of inputs that a task has twice
    examples = np.empty(len(puzzles), np.int64)
    augmentation = ArcAugmentation(seed=0, translate=False)
    assert split.symmetry is not None
    assert split.permutation is not None
    for start in range(0, len(puzzles), _ROWS_AT_ONCE):
        own = puzzles[start : start + _ROWS_AT_ONCE]
        zeros = np.zeros_like(own)
        transforms = BatchTransforms(
            split.symmetry[own], split.permutation[own], own, zeros, zeros + 1
        )
        keys = grid_keys(augmentation.undo(inputs[start : start + _ROWS_AT_ONCE], transforms))
        groups = split.group_of(own).tolist()
        for row, (group, key) in enumerate(zip(groups, keys, strict=True)):
            found = known.get((group, key))
            if found is None:
                task = split.info["name"][group].decode()
                raise InputError(
                    f"{file} has a test input of task {task} that the data do not have: they are "
                    f"two tasks of the same ID. {_WAY_OUT}"
                )
            if len(found) == 1:
                examples[start + row] = found[0]
            else:
                which = (int(own[row]), key)
                examples[start + row] = found[seen[which] % len(found)]
                seen[which] += 1
    return examples, puzzles


def with_solutions(split: Split, ids: Sequence[str], raw: object, source: str) -> Split:
    """See :meth:`trm.tasks.metrics.Evaluator.with_solutions`."""
    if not isinstance(raw, dict) or not raw.keys() & set(ids):
        raise InputError(
            f"{source} has the outputs of none of the {len(ids):,} tasks. Name a file like that of "
            "Kaggle, arc-agi_evaluation_solutions.json."
        )
    labels = np.array(split.labels)
    solved = np.array(split.info.get("solved", np.ones(len(ids), bool)))
    for group, name in enumerate(ids):
        if name not in raw:
            continue
        first, end = split.example_offsets[group : group + 2].tolist()
        grids = raw[name]
        if not isinstance(grids, list) or len(grids) != end - first:
            count = len(grids) if isinstance(grids, list) else "no"
            raise InputError(
                f"{source} has {count} outputs of task {name}, which has {end - first} test "
                "inputs. Correct it."
            )
        for number, grid in enumerate(grids):
            where = f"{source}: task {name}, output {number + 1}"
            labels[first + number] = encode(parse_grid(grid, where))
        solved[group] = True
    return replace(split, labels=labels, info={**split.info, "solved": solved})
