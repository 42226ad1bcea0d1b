"""Answers to copies as grids of the task itself, against slow and plain definitions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import BatchTransforms
from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.grids import encode
from trm.tasks.arc.votes import grid_from_key, grid_keys

SAME = np.arange(12, dtype=np.uint8)
#: The published numbering (``dataset/common.py`` there).
SYMMETRIES = [
    lambda grid: grid,
    lambda grid: np.rot90(grid, 1),
    lambda grid: np.rot90(grid, 2),
    lambda grid: np.rot90(grid, 3),
    np.fliplr,
    np.flipud,
    np.transpose,
    lambda grid: np.fliplr(np.rot90(grid, 1)),
]


def keys(tokens: np.ndarray, symmetry: np.ndarray, permutation: np.ndarray) -> list[bytes]:
    """The keys of the grids that answers (batch, 900) to copies stand for."""
    zeros = np.zeros(len(tokens), np.int64)
    transforms = BatchTransforms(symmetry, permutation, zeros, zeros, zeros + 1)
    return grid_keys(ArcAugmentation(0, translate=False).undo(tokens, transforms))


def restored(tokens: np.ndarray, symmetry: int = 0, permutation: np.ndarray = SAME) -> list:
    """The rows of the grid that one answer (900,) stands for."""
    (key,) = keys(tokens[None], np.array([symmetry]), permutation[None])
    return grid_from_key(key)


def largest_rectangle(tokens: np.ndarray) -> list:
    """The rows of the largest rectangle of colours at the top left, tried one by one."""
    board = tokens.reshape(30, 30)
    best = board[:0, :0]
    for height in range(1, 31):
        for width in range(1, 31):
            part = board[:height, :width]
            if part.min() >= 2 and part.max() <= 11 and part.size > best.size:
                best = part
    return (best.astype(int) - 2).tolist() if best.size else []


grids = st.tuples(st.integers(1, 30), st.integers(1, 30), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, 10, drawn[:2]).astype(np.uint8)
)
permutations = st.permutations(range(2, 12)).map(lambda order: np.array([0, 1, *order], np.uint8))


@given(grid=grids, symmetry=st.integers(0, 7), permutation=permutations)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_right_answer_to_a_copy_is_the_right_answer(
    grid: np.ndarray, symmetry: int, permutation: np.ndarray
) -> None:
    copied = SYMMETRIES[symmetry]((permutation[2:] - 2)[grid])
    assert restored(encode(copied), symmetry, permutation) == grid.tolist()


@given(grid=grids, symmetry=st.integers(0, 7), permutation=permutations)
@settings(deadline=None, derandomize=True, max_examples=30)
def test_what_augmentation_does_is_undone(
    grid: np.ndarray, symmetry: int, permutation: np.ndarray
) -> None:
    tokens, zero = encode(grid)[None], np.zeros(1, np.int64)
    rows = BatchTransforms(np.array([symmetry]), permutation[None], zero, zero, zero + 1)
    (answer,), _ = ArcAugmentation(0, translate=False).apply(tokens, tokens, rows)
    assert restored(answer, symmetry, permutation) == grid.tolist()


@given(
    grid=grids,
    holes=st.lists(st.tuples(st.integers(0, 899), st.sampled_from([0, 1, 12])), max_size=6),
    symmetry=st.integers(0, 7),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_an_answer_is_read_as_its_largest_rectangle(
    grid: np.ndarray, holes: list[tuple[int, int]], symmetry: int
) -> None:
    tokens = encode(grid)
    for cell, token in holes:
        tokens[cell] = token
    back = [0, 3, 2, 1, 4, 5, 6, 7][symmetry]
    expected = np.array(largest_rectangle(tokens), int)
    turned = SYMMETRIES[back](expected) if expected.size else expected
    assert restored(tokens, symmetry) == turned.tolist()


def test_of_two_largest_rectangles_the_lower_counts() -> None:
    tokens = np.zeros((30, 30), np.uint8)
    tokens[:4, :3] = 5
    tokens[0, :6] = 6
    tokens[1, :6] = 7  # 2 rows of 6, or 4 rows of 3
    assert restored(tokens.reshape(900)) == [[4] * 6, [5] * 6]


def test_colours_beside_the_rectangle_are_left_out() -> None:
    tokens = np.zeros((30, 30), np.uint8)
    tokens[0, :3], tokens[1, 0], tokens[20] = 3, 4, 5
    assert restored(tokens.reshape(900)) == [[1, 1, 1]]


@pytest.mark.parametrize("first", [0, 1])
def test_an_answer_without_a_colour_in_the_corner_is_an_empty_grid(first: int) -> None:
    tokens = np.full(900, 5, np.uint8)
    tokens[0] = first
    for symmetry in range(8):
        assert restored(tokens, symmetry) == []


def test_grids_of_other_shapes_are_different_ones() -> None:
    flat, upright = encode(np.zeros((1, 4), np.uint8)), encode(np.zeros((2, 2), np.uint8))
    first, second, third = keys(
        np.stack([flat, upright, flat]), np.array([0, 1, 2]), np.stack([SAME] * 3)
    )
    assert first == third != second


def test_many_rows_are_restored_one_by_one() -> None:
    rng = np.random.default_rng(0)
    tokens = np.where(rng.random((40, 900)) < 0.01, 1, rng.integers(2, 12, (40, 900)))
    symmetry = rng.integers(0, 8, 40)
    permutation = np.stack([np.concatenate(([0, 1], rng.permutation(10) + 2)) for _ in range(40)])
    alone = [restored(*row) for row in zip(tokens, symmetry, permutation, strict=True)]
    assert [grid_from_key(key) for key in keys(tokens, symmetry, permutation)] == alone


def test_no_answer_is_no_grid() -> None:
    assert grid_keys(np.zeros((0, 900))) == []
