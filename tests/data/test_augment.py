"""Augmentations move cells and rename tokens, and can be undone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import CellAugmentation

VOCAB_SIZE = 7


@st.composite
def augmented(draw: st.DrawFn) -> tuple[CellAugmentation, np.ndarray, np.ndarray, np.ndarray]:
    """An augmentation with three random symmetries, tokens, and how each row is changed."""
    seq_len, batch = draw(st.integers(1, 9)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    orders = np.array([np.arange(seq_len), rng.permutation(seq_len), rng.permutation(seq_len)])
    tokens = rng.integers(0, VOCAB_SIZE, (batch, seq_len), dtype=np.uint8)
    permutation = np.array([rng.permutation(VOCAB_SIZE) for _ in range(batch)], np.uint8)
    symmetry = rng.integers(0, 3, batch)
    return CellAugmentation(lambda numbers: orders[numbers]), tokens, symmetry, permutation


@given(augmented())
@settings(deadline=None, derandomize=True)
def test_undo_is_the_inverse_of_apply(
    case: tuple[CellAugmentation, np.ndarray, np.ndarray, np.ndarray],
) -> None:
    augmentation, tokens, symmetry, permutation = case
    there = augmentation.apply(tokens, symmetry, permutation)
    assert there.dtype == tokens.dtype
    assert (augmentation.undo(there, symmetry, permutation) == tokens).all()
    back = augmentation.undo(tokens, symmetry, permutation)
    assert (augmentation.apply(back, symmetry, permutation) == tokens).all()


def test_symmetry_0_with_no_permutation_changes_nothing(augmentation: CellAugmentation) -> None:
    tokens = np.arange(12, dtype=np.uint8).reshape(2, 6) % 5
    unchanged = np.tile(np.arange(5, dtype=np.uint8), (2, 1))
    assert (augmentation.apply(tokens, np.zeros(2, int), unchanged) == tokens).all()


def test_each_row_is_changed_in_its_own_way(augmentation: CellAugmentation) -> None:
    tokens = np.tile(np.array([0, 1, 2, 3, 4, 4], np.uint8), (2, 1))
    permutation = np.array([[0, 1, 2, 3, 4], [0, 1, 3, 4, 2]], np.uint8)
    changed = augmentation.apply(tokens, np.array([1, 0]), permutation)
    assert changed.tolist() == [[1, 2, 3, 4, 4, 0], [0, 1, 3, 4, 2, 2]]
