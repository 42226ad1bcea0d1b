"""Building a Sudoku dataset from the Hub, from CSV files, or from generated puzzles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm import data
from trm.data import DatasetMeta
from trm.errors import InputError
from trm.tasks.build_size import check_build_size
from trm.tasks.data_options import MAX_COPIES
from trm.tasks.solved_puzzles import SolvedPuzzleOptions, SolvedPuzzles, train_and_test_puzzles
from trm.tasks.square_boards import board_meta, common_size
from trm.tasks.sudoku import symmetry
from trm.tasks.sudoku.csv_source import HUB_REPOSITORY, read_csv
from trm.tasks.sudoku.geometry import BLANK, BOX_SHAPES, Geometry
from trm.tasks.sudoku.notation import vocabulary
from trm.tasks.sudoku.symmetry import FIRST_DIGIT


class SudokuOptions(SolvedPuzzleOptions):
    """The options of ``trm build-data sudoku``."""

    source: str = Field(
        "hub",
        description="hub (sapientinc/sudoku-extreme), generate, a folder with train.csv and "
        "test.csv, or one CSV file, which is divided.",
    )
    num_aug: int = Field(
        1000, ge=0, le=MAX_COPIES, description="Augmented copies of each training puzzle."
    )
    min_rating: int = Field(
        0, ge=0, le=10**9, description="Leave out puzzles that need fewer guesses."
    )
    size: int | None = Field(
        None,
        ge=4,
        le=9,
        description="Board size: 4, 6 (boxes of 2 rows and 3 columns) or 9; unset: the source's, "
        "or 9.",
    )
    hub_size = 9


def build(out: Path, options: SudokuOptions, rng: np.random.Generator) -> DatasetMeta:
    """Build the dataset in ``out``; see :meth:`trm.tasks.base.Task.build_data`."""
    # Of each copy, a number for the symmetry and the new token of each token. Drawing needs these
    # twice.
    copies = options.num_train * (1 + options.num_aug)
    num_tokens = FIRST_DIGIT + (options.size or max(BOX_SHAPES))
    check_build_size(
        out,
        memory=copies * (4 + 2 * num_tokens),
        disk=copies * (4 + num_tokens),
        advice="Lower --num-aug or --num-train.",
    )
    train, test = train_and_test_puzzles(
        options,
        rng,
        repository=HUB_REPOSITORY,
        read=lambda file: _read_rated(file, options.min_rating),
        is_copy=_is_copy,
        generate=lambda count: _generate(count, options, rng),
        is_ambiguous=_is_ambiguous,
    )
    geometry = Geometry.of(common_size(train, test, options.size))
    meta = board_meta("sudoku", options, vocabulary(geometry), geometry.size)
    augmentation = symmetry.augmentation(geometry)
    transforms = data.draw_copies(augmentation, len(train), options.num_aug, rng)
    augmented = replace(
        train.to_split(1 + options.num_aug),
        symmetry=transforms.symmetry,
        permutation=transforms.permutation,
    )
    return data.write(out, meta, {"train": augmented, "test": test.to_split()})


def _read_rated(file: Path, min_rating: int) -> SolvedPuzzles:
    puzzles = read_csv(file)
    ratings = puzzles.info["rating"]
    if not (ratings >= min_rating).any():
        raise InputError(
            f"{file} has no puzzle of rating {min_rating} or more; its highest is "
            f"{ratings.max()}. Lower --min-rating."
        )
    return puzzles.take(ratings >= min_rating)


def _is_copy(train: SolvedPuzzles, others: SolvedPuzzles) -> NDArray[np.bool_]:
    from trm.tasks.sudoku.generate import invariant

    geometry = Geometry.from_num_cells(train.inputs.shape[1])
    known, hashes = (
        invariant(puzzles.inputs - np.uint8(BLANK), geometry) for puzzles in (train, others)
    )
    return np.isin(hashes, known)


def _is_ambiguous(puzzles: SolvedPuzzles) -> NDArray[np.bool_]:
    from trm.tasks.sudoku.solver import has_more_solutions

    geometry = Geometry.from_num_cells(puzzles.inputs.shape[1])
    return has_more_solutions(puzzles.inputs - np.uint8(BLANK), geometry)


def _generate(count: int, options: SudokuOptions, rng: np.random.Generator) -> SolvedPuzzles:
    """Generate puzzles, no two of them symmetric copies of each other."""
    from trm.tasks.sudoku.generate import generate

    geometry = Geometry.of(9 if options.size is None else options.size)
    generated = generate(geometry, count, rng, min_rating=options.min_rating)
    info = {"source": np.full(count, b"generated"), "rating": generated.ratings}
    boards, solutions = generated.boards + np.uint8(BLANK), generated.solutions + np.uint8(BLANK)
    # Shuffled, because rare kinds are found late.
    return SolvedPuzzles(boards, solutions, info).take(rng.permutation(count))
