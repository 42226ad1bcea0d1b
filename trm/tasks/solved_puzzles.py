"""Training and test puzzles with their solutions: from the Hub, from CSV files, or generated."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm.data import Split
from trm.errors import InputError
from trm.tasks.base import DataOptions
from trm.tasks.puzzle_csv import download


class SolvedPuzzleOptions(DataOptions):
    """The options of a task with :class:`SolvedPuzzles`."""

    num_train: int = Field(1000, gt=0, description="Training puzzles, before augmentation.")
    num_test: int | None = Field(
        None, gt=0, description="Maximum number of test puzzles; unset: all, or 1000 if generated."
    )


@dataclass(frozen=True)
class SolvedPuzzles:
    """Puzzles with their solutions.

    Attributes:
        inputs, labels: (num_puzzles, num_cells) uint8 tokens.
        info: arrays with one row per puzzle; see :attr:`trm.data.Split.info`.
    """

    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    info: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[Any]) -> "SolvedPuzzles":
        """The puzzles with these indices, or where a mask is true."""
        info = {name: array[rows] for name, array in self.info.items()}
        return SolvedPuzzles(self.inputs[rows], self.labels[rows], info)

    def to_split(self, puzzles_each: int = 1) -> Split:
        """A split with ``puzzles_each`` copies of each puzzle, the original included."""
        return Split.of_single_examples(
            self.inputs, self.labels, puzzles_each=puzzles_each, info=self.info
        )


def train_and_test_puzzles(
    options: SolvedPuzzleOptions,
    rng: np.random.Generator,
    *,
    repository: str,
    read: Callable[[Path], SolvedPuzzles],
    is_copy: Callable[[SolvedPuzzles, SolvedPuzzles], NDArray[np.bool_]],
    generate: Callable[[int], SolvedPuzzles],
) -> tuple[SolvedPuzzles, SolvedPuzzles]:
    """The training and test puzzles of the chosen source.

    From the Hub or a folder, these are random rows of ``train.csv`` and the first rows of
    ``test.csv``. A single file is divided at random.

    Args:
        options: the source (``hub``, ``generate``, a folder or a file) and the numbers of puzzles.
        rng: the source of random numbers.
        repository: the dataset on the Hub.
        read: reads and checks a CSV file.
        is_copy: which puzzles of the second argument are symmetric copies of one of the first.
        generate: generates this number of puzzles.

    Raises:
        InputError: if there is no such file, or it has too few puzzles.
    """
    path = Path(options.source)
    if options.source == "generate":
        num_test = 1000 if options.num_test is None else options.num_test
        puzzles = generate(options.num_train + num_test)
        rows = np.arange(len(puzzles))
        return puzzles.take(rows[: options.num_train]), puzzles.take(rows[options.num_train :])
    if options.source == "hub":
        files = (download(repository, "train"), download(repository, "test"))
    elif path.is_dir():
        files = (path / "train.csv", path / "test.csv")
    elif path.is_file():
        train, rest = _choose(read(path), options.num_train, rng, path)
        test = rest.take(~is_copy(train, rest))
        if not len(test):
            raise InputError(f"{path}: no puzzle is left to test on. Lower --num-train.")
        return train, test.take(np.arange(len(test))[: options.num_test])
    else:
        raise InputError(
            f"--source {options.source}: no such file or folder, and not one of hub, generate."
        )
    train, test = map(read, files)
    test = test.take(np.arange(len(test))[: options.num_test])
    return _choose(train, options.num_train, rng, files[0])[0], test


def _choose(
    puzzles: SolvedPuzzles, count: int, rng: np.random.Generator, file: Path
) -> tuple[SolvedPuzzles, SolvedPuzzles]:
    """``count`` random puzzles and the others, both in the order of the file."""
    if count > len(puzzles):
        raise InputError(
            f"{file} has only {len(puzzles)} such puzzles, not {count}. Lower --num-train."
        )
    chosen = np.zeros(len(puzzles), bool)
    chosen[rng.choice(len(puzzles), count, replace=False)] = True
    return puzzles.take(chosen), puzzles.take(~chosen)


def describe_sources(split: Split) -> dict[str, str]:
    """The number of puzzles of each source; empty in the published layout, which has no sources."""
    if "source" not in split.info:
        return {}
    names, counts = np.unique(split.info["source"], return_counts=True)
    return {"sources": ", ".join(f"{n.decode()} {c}" for n, c in zip(names, counts, strict=True))}
