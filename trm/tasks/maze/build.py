"""Building a maze dataset from the Hub, from CSV files, or from generated mazes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm import data
from trm.data import DatasetMeta
from trm.errors import InputError
from trm.tasks.maze.csv_source import HUB_REPOSITORY, read_csv
from trm.tasks.maze.geometry import NUM_SYMMETRIES, VOCABULARY
from trm.tasks.maze.solver import path_cells, solve
from trm.tasks.maze.symmetry import all_copies
from trm.tasks.solved_puzzles import SolvedPuzzleOptions, SolvedPuzzles, train_and_test_puzzles
from trm.tasks.square_boards import board_meta, common_size


class MazeOptions(SolvedPuzzleOptions):
    """The options of ``trm build-data maze``."""

    source: str = Field(
        "hub",
        description="hub (sapientinc/maze-30x30-hard-1k), generate, a folder with train.csv and "
        "test.csv, or one CSV file, which is divided.",
    )
    size: int | None = Field(
        None, ge=2, le=256, description="Cells on a side; unset: the source's, or 30."
    )
    hub_size = 30
    min_path: int | None = Field(
        None,
        ge=2,
        le=1 << 16,
        description="Minimum cells of the shortest path, S and G included; unset: all mazes of a "
        "file, 110 * (size / 30) ** 1.3 if generated.",
    )
    aug: bool = Field(
        False,
        description="Add the seven other symmetries of each training maze. Each label is computed "
        "by the tie-break rule.",
    )


def build(out: Path, options: MazeOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the dataset in ``out``; see :meth:`trm.tasks.base.Task.build_data`."""
    train, test = train_and_test_puzzles(
        options,
        rng,
        repository=HUB_REPOSITORY,
        read=lambda file: _read_long(file, options.min_path or 0),
        is_copy=_is_copy,
        generate=lambda count: _generate(count, options, rng),
        # Most mazes have several shortest paths; the labels follow a rule.
        is_ambiguous=lambda mazes: np.zeros(len(mazes), bool),
    )
    size = common_size(train, test, options.size)
    meta = board_meta("maze", options, VOCABULARY, size)
    training = train.to_split(NUM_SYMMETRIES if options.aug else 1)
    if options.aug:
        symmetry, permutation = all_copies(len(train))
        training = replace(training, symmetry=symmetry, permutation=permutation)
    return data.write(out, meta, {"train": training, "test": test.to_split()})


def _read_long(file: Path, min_path: int) -> SolvedPuzzles:
    mazes = read_csv(file)
    lengths = path_cells(mazes.inputs)
    if not (lengths >= min_path).any():
        raise InputError(
            f"{file} has no maze with a path of {min_path} cells or more; its longest "
            f"has {lengths.max()}. Lower --min-path."
        )
    return mazes.take(lengths >= min_path)


def _is_copy(train: SolvedPuzzles, others: SolvedPuzzles) -> NDArray[np.bool_]:
    from trm.tasks.maze.generate import canonical

    known = {canonical(maze) for maze in train.inputs}
    return np.array([canonical(maze) in known for maze in others.inputs], bool)


def _generate(count: int, options: MazeOptions, rng: np.random.Generator) -> SolvedPuzzles:
    """Generate mazes, no two of them symmetric copies of each other."""
    from trm.tasks.maze.generate import default_min_path, generate

    size = 30 if options.size is None else options.size
    min_path = default_min_path(size) if options.min_path is None else options.min_path
    mazes = generate(size, count, min_path, rng)
    return SolvedPuzzles(mazes, solve(mazes), {"source": np.full(count, b"generated")})
