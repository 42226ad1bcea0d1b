"""Augmentations move cells and rename tokens, and can be undone."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import Augmentation, BatchTransforms, CellAugmentation, draw_copies

VOCAB_SIZE = 7


def rows_of(symmetry: np.ndarray, permutation: np.ndarray) -> BatchTransforms:
    """How rows of single examples are augmented."""
    places = np.zeros(len(symmetry), int)
    return BatchTransforms(symmetry, permutation, np.arange(len(symmetry)), places, places + 1)


def of_orders(orders: np.ndarray, vocab_size: int = VOCAB_SIZE) -> CellAugmentation:
    """An augmentation whose symmetries are these orders of the cells."""
    return CellAugmentation(
        lambda numbers: orders[numbers],
        num_symmetries=len(orders),
        vocab_size=vocab_size,
        first_free=2,
    )


@st.composite
def augmented(draw: st.DrawFn) -> tuple[CellAugmentation, np.ndarray, BatchTransforms]:
    """An augmentation with three random symmetries, tokens, and how each row is changed."""
    seq_len, batch = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    orders = np.array([np.arange(seq_len), rng.permutation(seq_len), rng.permutation(seq_len)])
    tokens = rng.integers(0, VOCAB_SIZE, (batch, seq_len), dtype=np.uint8)
    permutation = np.array([rng.permutation(VOCAB_SIZE) for _ in range(batch)], np.uint8)
    return of_orders(orders), tokens, rows_of(rng.integers(0, 3, batch), permutation)


@given(augmented())
@settings(deadline=None, derandomize=True)
def test_undo_is_the_inverse_of_apply(
    case: tuple[CellAugmentation, np.ndarray, BatchTransforms],
) -> None:
    augmentation, tokens, rows = case
    there, labels = augmentation.apply(tokens, tokens[:, ::-1], rows)
    assert there.dtype == labels.dtype == tokens.dtype
    assert (augmentation.undo(there, rows) == tokens).all()
    assert (augmentation.undo(labels, rows) == tokens[:, ::-1]).all()
    back = augmentation.undo(tokens, rows)
    assert (augmentation.apply(back, back, rows)[0] == tokens).all()


@given(augmented())
def test_numbers_of_cells_are_moved_back(
    case: tuple[CellAugmentation, np.ndarray, BatchTransforms],
) -> None:
    augmentation, tokens, transforms = case
    moved, _ = augmentation.apply(tokens, tokens, transforms)
    values = moved.astype(np.float32) / 2
    renamed = augmentation.undo_moves(values, transforms)
    inverse = np.argsort(transforms.permutation, axis=1)
    assert (np.take_along_axis(inverse, (2 * renamed).astype(int), axis=1) == tokens).all()


def test_an_augmentation_may_not_know_where_cells_came_from() -> None:
    class Unknown(Augmentation):
        def apply(self, inputs: Any, labels: Any, transforms: BatchTransforms) -> Any:
            return inputs, labels

        def undo(self, tokens: Any, transforms: BatchTransforms) -> Any:
            return tokens

        def draw(self, count: int, rng: np.random.Generator) -> Any:
            raise NotImplementedError

    transforms = rows_of(np.zeros(1, int), np.arange(VOCAB_SIZE)[None])
    assert np.isnan(Unknown().undo_moves(np.ones((1, 3), np.float32), transforms)).all()


def test_symmetry_0_with_no_permutation_changes_nothing(augmentation: CellAugmentation) -> None:
    tokens = np.arange(12, dtype=np.uint8).reshape(2, 6) % 5
    unchanged = rows_of(np.zeros(2, int), np.tile(np.arange(5, dtype=np.uint8), (2, 1)))
    assert (augmentation.apply(tokens, tokens, unchanged)[0] == tokens).all()


def test_each_row_is_changed_in_its_own_way(augmentation: CellAugmentation) -> None:
    tokens = np.tile(np.array([0, 1, 2, 3, 4, 4], np.uint8), (2, 1))
    permutation = np.array([[0, 1, 2, 3, 4], [0, 1, 3, 4, 2]], np.uint8)
    changed, _ = augmentation.apply(tokens, tokens, rows_of(np.array([1, 0]), permutation))
    assert changed.tolist() == [[1, 2, 3, 4, 4, 0], [0, 1, 3, 4, 2, 2]]


def test_every_symmetry_and_renaming_is_drawn_and_nothing_else() -> None:
    symmetry, permutation = of_orders(np.zeros((3, 1), int), 5).draw(500, np.random.default_rng(0))
    assert set(symmetry.tolist()) == {0, 1, 2}
    assert len(np.unique(permutation, axis=0)) == 6
    assert (np.sort(permutation, axis=1) == np.arange(5)).all()
    assert (permutation[:, :2] == [0, 1]).all()


def test_the_first_puzzle_of_each_group_is_the_original(augmentation: CellAugmentation) -> None:
    symmetry, permutation = draw_copies(augmentation, 3, 4, np.random.default_rng(0))
    assert (symmetry.shape, permutation.shape) == ((15,), (15, 5))
    assert not symmetry[[0, 5, 10]].any()
    assert (permutation[[0, 5, 10]] == np.arange(5)).all()
    assert (symmetry != 0).sum() > 6
