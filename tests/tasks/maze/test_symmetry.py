"""Augmented mazes are valid mazes with the rule's label, and can be moved back."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import BatchTransforms
from trm.tasks.maze.geometry import symmetry_cells
from trm.tasks.maze.solver import is_shortest_path, solve
from trm.tasks.maze.symmetry import MazeAugmentation, all_copies

Mazes = Callable[[int], np.ndarray]


def rows_of(symmetry: np.ndarray) -> BatchTransforms:
    permutation = np.tile(np.arange(6, dtype=np.uint8), (len(symmetry), 1))
    places = np.zeros(len(symmetry), int)
    return BatchTransforms(symmetry, permutation, np.arange(len(symmetry)), places, places + 1)


@given(
    size=st.sampled_from([5, 6, 9]),
    chosen=st.lists(st.tuples(st.integers(0, 39), st.integers(0, 7)), min_size=1, max_size=8),
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_an_augmented_maze_is_valid_and_can_be_undone(
    mazes: Mazes, size: int, chosen: list[tuple[int, int]]
) -> None:
    which, symmetry = np.array(chosen).T
    inputs, rows = mazes(size)[which], rows_of(symmetry)
    augmentation = MazeAugmentation(size)
    moved, labels = augmentation.apply(inputs, solve(inputs), rows)
    assert (labels == solve(moved)).all()
    assert is_shortest_path(moved, labels).all()
    assert (augmentation.undo(moved, rows) == inputs).all()
    assert is_shortest_path(inputs, augmentation.undo(labels, rows)).all()


@given(data=st.data(), symmetry=st.integers(0, 7), size=st.sampled_from([2, 3, 7]))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_what_undo_gives_back_is_exact(data: st.DataObject, symmetry: int, size: int) -> None:
    cells = st.lists(st.integers(1, 5), min_size=size * size, max_size=size * size)
    tokens = np.array([data.draw(cells)], np.uint8)
    rows = rows_of(np.array([symmetry]))
    moved, _ = MazeAugmentation(size).apply(tokens, tokens, rows)
    assert (MazeAugmentation(size).undo(moved, rows) == tokens).all()
    assert (moved == tokens[:, symmetry_cells(size, np.array([symmetry]))[0]]).all()


def test_a_maze_that_stays_keeps_the_label_it_has(drawn: Callable[[str], np.ndarray]) -> None:
    maze, label = drawn("S../.../..G"), drawn("Soo/..o/..G")  # not the rule's
    inputs, labels = np.stack([maze, maze]), np.stack([label, label])
    moved, drawn_labels = MazeAugmentation(3).apply(inputs, labels, rows_of(np.array([0, 6])))
    assert (moved == inputs).all()  # 6 transposes, and so does nothing to this maze
    assert drawn_labels.tolist() == [label.tolist(), drawn("S../o../ooG").tolist()]
    assert (labels == label).all()


def test_a_turned_label_is_mostly_not_the_rules(
    published: dict[str, tuple[np.ndarray, np.ndarray]],
) -> None:
    inputs, labels = (tokens[:200] for tokens in published["test"])
    follows = []
    for number in range(8):
        cells = symmetry_cells(30, np.array([number]))[0]
        assert is_shortest_path(inputs[:, cells], labels[:, cells]).all()
        follows.append((solve(inputs[:, cells]) == labels[:, cells]).all(axis=1).mean())
    assert follows[0] == 1
    assert 0.8 < follows[4] < 1  # mirrored left and right, where the rule seldom has to choose
    assert max(follows[1:4] + follows[5:]) < 0.01


def test_the_copies_are_all_eight_with_the_original_first() -> None:
    symmetry, permutation = all_copies(3)
    assert symmetry.reshape(3, 8).tolist() == [list(range(8))] * 3
    assert (permutation == np.arange(6)).all()
    assert (symmetry.dtype, permutation.dtype, permutation.shape) == (np.int32, np.uint8, (24, 6))


def test_drawn_symmetries_are_of_the_eight_and_rename_nothing() -> None:
    symmetry, permutation = MazeAugmentation(4).draw(400, np.random.default_rng(0))
    assert set(symmetry.tolist()) == set(range(8))
    assert (permutation == np.arange(6)).all()


@pytest.mark.parametrize("symmetry", [[0, 0], [0, 3]])
def test_types_stay_as_they_are(mazes: Mazes, symmetry: list[int]) -> None:
    inputs = mazes(5)[:2]
    for kind in (np.uint8, np.int32):
        moved = MazeAugmentation(5).apply(
            inputs.astype(kind), inputs.astype(kind), rows_of(np.array(symmetry))
        )
        assert [tokens.dtype for tokens in moved] == [kind, kind]
