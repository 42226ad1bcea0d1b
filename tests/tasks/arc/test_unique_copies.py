"""No two copies of a task are equal, and copies are only left out if they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trm.tasks.arc.augmentation import ArcAugmentation
from trm.tasks.arc.grids import parse_task
from trm.tasks.arc.symmetry import transform_grid
from trm.tasks.arc.unique_copies import CopyHasher, draw_unique_copies
from trm.tasks.splitmix import hash_columns, mix

Pairs = list[tuple[np.ndarray, np.ndarray]]

draw = ArcAugmentation(0, translate=False).draw
IDENTITY = np.arange(12, dtype=np.uint8)
#: Small grids of few colours, so that many copies are equal.
GRIDS = arrays.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 3)), elements=st.integers(0, 2)
)
PAIRS = st.lists(st.tuples(GRIDS, GRIDS), min_size=1, max_size=3)


def copy_of(pairs: Pairs, symmetry: int, permutation: np.ndarray) -> tuple[object, ...]:
    """What tells a copy from another, by turning and renaming each grid."""
    new_color = permutation[2:] - 2

    def seen(grid: np.ndarray) -> tuple[object, ...]:
        changed = transform_grid(new_color[grid], symmetry)
        return changed.shape, changed.tobytes()

    return tuple(sorted((seen(first), seen(second)) for first, second in pairs))


@given(PAIRS, st.integers(0, 2**32))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_hashes_are_equal_where_copies_are(pairs: Pairs, seed: int) -> None:
    symmetry, permutation = draw(150, np.random.default_rng(seed))
    hashes = CopyHasher(pairs)(symmetry, permutation)
    copies = [copy_of(pairs, s, p) for s, p in zip(symmetry, permutation, strict=True)]
    found = len(set(hashes.tolist()))
    assert found == len(set(copies)) == len(set(zip(hashes.tolist(), copies, strict=True)))


@given(PAIRS, st.integers(1, 80), st.integers(0, 2**32))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_copies_differ_from_the_original_and_each_other(
    pairs: Pairs, num_copies: int, seed: int
) -> None:
    drawn = draw_unique_copies(pairs, num_copies, draw, np.random.default_rng(seed))
    assert [part.dtype for part in drawn] == [np.int32, np.uint8]
    copies = [copy_of(pairs, s, p) for s, p in zip(*drawn, strict=True)]
    assert copies[0] == copy_of(pairs, 0, IDENTITY)
    assert len(set(copies)) == len(copies) <= 1 + num_copies


def test_the_copies_are_the_first_distinct_ones_drawn() -> None:
    pairs = [(np.array([[0, 1], [2, 3]], np.uint8), np.array([[1, 2, 1]], np.uint8))]
    found = draw_unique_copies(pairs, 700, draw, np.random.default_rng(3))
    rng = np.random.default_rng(3)
    expected, known = [], {copy_of(pairs, 0, IDENTITY)}
    for _ in range(5):
        for symmetry, permutation in zip(*draw(700, rng), strict=True):
            copy = copy_of(pairs, symmetry, permutation)
            if copy not in known and len(known) <= 700:
                known.add(copy)
                expected.append((int(symmetry), permutation.tolist()))
    assert len(expected) == 700
    assert list(zip(found[0][1:].tolist(), found[1][1:].tolist(), strict=True)) == expected


def test_a_task_of_few_copies_has_all_of_them() -> None:
    black = np.zeros((2, 2), np.uint8)
    one_color = np.array([[0, 1], [1, 0]], np.uint8)
    symmetry, _ = draw_unique_copies([(black, black)], 50, draw, np.random.default_rng(0))
    assert len(symmetry) == 1
    symmetry, _ = draw_unique_copies([(black, one_color)], 50, draw, np.random.default_rng(0))
    assert len(symmetry) == 18  # nine colours, two ways round


def test_without_copies_nothing_is_drawn() -> None:
    black = np.zeros((2, 2), np.uint8)
    rng = np.random.default_rng(0)
    symmetry, permutation = draw_unique_copies([(black, black)], 0, draw, rng)
    assert (symmetry.tolist(), permutation.tolist()) == ([0], [list(range(12))])
    assert rng.bit_generator.state == np.random.default_rng(0).bit_generator.state


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([([[1]], [[2]])], [([[2]], [[1]])]),
        ([([[1, 1]], [[2]])], [([[1], [1]], [[2]])]),
        ([([[0, 0]], [[2]])], [([[0, 0, 0]], [[2]])]),
        ([([[1]], [[2]]), ([[3]], [[4]])], [([[1]], [[4]]), ([[3]], [[2]])]),
        ([([[1]], [[2]])], [([[1]], [[2]]), ([[1]], [[2]])]),
    ],
)
def test_tasks_that_are_alike_have_other_hashes(first: list, second: list) -> None:
    hashes = []
    for pairs in (first, second, first[::-1]):
        train = [{"input": given_grid, "output": answer} for given_grid, answer in pairs]
        task = parse_task("a", {"train": train, "test": train[:1]}, "a")
        grids = [(pair.input, pair.output) for pair in task.train]
        one = CopyHasher(grids)(np.zeros(1, int), np.arange(12, dtype=np.uint8)[None])
        hashes.append(int(one[0]))
    assert hashes[0] != hashes[1]
    assert hashes[0] == hashes[2]


def test_hashes_are_the_same_on_every_machine() -> None:
    # The first numbers of splitmix64 from seed 0, as in the reference implementation.
    golden = 0x9E3779B97F4A7C15
    states = np.array([0, golden, 2 * golden % 2**64], np.uint64)
    expected = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    assert mix(states).tolist() == expected
    assert hash_columns(1, 2).tolist() != hash_columns(2, 1).tolist()
    assert hash_columns(np.arange(3), 2**64 - 1).shape == (3,)
