"""Symmetries, colours and translations of encoded grids, and back."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trm.data import BatchTransforms, Split
from trm.errors import DataError
from trm.tasks.arc.augmentation import ArcAugmentation, grid_size_at
from trm.tasks.arc.grids import decode, encode, encode_all, sizes
from trm.tasks.arc.symmetry import INVERSE, transform_grid

#: As published, ``dataset/common.py``.
PUBLISHED: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda grid: grid,
    lambda grid: np.rot90(grid, k=1),
    lambda grid: np.rot90(grid, k=2),
    lambda grid: np.rot90(grid, k=3),
    np.fliplr,
    np.flipud,
    np.transpose,
    lambda grid: np.fliplr(np.rot90(grid, k=1)),
]
SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30))
GRIDS = arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 9))


def rows_of(num: int, drawn: tuple[Any, Any], examples_each: int = 1) -> BatchTransforms:
    puzzles, places = np.divmod(np.arange(num), examples_each)
    return BatchTransforms(
        *drawn, puzzles=puzzles, example_index=places, num_examples=np.full(num, examples_each)
    )


def unchanged(num: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(num, np.int32), np.tile(np.arange(12, dtype=np.uint8), (num, 1))


def offsets(tokens: np.ndarray) -> np.ndarray:
    """The first row and column (batch, 2) of tokens (batch, 900) that hold something."""
    used = tokens.reshape(-1, 30, 30) > 0
    return np.stack([used.any(axis=axis).argmax(axis=1) for axis in (2, 1)], axis=1)


@pytest.fixture(scope="module")
def examples() -> tuple[np.ndarray, np.ndarray]:
    """Five hundred inputs and labels of random sizes."""
    rng = np.random.default_rng(0)
    grids = [rng.integers(0, 10, rng.integers(1, 31, 2), dtype=np.uint8) for _ in range(1000)]
    tokens = encode_all(grids)
    return tokens[:500], tokens[500:]


@pytest.mark.parametrize("symmetry", range(8))
def test_symmetries_are_numbered_as_published(symmetry: int) -> None:
    grid = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert transform_grid(grid, symmetry).tolist() == PUBLISHED[symmetry](grid).tolist()
    assert (
        transform_grid(transform_grid(grid, symmetry), INVERSE[symmetry]).tolist() == grid.tolist()
    )


@pytest.mark.parametrize("symmetry", range(8))
def test_a_copy_is_turned_and_has_other_colours(symmetry: int) -> None:
    grids = [np.arange(6, dtype=np.uint8).reshape(2, 3), np.arange(10, dtype=np.uint8)[:, None]]
    new_color = np.array([0, 3, 1, 2, 5, 4, 7, 8, 9, 6], np.uint8)
    permutation = np.concatenate(([0, 1], new_color + 2)).astype(np.uint8)[None]
    rows = rows_of(1, (np.array([symmetry]), permutation))
    given_tokens, answer_tokens = (encode(grid)[None] for grid in grids)
    found = ArcAugmentation(0, translate=False).apply(given_tokens, answer_tokens, rows)
    for tokens, grid in zip(found, grids, strict=True):
        expected = encode(PUBLISHED[symmetry](new_color[grid]))
        assert (tokens[0] == expected).all()


@given(GRIDS, GRIDS, st.integers(0, 7), st.permutations(range(1, 10)), st.booleans(), st.data())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_undo_is_the_inverse_of_apply(
    first: np.ndarray, second: np.ndarray, symmetry: int, colors: list[int], translate: bool,
    data: st.DataObject,
) -> None:  # fmt: skip
    permutation = np.array([0, 1, 2, *(color + 2 for color in colors)], np.uint8)
    count = data.draw(st.integers(1, 5))
    place = data.draw(st.integers(0, count - 1))
    rows = BatchTransforms(
        np.array([symmetry]), permutation[None], np.array([data.draw(st.integers(0, 10**6))]),
        np.array([place]), np.array([count]),
    )  # fmt: skip
    augmentation = ArcAugmentation(data.draw(st.integers(0, 2**70)), translate)
    tokens = encode_all([first, second])
    inputs, labels = augmentation.apply(tokens[:1], tokens[1:], rows)
    assert (augmentation.undo(inputs, rows) == tokens[0]).all()
    assert (augmentation.undo(labels, rows) == tokens[1]).all()
    moved = offsets(np.concatenate((inputs, labels)))
    assert (moved[0] == moved[1]).all()
    shapes = [transform_grid(grid, symmetry).shape for grid in (first, second)]
    assert (moved[0] + np.max(shapes, axis=0) <= 30).all()


def test_nothing_is_done_to_an_original_that_stays(
    examples: tuple[np.ndarray, np.ndarray],
) -> None:
    garbage = np.random.default_rng(1).integers(0, 12, (500, 900), dtype=np.uint8)
    augmentation, rows = ArcAugmentation(0, translate=False), rows_of(500, unchanged(500))
    same, also = augmentation.apply(examples[0], garbage, rows)
    assert (same == examples[0]).all()
    assert (also == garbage).all()
    assert (augmentation.undo(garbage, rows) == garbage).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_tokens_keep_their_type(examples: tuple[np.ndarray, np.ndarray], dtype: type) -> None:
    augmentation = ArcAugmentation(0, translate=True)
    rows = rows_of(500, augmentation.draw(500, np.random.default_rng(0)))
    inputs, labels = augmentation.apply(*(tokens.astype(dtype) for tokens in examples), rows)
    assert inputs.dtype == labels.dtype == augmentation.undo(inputs, rows).dtype == dtype


def test_one_example_of_each_puzzle_stays_at_the_top_left() -> None:
    small = encode_all([np.ones((1, 1), np.uint8)] * 600)
    inputs, labels = ArcAugmentation(5, True).apply(small, small, rows_of(600, unchanged(600), 3))
    stays = (offsets(inputs) == 0).all(axis=1).reshape(200, 3)
    assert (stays.sum(axis=1) >= 1).all()
    assert (stays.sum(axis=1) == 1).mean() > 0.98  # one in 900 is moved by nothing
    assert all(50 < count < 90 for count in stays.sum(axis=0))
    assert (inputs == labels).all()


def test_a_puzzle_of_one_example_is_never_moved(examples: tuple[np.ndarray, np.ndarray]) -> None:
    inputs, labels = ArcAugmentation(5, True).apply(*examples, rows_of(500, unchanged(500)))
    assert (inputs == examples[0]).all()
    assert (labels == examples[1]).all()


def test_translations_are_uniform_over_all_that_fit() -> None:
    given_grid, answer = np.ones((20, 3), np.uint8), np.ones((26, 28), np.uint8)
    num = 30_000
    tokens = [np.tile(encode(grid), (num, 1)) for grid in (given_grid, answer)]
    inputs, _ = ArcAugmentation(1, True).apply(*tokens, rows_of(num, unchanged(num), 300))
    counts = np.zeros((5, 3), int)
    np.add.at(counts, tuple(offsets(inputs).T), 1)
    assert counts.sum() == num
    assert counts[0, 0] > counts[1:].max()  # those that are not moved
    assert np.ptp(np.delete(counts.reshape(-1), 0)) < 350  # of 2000 each, six deviations


def test_translations_depend_on_seed_puzzle_place_and_copy_alone(
    examples: tuple[np.ndarray, np.ndarray],
) -> None:
    augmentation = ArcAugmentation(1, True)
    rows = rows_of(500, augmentation.draw(500, np.random.default_rng(0)), 5)
    whole, _ = augmentation.apply(*examples, rows)
    some = np.array([77, 3, 4])
    few = BatchTransforms(
        *(getattr(rows, name)[some] for name in BatchTransforms.__dataclass_fields__)
    )
    part, _ = ArcAugmentation(1, True).apply(examples[0][some], examples[1][some], few)
    assert (part == whole[some]).all()
    other_seed, _ = ArcAugmentation(2, True).apply(*examples, rows)
    later = BatchTransforms(
        rows.symmetry, rows.permutation, rows.puzzles + 1, rows.example_index, rows.num_examples
    )
    other_puzzle, _ = augmentation.apply(*examples, later)
    plain = rows_of(500, unchanged(500), 5)
    swapped = unchanged(500)[1][:, [0, 1, 2, 4, 3, *range(5, 12)]]
    renamed = BatchTransforms(
        plain.symmetry, swapped, plain.puzzles, plain.example_index, plain.num_examples
    )
    for one, other in (
        (whole, other_seed),
        (whole, other_puzzle),
        (augmentation.apply(*examples, plain)[0], augmentation.apply(*examples, renamed)[0]),
    ):
        assert 0.3 < (offsets(one) != offsets(other)).any(axis=1).mean() < 1


def test_the_translations_are_the_recorded_ones() -> None:
    small = encode_all([np.ones((1, 1), np.uint8)] * 8)
    inputs, _ = ArcAugmentation(0, True).apply(small, small, rows_of(8, unchanged(8), 4))
    first = [[24, 20], [3, 13], [20, 10], [0, 0]]
    assert offsets(inputs).tolist() == [*first, [0, 0], [9, 14], [1, 4], [7, 10]]


def test_symmetries_and_colours_are_drawn_and_black_stays() -> None:
    symmetry, permutation = ArcAugmentation(0, True).draw(20_000, np.random.default_rng(0))
    assert symmetry.dtype == np.int32
    assert permutation.dtype == np.uint8
    assert np.bincount(symmetry).min() > 2300
    assert (permutation[:, :3] == [0, 1, 2]).all()
    assert (np.sort(permutation, axis=1) == np.arange(12)).all()
    counts = [np.bincount(permutation[:, token], minlength=12)[3:] for token in range(3, 12)]
    assert np.min(counts) > 2000


@given(arrays.arrays(np.uint8, 900, elements=st.integers(0, 13)))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_the_largest_rectangle_of_colours_is_found(tokens: np.ndarray) -> None:
    board = tokens.reshape(30, 30).copy()
    board[:4, :4] = np.clip(board[:4, :4], 2, 11)
    for down, right in ((0, 0), (1, 2), (29, 29)):
        colors = (board >= 2) & (board < 12)
        part = colors[down:, right:]
        areas = {
            (rows, columns): rows * columns
            for rows in range(1, 31 - down)
            for columns in range(1, 31 - right)
            if part[:rows, :columns].all()
        }
        best = max(areas.values(), default=0)
        found = grid_size_at(board.reshape(-1), down, right)
        assert found == min((shape for shape in areas if areas[shape] == best), default=(0, 0))


def test_answers_that_are_no_grids_are_undone_to_something() -> None:
    answers = np.random.default_rng(0).integers(0, 12, (300, 900), dtype=np.int32)
    answers[0] = 0
    augmentation = ArcAugmentation(0, translate=True)
    rows = rows_of(300, augmentation.draw(300, np.random.default_rng(0)), 3)
    undone = augmentation.undo(answers, rows)
    assert undone.min() >= 0
    assert undone.max() < 12
    assert all((encode(decode(row)) == row).all() or not sizes(row[None])[0] for row in undone)


@pytest.mark.parametrize(
    ("symmetry", "num_tokens", "length"), [(8, 12, 900), (-1, 12, 900), (0, 11, 900), (0, 12, 899)]
)
def test_what_the_compiled_functions_cannot_take_is_refused(
    symmetry: int, num_tokens: int, length: int
) -> None:
    permutation = np.arange(num_tokens, dtype=np.uint8)[None]
    rows = rows_of(1, (np.array([symmetry]), permutation))
    tokens = np.zeros((1, length), np.uint8)
    augmentation = ArcAugmentation(0, translate=False)
    with pytest.raises(DataError, match=r"^ARC puzzles need 900 tokens, a symmetry below 8 and a"):
        augmentation.apply(tokens, tokens, rows)
    with pytest.raises(DataError, match=r"^ARC puzzles need 900 tokens"):
        augmentation.undo(tokens, rows)


def test_batches_are_gathered_augmented(examples: tuple[np.ndarray, np.ndarray]) -> None:
    augmentation = ArcAugmentation(0, translate=True)
    symmetry, permutation = augmentation.draw(300, np.random.default_rng(0))
    offsets_of_examples, offsets_of_puzzles = np.arange(0, 501, 5), np.arange(0, 301, 3)
    split = Split(
        *examples, offsets_of_examples, offsets_of_puzzles,
        symmetry=symmetry, permutation=permutation, augmentation=augmentation,
    )  # fmt: skip
    batch = split.make_batch(np.arange(5, 10), np.full(5, 4))
    assert batch.inputs.dtype == np.int32
    assert batch.transforms is not None
    assert (augmentation.undo(batch.inputs, batch.transforms) == examples[0][5:10]).all()
    answers = np.where(batch.labels < 0, 0, batch.labels)
    assert (augmentation.undo(answers, batch.transforms) == examples[1][5:10]).all()
