"""The order of examples: an endless shuffled stream for training, one ordered pass for evaluation.

Batches are packed as in the published code: shuffle the groups, take one puzzle of each, and add
its examples until the batch is full. Examples of the last puzzle that do not fit are left out. The
order depends on the seed alone, so a checkpoint saves only the position in the stream, two numbers.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm.data.augmentation import Transforms
from trm.data.split import Batch, Split

#: Separate the streams of random numbers of one seed.
_ORDER, _EXPLORATION, _AUGMENTATION = 0, 1, 2


class Position(NamedTuple):
    """A position in a stream: the pass over the groups, and the groups used in this pass."""

    epoch: int = 0
    group: int = 0


@dataclass(frozen=True)
class _Epoch:
    """One pass over all groups: the examples of one puzzle of each group, in shuffled order."""

    examples: NDArray[np.int64]
    puzzles: NDArray[np.int64]
    starts: NDArray[np.int64]  # (num_groups + 1,), the first example of each shuffled group
    transforms: Transforms | None  # of each example, with online augmentation


class TrainStream:
    """An endless stream of training batches.

    Args:
        split: the puzzles.
        batch_size: examples in each batch.
        seed: decides the order.
        position: where to resume; default: at the start.
        online: draw a new augmentation of each original puzzle in every pass, instead of using
            its stored copies.
        rows: the rows of each batch to make, for one of several processes; default: all.
        max_pairs: the most examples of a puzzle in each pass, drawn anew; default: all.
    """

    def __init__(
        self,
        split: Split,
        batch_size: int,
        seed: int,
        position: Position | None = None,
        *,
        online: bool = False,
        rows: slice | None = None,
        max_pairs: int | None = None,
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.position = position or Position()
        self._rows = rows or slice(None)
        self._online = split.augmentation if online else None
        self._max_pairs = max_pairs
        self._epoch = self._draw_epoch(self.position.epoch)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        parts: list[tuple[NDArray[Any], ...]] = []
        missing = self.batch_size
        while missing:
            epoch, (number, group) = self._epoch, self.position
            start = epoch.starts[group]
            stop = min(start + missing, epoch.starts[-1])
            arrays = (epoch.examples, epoch.puzzles, *(epoch.transforms or ()))
            parts.append(tuple(array[start:stop] for array in arrays))
            missing -= int(stop - start)
            used = int(np.searchsorted(epoch.starts, stop))  # a truncated puzzle counts as used
            if used == len(epoch.starts) - 1:
                self.position = Position(number + 1, 0)
                self._epoch = self._draw_epoch(number + 1)
            else:
                self.position = Position(number, used)
        columns = map(np.concatenate, zip(*parts, strict=True))
        examples, puzzles, *drawn = (column[self._rows] for column in columns)
        return self.split.make_batch(examples, puzzles, Transforms(*drawn) if drawn else None)

    def _draw_epoch(self, number: int) -> _Epoch:
        split = self.split
        rng = _generator(self.seed, _ORDER, number)
        order = rng.permutation(split.num_groups)
        first, last = split.puzzle_offsets[order], split.puzzle_offsets[order + 1]
        puzzle = rng.integers(first, last)
        if self._online:
            puzzle = np.asarray(first)
        begin, counts = split.example_range(puzzle, order)
        starts = np.concatenate(([0], np.cumsum(counts)))
        group = np.repeat(np.arange(split.num_groups), counts)  # the shuffled group of each example
        # Sorting random keys within each group shuffles its examples.
        shuffled = np.lexsort((rng.random(int(starts[-1])), group))
        if self._max_pairs is not None:
            kept = np.arange(len(group)) - starts[group] < self._max_pairs
            shuffled, group = shuffled[kept], group[kept]
        examples = begin[group] + (shuffled - starts[group])
        starts = np.searchsorted(group, np.arange(len(order) + 1))
        transforms: Transforms | None = None
        if self._online:
            symmetry, permutation = self._online.draw(
                len(order), _generator(self.seed, _AUGMENTATION, number)
            )
            transforms = Transforms(symmetry[group], permutation[group])
        return _Epoch(examples, puzzle[group], starts, transforms)


def _generator(*seeds: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(seeds)))


def eval_rows(
    split: Split,
    max_examples: int | None = None,
    *,
    copies: int | None = None,
    by_copy: bool = False,
) -> NDArray[np.int64]:
    """The rows of an evaluation, in order.

    Every example of a split is a row once for every puzzle of its group. All rows are numbered from
    0, puzzle by puzzle.

    Args:
        split: the examples.
        max_examples: only this many, a fixed random subset. The first puzzles of all groups are
            chosen before their later puzzles, so that every group is represented.
        copies: only the first puzzles of each group, at most this many. The original is one.
        by_copy: the first puzzles of all groups, then the second ones, and so on, instead of all
            puzzles of the first group, then of the second.
    """
    _, counts, ends = _examples_of_puzzles(split)
    total = int(ends[-1])
    rows = np.arange(total)
    if copies is None and not by_copy and num_eval_examples(split, max_examples) == total:
        return rows
    puzzles = np.arange(split.num_puzzles)
    copy = np.repeat(puzzles - split.puzzle_offsets[split.group_of(puzzles)], counts)
    if copies is not None:
        rows = rows[copy < copies]
    if max_examples is not None and max_examples < len(rows):
        chance = np.random.Generator(np.random.Philox(0)).random(total)
        rows = rows[np.sort(np.lexsort((chance[rows], copy[rows]))[:max_examples])]
    return rows[np.argsort(copy[rows], kind="stable")] if by_copy else rows


def eval_indices(
    split: Split, batch_size: int, rows: NDArray[np.int64] | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """The examples (batch,) and puzzles (batch,) of each evaluation batch, in order.

    Args:
        split: the examples.
        batch_size: rows at a time.
        rows: what to evaluate, see :func:`eval_rows`; default: everything.
    """
    begin, counts, ends = _examples_of_puzzles(split)
    rows = np.arange(ends[-1]) if rows is None else rows
    for start in range(0, len(rows), batch_size):
        row = rows[start : start + batch_size]
        puzzle = np.searchsorted(ends, row, side="right")
        yield begin[puzzle] + row - (ends[puzzle] - counts[puzzle]), puzzle


def rows_of(
    split: Split, examples: NDArray[np.int64], puzzles: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The rows (n,) of examples (n,) as puzzles (n,) of a split; see :func:`eval_rows`.

    Raises:
        ValueError: if a puzzle does not exist, or does not have the example.
    """
    begin, counts, ends = _examples_of_puzzles(split)
    if len(puzzles) and not (puzzles.min() >= 0 and puzzles.max() < len(ends)):
        raise ValueError(f"its puzzles go from {puzzles.min()} to {puzzles.max()}")
    places = examples - begin[puzzles]
    if ((places < 0) | (places >= counts[puzzles])).any():
        raise ValueError("its puzzles do not have its examples")
    rows: NDArray[np.int64] = ends[puzzles] - counts[puzzles] + places
    return rows


def _examples_of_puzzles(
    split: Split,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """For each puzzle of a split, its first example, their number, and where its rows end."""
    begin, counts = split.example_range(np.arange(split.num_puzzles))
    return begin, counts, np.cumsum(counts)


def num_eval_examples(split: Split, max_examples: int | None = None) -> int:
    """The number of rows of :func:`eval_rows`."""
    total = split.total_puzzle_examples
    return total if max_examples is None else min(total, max_examples)


def exploration_min_steps(
    seed: int, step: int, batch_size: int, probability: float, max_steps: int
) -> NDArray[np.int32]:
    """The minimum number of steps (batch,) of each row of a training batch (paper, section 2.4).

    With ``probability`` a row may halt only after 2 to ``max_steps`` steps, drawn uniformly; 0 for
    the other rows. The result depends only on the arguments.
    """
    rng = _generator(seed, _EXPLORATION, step)
    explores = rng.random(batch_size) < probability
    if max_steps < 2:
        return np.zeros(batch_size, np.int32)
    steps = rng.integers(2, max_steps + 1, size=batch_size)
    return np.where(explores, steps, 0).astype(np.int32)
