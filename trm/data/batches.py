"""The order of examples: endless and shuffled to train, once in order to evaluate.

Packing as published: shuffle the groups, take one puzzle of each, put in its examples until the
batch is full (what does not fit of the last puzzle is left out). Everything depends on the seed
alone, so the position in the stream, two numbers, is all that has to be saved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm.data.split import Batch, Split

#: Keeps the streams of random numbers that a seed gives apart.
_ORDER, _EXPLORATION = 0, 1


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


class TrainStream:
    """An endless stream of training batches.

    Args:
        split: the puzzles.
        batch_size: examples in each batch.
        seed: decides the order.
        position: where to go on; the beginning if left out.
    """

    def __init__(
        self, split: Split, batch_size: int, seed: int, position: Position | None = None
    ) -> None:
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self.position = position or Position()
        self._epoch = _draw_epoch(split, seed, self.position.epoch)

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        examples: list[NDArray[np.int64]] = []
        puzzles: list[NDArray[np.int64]] = []
        room = self.batch_size
        while room:
            epoch, (number, group) = self._epoch, self.position
            start = epoch.starts[group]
            stop = min(start + room, epoch.starts[-1])
            examples.append(epoch.examples[start:stop])
            puzzles.append(epoch.puzzles[start:stop])
            room -= int(stop - start)
            used = int(np.searchsorted(epoch.starts, stop))  # a puzzle cut short counts as used
            if used == len(epoch.starts) - 1:
                self.position = Position(number + 1, 0)
                self._epoch = _draw_epoch(self.split, self.seed, number + 1)
            else:
                self.position = Position(number, used)
        return self.split.gather(np.concatenate(examples), np.concatenate(puzzles))


def _draw_epoch(split: Split, seed: int, number: int) -> _Epoch:
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, _ORDER, number))))
    order = rng.permutation(split.num_groups)
    first, last = split.puzzle_offsets[order], split.puzzle_offsets[order + 1]
    puzzle = rng.integers(first, last)
    begin = np.asarray(split.example_offsets)[order]
    counts = np.asarray(split.example_offsets)[order + 1] - begin
    starts = np.concatenate(([0], np.cumsum(counts)))
    place = np.repeat(np.arange(split.num_groups), counts)
    # Sorting random keys within each group shuffles its examples.
    shuffled = np.lexsort((rng.random(int(starts[-1])), place))
    examples = begin[place] + (shuffled - starts[place])
    return _Epoch(examples, puzzle[place], starts)


def eval_batches(split: Split, batch_size: int, max_examples: int | None = None) -> Iterator[Batch]:
    """Every example as every puzzle of its group sees it, once, in order.

    With ``max_examples`` so many of them, always the same random ones, in order.
    """
    per_group = np.diff(split.example_offsets)
    begins = np.concatenate(([0], np.cumsum(per_group * np.diff(split.puzzle_offsets))))
    total, count = int(begins[-1]), num_eval_examples(split, max_examples)
    rows = np.arange(total)
    if count < total:  # no fixed stride, which could meet only the first examples of the groups
        rows = np.sort(np.random.Generator(np.random.Philox(0)).permutation(total)[:count])
    for start in range(0, count, batch_size):
        row = rows[start : start + batch_size]
        group = np.searchsorted(begins, row, side="right") - 1
        puzzle, example = np.divmod(row - begins[group], per_group[group])
        yield split.gather(
            split.example_offsets[group] + example, split.puzzle_offsets[group] + puzzle
        )


def num_eval_examples(split: Split, max_examples: int | None = None) -> int:
    """How many examples :func:`eval_batches` gives."""
    total = int(np.diff(split.example_offsets) @ np.diff(split.puzzle_offsets))
    return total if max_examples is None else min(total, max_examples)


def exploration(
    seed: int, step: int, batch_size: int, probability: float, max_steps: int
) -> NDArray[np.int32]:
    """The steps before which each row of a training batch may not halt (paper, section 2.4).

    Drawn by place in the batch from the seed and step alone, as the examples are: with
    ``probability`` a row has to stay for 2 to ``max_steps`` steps (uniformly), else 0.
    """
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, _EXPLORATION, step))))
    explores = rng.random(batch_size) < probability
    if max_steps < 2:
        return np.zeros(batch_size, np.int32)
    steps = rng.integers(2, max_steps + 1, size=batch_size)
    return np.where(explores, steps, 0).astype(np.int32)
