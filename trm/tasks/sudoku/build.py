"""Building a Sudoku data set from the Hub, from CSV files, or from nothing."""

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
from trm.tasks.sudoku import symmetry
from trm.tasks.sudoku.csv_source import HUB_REPOSITORY, PuzzleTable, read_csv
from trm.tasks.sudoku.geometry import Geometry
from trm.tasks.sudoku.notation import vocabulary


class SudokuOptions(DataOptions):
    """The flags of ``trm build-data sudoku``."""

    source: str = Field(
        "hub",
        description="hub (sapientinc/sudoku-extreme), generate, a folder with train.csv and "
        "test.csv, or one CSV file, which is divided.",
    )
    num_train: int = Field(1000, gt=0, description="Training puzzles, before augmentation.")
    num_test: int | None = Field(
        None, gt=0, description="Test puzzles; unset: all there are, 1000 if generated."
    )
    num_aug: int = Field(1000, ge=0, description="Augmented copies of each training puzzle.")
    min_rating: int = Field(0, ge=0, description="Leave out puzzles that need fewer guesses.")
    size: int | None = Field(None, description="Board size: 4, 6 or 9; unset: the source's, or 9.")


def build(out: Path, options: SudokuOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the data set in ``out``; see :meth:`trm.tasks.base.Task.build_data`."""
    train, test = _tables(options, rng)
    geometry = _common_geometry(train, test, options)
    meta = DatasetMeta(
        task="sudoku",
        source=options.source,
        seed=options.seed,
        options=options.model_dump(exclude={"source", "seed"}),
        vocabulary=vocabulary(geometry),
        seq_len=geometry.num_cells,
        properties={"size": geometry.size},
    )
    augmentation = symmetry.augmentation(geometry)
    moved, relabelled = data.draw_copies(augmentation, len(train), options.num_aug, rng)
    augmented = _split(train, 1 + options.num_aug)
    augmented = replace(augmented, symmetry=moved, permutation=relabelled)
    return data.write(out, meta, {"train": augmented, "test": _split(test)})


def _common_geometry(train: PuzzleTable, test: PuzzleTable, options: SudokuOptions) -> Geometry:
    geometry = Geometry.from_num_cells(common_num_cells(train.boards, test.boards))
    if options.size not in (None, geometry.size):
        raise InputError(
            f"--size {options.size}: the source has boards of size {geometry.size}. "
            "Leave --size out, or name another source."
        )
    return geometry


def _tables(options: SudokuOptions, rng: np.random.Generator) -> tuple[PuzzleTable, PuzzleTable]:
    """The training and the test puzzles, chosen but not augmented."""
    if options.source == "generate":
        return _generated(options, rng)
    return divide(
        options.source,
        options.num_train,
        options.num_test,
        rng,
        repository=HUB_REPOSITORY,
        read=lambda file: _rated(file, options),
        is_copy=_is_copy,
    )


def _rated(file: Path, options: SudokuOptions) -> PuzzleTable:
    table = read_csv(file)
    kept = table.take(table.ratings >= options.min_rating)
    if not len(kept):
        raise InputError(
            f"{file} has no puzzle of rating {options.min_rating} or more; its highest is "
            f"{table.ratings.max()}. Lower --min-rating."
        )
    return kept


def _is_copy(train: PuzzleTable, rest: PuzzleTable) -> NDArray[np.bool_]:
    from trm.tasks.sudoku.generate import invariant

    geometry = Geometry.from_num_cells(train.boards.shape[1])
    return np.isin(invariant(rest.boards, geometry), invariant(train.boards, geometry))


def _generated(options: SudokuOptions, rng: np.random.Generator) -> tuple[PuzzleTable, PuzzleTable]:
    """Puzzles made here, no two of which are symmetric copies of one another."""
    from trm.tasks.sudoku.generate import generate

    num_test = 1000 if options.num_test is None else options.num_test
    found = generate(
        Geometry.of(9 if options.size is None else options.size),
        options.num_train + num_test,
        rng,
        min_rating=options.min_rating,
    )
    sources = np.full(len(found.boards), b"generated")
    table = PuzzleTable(found.boards, found.solutions, found.ratings, sources)
    shuffled = rng.permutation(len(table))  # rare kinds come late, as the others run out
    return table.take(shuffled[: options.num_train]), table.take(shuffled[options.num_train :])


def _split(table: PuzzleTable, puzzles_each: int = 1) -> Split:
    return Split.of_single_examples(
        table.boards + np.uint8(1),
        table.solutions + np.uint8(1),
        puzzles_each=puzzles_each,
        info={"source": table.sources, "rating": table.ratings},
    )
