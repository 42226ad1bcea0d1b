"""The numbered symmetries of a Sudoku are all of them, each once, and keep Sudokus valid."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import BatchTransforms, Transforms, draw_copies
from trm.tasks.sudoku.geometry import Geometry, is_valid_solution
from trm.tasks.sudoku.symmetry import augmentation, num_symmetries, symmetry_cells

SIZES = [4, 6, 9]
Solved = Callable[[int], np.ndarray]


def draw(geometry: Geometry, groups: int, copies: int, rng: np.random.Generator) -> Transforms:
    return draw_copies(augmentation(geometry), groups, copies, rng)


@pytest.mark.parametrize(("size", "number"), [(4, 128), (6, 3456), (9, 3359232)])
def test_there_are_as_many_symmetries_as_known(size: int, number: int) -> None:
    assert num_symmetries(Geometry.of(size)) == number


@pytest.mark.parametrize("size", SIZES)
def test_number_0_is_the_identity(size: int) -> None:
    cells = symmetry_cells(Geometry.of(size), np.array([0]))
    assert cells.tolist() == [list(range(size * size))]


@pytest.mark.parametrize("size", [4, 6])
def test_no_two_symmetries_are_equal_and_each_keeps_the_units(size: int, solved: Solved) -> None:
    geometry = Geometry.of(size)
    cells = symmetry_cells(geometry, np.arange(num_symmetries(geometry)))
    assert len(np.unique(cells, axis=0)) == len(cells)
    assert (np.sort(cells, axis=1) == np.arange(size * size)).all()
    assert is_valid_solution(solved(size)[cells]).all()


def test_the_symmetries_of_4x4_are_a_group() -> None:
    geometry = Geometry.of(4)
    cells = symmetry_cells(geometry, np.arange(num_symmetries(geometry)))
    products = cells[:, cells].reshape(-1, 16)
    assert {tuple(row) for row in products.tolist()} == {tuple(row) for row in cells.tolist()}


@pytest.mark.parametrize("size", SIZES)
def test_transposition_is_a_symmetry_of_square_boxes_only(size: int) -> None:
    geometry = Geometry.of(size)
    columns = np.arange(size * size).reshape(size, size).T
    half = symmetry_cells(geometry, np.array([num_symmetries(geometry) // 2]))[0]
    assert (half == columns.reshape(-1)).all() == (size != 6)


@given(size=st.sampled_from(SIZES), seed=st.integers(0, 2**32))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_an_augmented_sudoku_is_valid_and_can_be_undone(
    solved: Solved, size: int, seed: int
) -> None:
    geometry = Geometry.of(size)
    symmetry, permutation = draw(geometry, 2, 20, np.random.default_rng(seed))
    tokens = np.tile(solved(size) + np.uint8(1), (len(symmetry), 1))
    augment = augmentation(geometry)
    places = np.zeros(len(symmetry), int)
    rows = BatchTransforms(symmetry, permutation, np.arange(len(symmetry)), places, places + 1)
    there, labels = augment.apply(tokens, tokens, rows)
    assert (there == labels).all()
    assert is_valid_solution((there - 1).astype(np.uint8)).all()
    assert (augment.undo(there, rows) == tokens).all()


@pytest.mark.parametrize("size", SIZES)
def test_the_first_puzzle_of_each_group_is_the_original(size: int) -> None:
    geometry = Geometry.of(size)
    symmetry, permutation = draw(geometry, 3, 4, np.random.default_rng(0))
    assert symmetry.shape == (15,)
    assert permutation.shape == (15, size + 2)
    assert symmetry[[0, 5, 10]].tolist() == [0, 0, 0]
    assert (permutation[[0, 5, 10]] == np.arange(size + 2)).all()
    assert (symmetry != 0).sum() > 6


@pytest.mark.parametrize("size", SIZES)
def test_copies_rename_digits_and_nothing_else(size: int) -> None:
    geometry = Geometry.of(size)
    symmetry, permutation = draw(geometry, 20, 10, np.random.default_rng(0))
    assert (permutation[:, :2] == [0, 1]).all()
    assert (np.sort(permutation, axis=1) == np.arange(size + 2)).all()
    assert (symmetry.min(), symmetry.max() < num_symmetries(geometry)) == (0, True)
    renamed = (permutation[:, 2:] != np.arange(2, size + 2)).any(axis=1)
    assert renamed.sum() > 150


def test_every_symmetry_and_renaming_of_4x4_is_drawn() -> None:
    geometry = Geometry.of(4)
    symmetry, permutation = draw(geometry, 1, 4000, np.random.default_rng(0))
    assert len(set(symmetry.tolist())) == 128
    assert len(np.unique(permutation, axis=0)) == 24


def test_without_copies_nothing_is_drawn() -> None:
    symmetry, permutation = draw(Geometry.of(4), 3, 0, np.random.default_rng(0))
    assert symmetry.tolist() == [0, 0, 0]
    assert (permutation == np.arange(6)).all()
