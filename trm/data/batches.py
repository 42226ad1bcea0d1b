"""The order of examples: endless and shuffled to train, once in order to evaluate.

Packing as published: shuffle the groups, take one puzzle of each, put in its examples until the
batch is full (what does not fit of the last puzzle is left out). Everything depends on the seed
alone, so the position in the stream, two numbers, is all that has to be saved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm.data.augment import Drawn
from trm.data.split import Batch, Split

#: Keeps the streams of random numbers that a seed gives apart.
_ORDER, _EXPLORATION, _AUGMENTATION = 0, 1, 2


class Position(NamedTuple):
    """Where a stream stands: the pass over the groups, and how many of its groups are used."""

    epoch: int = 0
    group: int = 0


@dataclass(frozen=True)
class _Epoch:
    """One pass over all groups: every example of one puzzle of each group, in shuffled order."""

    examples: NDArray[np.int64]
    puzzles: NDArray[np.int64]
    starts: NDArray[np.int64]  # (num_groups + 1,), where each shuffled group begins
    drawn: Drawn | None  # how each example is augmented, where that is not as its puzzle says


class TrainStream:
    """An endless stream of training batches.

    Args:
        split: the puzzles.
        batch_size: examples in each batch.
        seed: decides the order.
        position: where to go on; the beginning if left out.
        online: draw a new augmentation of each original puzzle in every pass, instead of taking
            one of its stored copies.
        rows: make only these of each batch, as one of several processes does; all if left out.
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
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.position = position or Position()
        self._rows = rows or slice(None)
        self._online = split.augmentation if online else None
        self._epoch = self._draw_epoch(self.position.epoch)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        taken: list[tuple[NDArray[Any], ...]] = []
        room = self.batch_size
        while room:
            epoch, (number, group) = self._epoch, self.position
            start = epoch.starts[group]
            stop = min(start + room, epoch.starts[-1])
            taken.append(
                tuple(a[start:stop] for a in (epoch.examples, epoch.puzzles, *(epoch.drawn or ())))
            )
            room -= int(stop - start)
            used = int(np.searchsorted(epoch.starts, stop))  # a puzzle cut short counts as used
            if used == len(epoch.starts) - 1:
                self.position = Position(number + 1, 0)
                self._epoch = self._draw_epoch(number + 1)
            else:
                self.position = Position(number, used)
        columns = map(np.concatenate, zip(*taken, strict=True))
        examples, puzzles, *drawn = (column[self._rows] for column in columns)
        return self.split.gather(examples, puzzles, (drawn[0], drawn[1]) if drawn else None)

    def _draw_epoch(self, number: int) -> _Epoch:
        split = self.split
        rng = _random(self.seed, _ORDER, number)
        order = rng.permutation(split.num_groups)
        first, last = split.puzzle_offsets[order], split.puzzle_offsets[order + 1]
        puzzle = rng.integers(first, last)
        if self._online:
            puzzle = np.asarray(first)
        begin, counts = split.example_range(puzzle, order)
        starts = np.concatenate(([0], np.cumsum(counts)))
        place = np.repeat(np.arange(split.num_groups), counts)
        # Sorting random keys within each group shuffles its examples.
        shuffled = np.lexsort((rng.random(int(starts[-1])), place))
        examples = begin[place] + (shuffled - starts[place])
        drawn: Drawn | None = None
        if self._online:
            fresh = self._online.draw(len(order), _random(self.seed, _AUGMENTATION, number))
            drawn = (fresh[0][place], fresh[1][place])
        return _Epoch(examples, puzzle[place], starts, drawn)


def _random(seed: int, *what: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *what))))


def eval_batches(split: Split, batch_size: int, max_examples: int | None = None) -> Iterator[Batch]:
    """The batches of :func:`eval_rows`."""
    for examples, puzzles in eval_rows(split, batch_size, max_examples):
        yield split.gather(examples, puzzles)


def eval_rows(
    split: Split, batch_size: int, max_examples: int | None = None
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Every example as every puzzle of its group sees it, once, in order: what to gather.

    With ``max_examples`` so many of them, always the same, in order: chosen at random, but those
    of a group's first puzzles before those of later ones, so that each group has its share.
    """
    puzzles = np.arange(split.num_puzzles)
    begin, counts = split.example_range(puzzles)
    ends = np.cumsum(counts)
    total, count = int(ends[-1]), num_eval_examples(split, max_examples)
    rows = np.arange(total)
    if count < total:
        copy = puzzles - split.puzzle_offsets[split.group_of(puzzles)]
        chance = np.random.Generator(np.random.Philox(0)).random(total)
        rows = np.sort(np.lexsort((chance, np.repeat(copy, counts)))[:count])
    for start in range(0, count, batch_size):
        row = rows[start : start + batch_size]
        puzzle = np.searchsorted(ends, row, side="right")
        example = begin[puzzle] + row - (ends[puzzle] - counts[puzzle])
        yield example, puzzle


def num_eval_examples(split: Split, max_examples: int | None = None) -> int:
    """How many examples :func:`eval_batches` gives."""
    return split.num_rows if max_examples is None else min(split.num_rows, max_examples)


def exploration(
    seed: int, step: int, batch_size: int, probability: float, max_steps: int
) -> NDArray[np.int32]:
    """The steps before which each row of a training batch may not halt (paper, section 2.4).

    Drawn by place in the batch from the seed and step alone, as the examples are: with
    ``probability`` a row has to stay for 2 to ``max_steps`` steps (uniformly), else 0.
    """
    rng = _random(seed, _EXPLORATION, step)
    explores = rng.random(batch_size) < probability
    if max_steps < 2:
        return np.zeros(batch_size, np.int32)
    steps = rng.integers(2, max_steps + 1, size=batch_size)
    return np.where(explores, steps, 0).astype(np.int32)
