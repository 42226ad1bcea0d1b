"""Training and test puzzles with their solutions: from the Hub, from CSV files, or generated."""

import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from trm.data import Split
from trm.errors import InputError, TrmWarning
from trm.tasks.base import DataOptions
from trm.tasks.puzzle_csv import FILES, download

MAX_PUZZLES = 10_000_000
#: Sources that are named one by one; of more, the most frequent.
MAX_SOURCES = 20
MAX_GENERATED = 1_000_000
#: Puzzles of a split whose solutions are counted, at most: a second or two.
MAX_SOLVED = 10_000


class SolvedPuzzleOptions(DataOptions):
    """The options of a task with :class:`SolvedPuzzles`."""

    num_train: int = Field(
        1000, gt=0, le=MAX_PUZZLES, description="Training puzzles, before augmentation."
    )
    num_test: int | None = Field(
        None,
        gt=0,
        le=MAX_PUZZLES,
        description="Maximum number of test puzzles; unset: all, or 1000 if generated.",
    )
    hub_size: ClassVar[int]
    """The size of the boards on the Hub."""

    @model_validator(mode="after")
    def _size_fits_source(self) -> Self:
        size = getattr(self, "size", None)
        if self.source == "hub" and size not in (None, self.hub_size):
            raise ValueError(
                f"--size {size} needs --source generate, or --source FILE with such boards: those "
                f"on the Hub are {self.hub_size}x{self.hub_size}"
            )
        return self


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
    is_ambiguous: Callable[[SolvedPuzzles], NDArray[np.bool_]],
) -> tuple[SolvedPuzzles, SolvedPuzzles]:
    """The training and test puzzles of the chosen source.

    From the Hub or a folder, these are random rows of ``train.csv`` and the first rows of
    ``test.csv``. A single file is divided at random. A warning counts test puzzles that are trained
    on, questions with several answers, and puzzles with several solutions.

    Args:
        options: the source (``hub``, ``generate``, a folder or a file) and the numbers of puzzles.
        rng: the source of random numbers.
        repository: the dataset on the Hub.
        read: reads and checks a CSV file.
        is_copy: which puzzles of the second argument are symmetric copies of one of the first.
        generate: generates this number of puzzles.
        is_ambiguous: which puzzles have more than one solution, where one is wanted.

    Raises:
        InputError: if there is no such file, or it has too few puzzles.
    """
    path = Path(options.source)
    if options.source == "generate":
        num_test = 1000 if options.num_test is None else options.num_test
        total = options.num_train + num_test
        if total > MAX_GENERATED:
            raise InputError(
                f"{total:,} puzzles were asked for, but at most {MAX_GENERATED:,} are generated. "
                "Lower --num-train or --num-test."
            )
        puzzles = generate(total)
        rows = np.arange(len(puzzles))
        return puzzles.take(rows[: options.num_train]), puzzles.take(rows[options.num_train :])
    with FILES.parsing(path):
        is_folder, is_file = path.is_dir(), path.is_file()
    if options.source == "hub":
        files = (download(repository, "train"), download(repository, "test"))
    elif is_folder:
        files = (path / "train.csv", path / "test.csv")
    elif is_file:
        train, rest = _choose(read(path), options.num_train, rng, path)
        test = rest.take(~is_copy(train, rest))
        if not len(test):
            raise InputError(f"{path}: no puzzle is left to test on. Lower --num-train.")
        test = test.take(np.arange(len(test))[: options.num_test])
        _warn_of_two_answers(train, rest)
        _warn_of_more_solutions(train, test, is_ambiguous)
        return train, test
    else:
        raise InputError(
            f"--source {options.source}: no such file or folder, and not one of hub, generate."
        )
    train, test = map(read, files)
    test = test.take(np.arange(len(test))[: options.num_test])
    train = _choose(train, options.num_train, rng, files[0])[0]
    if train.inputs.shape[1] == test.inputs.shape[1]:  # otherwise they are refused
        _warn_of_copies(train, test, is_copy)
        _warn_of_two_answers(train, test)
        _warn_of_more_solutions(train, test, is_ambiguous)
    return train, test


def _warn_of_copies(
    train: SolvedPuzzles,
    test: SolvedPuzzles,
    is_copy: Callable[[SolvedPuzzles, SolvedPuzzles], NDArray[np.bool_]],
) -> None:
    copies = int(is_copy(train, test).sum())
    if copies:
        known = set(_as_bytes(train.inputs).tolist())
        same = sum(board in known for board in _as_bytes(test.inputs).tolist())
        _warn(
            f"{copies:,} of {len(test):,} test puzzles are trained on with their answers: {same:,} "
            f"are training puzzles, {copies - same:,} symmetric copies of training puzzles. Give "
            "one file with all puzzles, which is divided without copies."
        )


def _warn_of_two_answers(train: SolvedPuzzles, others: SolvedPuzzles) -> None:
    questions, answers = (
        np.unique(np.concatenate((_as_bytes(one), _as_bytes(two))), return_inverse=True)[1]
        for one, two in ((train.inputs, others.inputs), (train.labels, others.labels))
    )
    different = np.unique(np.stack((questions, answers)), axis=1)
    several = int((np.bincount(different[0]) > 1).sum())
    if several:
        occur = "question occurs" if several == 1 else "questions occur"
        _warn(f"{several:,} {occur} with two answers or more. Keep one answer of each.")


def _warn_of_more_solutions(
    train: SolvedPuzzles,
    test: SolvedPuzzles,
    is_ambiguous: Callable[[SolvedPuzzles], NDArray[np.bool_]],
) -> None:
    parts = []
    for name, puzzles in (("training", train), ("test", test)):
        rows = np.linspace(0, len(puzzles) - 1, min(len(puzzles), MAX_SOLVED)).astype(np.int64)
        count = int(is_ambiguous(puzzles.take(rows)).sum())
        checked = " that were checked" if len(rows) < len(puzzles) else ""
        if count:
            parts.append(f"{count:,} of {len(rows):,} {name} puzzles{checked}")
    if parts:
        _warn(
            f"{' and '.join(parts)} have more than one solution. Only the answer in the file "
            "counts as right."
        )


def _warn(message: str) -> None:
    warnings.warn(message, TrmWarning, stacklevel=2)


def _as_bytes(boards: NDArray[np.uint8]) -> NDArray[np.bytes_]:
    """Boards (num_puzzles, num_cells) as byte strings (num_puzzles,); no token is 0."""
    rows = np.ascontiguousarray(boards)
    return rows.view(f"S{rows.shape[1]}").reshape(len(rows))


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
    counts = Counter(split.info["source"].tolist())
    named = sorted(dict(counts.most_common(MAX_SOURCES)))
    parts = [f"{name.decode()} {counts[name]}" for name in named]
    others = len(counts) - len(named)
    return {"sources": ", ".join(parts) + (f" and {others:,} others" if others else "")}
