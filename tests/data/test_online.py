"""Online augmentation: in every pass a new copy of each original, decided by the seed alone."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trm.data import Batch, Position, Split, TrainStream

EXAMPLES = (3, 1, 2, 5)


@pytest.fixture(scope="module")
def split(make_split: Callable[..., Split]) -> Split:
    return replace(make_split(EXAMPLES, (2, 3, 1, 4)), identifiers=None, names=None)


def stream(
    split: Split, batch_size: int = 4, seed: int = 0, at: Position | None = None
) -> TrainStream:
    return TrainStream(split, batch_size, seed, at, online=True)


def undone(split: Split, batch: Batch) -> np.ndarray:
    assert batch.transforms is not None
    assert split.augmentation is not None
    return split.augmentation.undo(batch.inputs, batch.transforms)


def contents(batches: list[Batch]) -> list[object]:
    return [(b.examples.tolist(), b.inputs.tolist(), b.labels.tolist()) for b in batches]


@given(batch_size=st.integers(1, 15), seed=st.integers(0, 1000))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_every_row_is_a_copy_of_its_original(split: Split, batch_size: int, seed: int) -> None:
    for batch in islice(stream(split, batch_size, seed), 8):
        originals = split.puzzle_offsets[split.group_of(batch.puzzles)]
        assert (batch.puzzles == originals).all()
        assert (undone(split, batch) == split.inputs[batch.examples]).all()
        assert (batch.puzzle_identifiers == 0).all()
        assert batch.transforms is not None
        for group in set(split.group_of(batch.puzzles).tolist()):
            own = split.group_of(batch.puzzles) == group
            first, counts = split.example_range(batch.puzzles[own])
            assert (batch.transforms.example_index[own] == batch.examples[own] - first).all()
            assert (batch.transforms.num_examples[own] == counts).all()


def test_a_pass_takes_every_example_of_every_group_once(split: Split) -> None:
    for batch in islice(stream(split, sum(EXAMPLES)), 5):
        assert sorted(batch.examples.tolist()) == list(range(sum(EXAMPLES)))


def test_the_examples_of_a_puzzle_are_augmented_alike(split: Split) -> None:
    batch = next(stream(split, sum(EXAMPLES)))
    assert batch.transforms is not None
    for puzzle in set(batch.puzzles.tolist()):
        own = batch.puzzles == puzzle
        assert len(set(batch.transforms.symmetry[own].tolist())) == 1
        assert len(np.unique(batch.transforms.permutation[own], axis=0)) == 1


def test_passes_differ_and_every_symmetry_comes_up(split: Split) -> None:
    batches = list(islice(stream(split, sum(EXAMPLES)), 40))
    drawn = [
        batch.transforms.symmetry[batch.examples == 0].item()
        for batch in batches
        if batch.transforms
    ]
    assert set(drawn) == set(range(6))
    renamed = [
        batch.transforms.permutation[batch.examples == 0] for batch in batches if batch.transforms
    ]
    assert len(np.unique(np.concatenate(renamed), axis=0)) == 6


def test_other_seeds_draw_other_copies(split: Split) -> None:
    first, again, other = (list(islice(stream(split, 4, seed), 5)) for seed in (1, 1, 2))
    assert contents(first) == contents(again)
    assert contents(first) != contents(other)


@given(batch_size=st.integers(1, 15), num_before=st.integers(0, 9))
@settings(deadline=None, derandomize=True, max_examples=40)
def test_a_resumed_stream_goes_on_as_if_uninterrupted(
    split: Split, batch_size: int, num_before: int
) -> None:
    whole = stream(split, batch_size)
    list(islice(whole, num_before))
    resumed = stream(split, batch_size, at=Position(*whole.position))
    assert contents(list(islice(resumed, 6))) == contents(list(islice(whole, 6)))
    assert resumed.position == whole.position


def test_no_stored_copy_is_needed(split: Split) -> None:
    alone = replace(
        split, puzzle_offsets=np.arange(split.num_groups + 1), symmetry=None, permutation=None
    )
    for batch in islice(stream(alone), 9):
        assert (undone(alone, batch) == alone.inputs[batch.examples]).all()
