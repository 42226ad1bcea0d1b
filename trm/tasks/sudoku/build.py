"""Building a Sudoku data set from the Hub, from CSV files, or from nothing."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from pydantic import Field

from trm import data
from trm.data import DatasetMeta, Split
from trm.errors import InputError
from trm.tasks.base import DataOptions
from trm.tasks.sudoku import symmetry
from trm.tasks.sudoku.csv_source import PuzzleTable, download, read_csv
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
    geometry = Geometry.from_num_cells(train.boards.shape[1])
    if options.size not in (None, geometry.size):
        raise InputError(
            f"--size {options.size}: the source has boards of size {geometry.size}. "
            "Leave --size out, or name another source."
        )
    if test.boards.shape[1] != geometry.num_cells:
        raise InputError(
            f"training boards have {geometry.num_cells} cells, test boards "
            f"{test.boards.shape[1]}. Give files of one size."
        )
    return geometry


def _tables(options: SudokuOptions, rng: np.random.Generator) -> tuple[PuzzleTable, PuzzleTable]:
    """The training and the test puzzles, chosen but not augmented."""
    if options.source == "generate":
        return _generated(options, rng)
    if options.source == "hub":
        files = (download("train"), download("test"))
    else:
        path = Path(options.source)
        if path.is_file():
            return _divided(read_csv(path), options, rng)
        if not path.is_dir():
            raise InputError(
                f"--source {options.source}: no such file or folder, and not one of hub, generate."
            )
        files = (path / "train.csv", path / "test.csv")
    train, test = (_rated(read_csv(file), options, file) for file in files)
    test_rows = np.arange(len(test))[: options.num_test]
    return _chosen(train, options.num_train, rng, files[0])[0], test.take(test_rows)


def _rated(table: PuzzleTable, options: SudokuOptions, file: Path) -> PuzzleTable:
    kept = table.take(table.ratings >= options.min_rating)
    if not len(kept):
        raise InputError(
            f"{file} has no puzzle of rating {options.min_rating} or more; its highest is "
            f"{table.ratings.max()}. Lower --min-rating."
        )
    return kept


def _chosen(
    table: PuzzleTable, count: int, rng: np.random.Generator, file: Path
) -> tuple[PuzzleTable, PuzzleTable]:
    """``count`` random rows, and the rest; all rows in their order if ``count`` is all of them."""
    if count > len(table):
        raise InputError(
            f"{file} has only {len(table)} such puzzles, not {count}. Lower --num-train."
        )
    rows = np.zeros(len(table), bool)
    rows[rng.choice(len(table), count, replace=False)] = True
    return table.take(rows), table.take(~rows)


def _divided(
    table: PuzzleTable, options: SudokuOptions, rng: np.random.Generator
) -> tuple[PuzzleTable, PuzzleTable]:
    """One file's puzzles: some to train on, the others, if no copies of those, to test on."""
    from trm.tasks.sudoku.generate import invariant

    file = Path(options.source)
    train, rest = _chosen(_rated(table, options, file), options.num_train, rng, file)
    geometry = Geometry.from_num_cells(table.boards.shape[1])
    copies = np.isin(invariant(rest.boards, geometry), invariant(train.boards, geometry))
    test = rest.take(~copies)
    if not len(test):
        raise InputError(f"{file}: no puzzle is left to test on. Lower --num-train.")
    return train, test.take(np.arange(len(test))[: options.num_test])


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
