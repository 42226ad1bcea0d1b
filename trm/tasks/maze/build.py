"""Building a maze data set from the Hub, from CSV files, or from nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm import data
from trm.data import DatasetMeta, Split
from trm.errors import InputError
from trm.tasks.base import DataOptions
from trm.tasks.csv_tables import common_num_cells, divide
from trm.tasks.maze.csv_source import HUB_REPOSITORY, MazeTable, read_csv
from trm.tasks.maze.geometry import NUM_SYMMETRIES, VOCABULARY, size_of
from trm.tasks.maze.solver import path_cells, solve
from trm.tasks.maze.symmetry import all_copies


class MazeOptions(DataOptions):
    """The flags of ``trm build-data maze``."""

    source: str = Field(
        "hub",
        description="hub (sapientinc/maze-30x30-hard-1k), generate, a folder with train.csv and "
        "test.csv, or one CSV file, which is divided.",
    )
    num_train: int = Field(1000, gt=0, description="Training mazes, before augmentation.")
    num_test: int | None = Field(
        None, gt=0, description="Test mazes; unset: all there are, 1000 if generated."
    )
    size: int | None = Field(None, ge=2, description="Cells on a side; unset: the source's, or 30.")
    min_path: int | None = Field(
        None,
        ge=2,
        description="Fewest cells of a shortest path, S and G included; unset: all mazes of a "
        "file, 110 * (size / 30) ** 1.3 if generated.",
    )
    aug: bool = Field(
        False,
        description="Also the seven other symmetries of each training maze; each label is drawn "
        "anew by the tie-break rule.",
    )


def build(out: Path, options: MazeOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the data set in ``out``; see :meth:`trm.tasks.base.Task.build_data`."""
    train, test = _tables(options, rng)
    size = _common_size(train, test, options)
    meta = DatasetMeta(
        task="maze",
        source=options.source,
        seed=options.seed,
        options=options.model_dump(exclude={"source", "seed"}),
        vocabulary=VOCABULARY,
        seq_len=size * size,
        properties={"size": size},
    )
    training = _split(train)
    if options.aug:
        symmetry, permutation = all_copies(len(train))
        training = replace(
            _split(train, NUM_SYMMETRIES), symmetry=symmetry, permutation=permutation
        )
    return data.write(out, meta, {"train": training, "test": _split(test)})


def _common_size(train: MazeTable, test: MazeTable, options: MazeOptions) -> int:
    size = size_of(common_num_cells(train.inputs, test.inputs))
    if options.size not in (None, size):
        raise InputError(
            f"--size {options.size}: the source has mazes of size {size}. "
            "Leave --size out, or name another source."
        )
    return size


def _tables(options: MazeOptions, rng: np.random.Generator) -> tuple[MazeTable, MazeTable]:
    """The training and the test mazes, chosen but not augmented."""
    if options.source == "generate":
        return _generated(options, rng)
    return divide(
        options.source,
        options.num_train,
        options.num_test,
        rng,
        repository=HUB_REPOSITORY,
        read=lambda file: _long_enough(file, options),
        is_copy=_is_copy,
    )


def _long_enough(file: Path, options: MazeOptions) -> MazeTable:
    table = read_csv(file)
    lengths = path_cells(table.inputs)
    kept = table.take(lengths >= (options.min_path or 0))
    if not len(kept):
        raise InputError(
            f"{file} has no maze with a path of {options.min_path} cells or more; its longest "
            f"has {lengths.max()}. Lower --min-path."
        )
    return kept


def _is_copy(train: MazeTable, rest: MazeTable) -> NDArray[np.bool_]:
    from trm.tasks.maze.generate import canonical

    known = {canonical(maze) for maze in train.inputs}
    return np.array([canonical(maze) in known for maze in rest.inputs], bool)


def _generated(options: MazeOptions, rng: np.random.Generator) -> tuple[MazeTable, MazeTable]:
    """Mazes made here, no two of which are symmetric copies of one another."""
    from trm.tasks.maze.generate import default_min_path, generate

    size = 30 if options.size is None else options.size
    min_path = default_min_path(size) if options.min_path is None else options.min_path
    num_test = 1000 if options.num_test is None else options.num_test
    mazes = generate(size, options.num_train + num_test, min_path, rng)
    table = MazeTable(mazes, solve(mazes), np.full(len(mazes), b"generated"))
    rows = np.arange(len(table))
    return table.take(rows[: options.num_train]), table.take(rows[options.num_train :])


def _split(table: MazeTable, puzzles_each: int = 1) -> Split:
    return Split.of_single_examples(
        table.inputs, table.labels, puzzles_each=puzzles_each, info={"source": table.sources}
    )
