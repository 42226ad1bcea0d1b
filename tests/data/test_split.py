"""Batches gathered from a split: the right example, as the right puzzle sees it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trm.data import IGNORE_LABEL, Split


def test_the_original_puzzle_shows_examples_as_they_are(make_split: Callable[..., Split]) -> None:
    split = make_split()
    batch = split.gather(np.array([1, 6]), np.array([0, 6]))
    assert (batch.inputs == split.inputs[[1, 6]]).all()
    assert (batch.labels[batch.labels != IGNORE_LABEL] > 0).all()
    assert batch.puzzle_identifiers.tolist() == [1, 7]
    assert (batch.examples.tolist(), batch.puzzles.tolist()) == ([1, 6], [0, 6])
    assert len(batch) == 2


def test_a_copy_shows_its_inputs_and_labels_augmented(make_split: Callable[..., Split]) -> None:
    split = make_split()
    puzzles = np.flatnonzero(split.symmetry)
    examples = np.zeros(len(puzzles), int)
    batch = split.gather(examples, puzzles)
    for row, puzzle in enumerate(puzzles):
        for stored, seen in ((split.inputs, batch.inputs), (split.labels, batch.labels)):
            moved = np.roll(stored[0], -split.symmetry[puzzle])
            expected = split.permutation[puzzle][moved].astype(int)
            if stored is split.labels:
                expected[expected == 0] = IGNORE_LABEL
            assert seen[row].tolist() == expected.tolist()
    assert (batch.inputs != split.inputs[examples]).any()


def test_padding_is_an_input_but_no_label(make_split: Callable[..., Split]) -> None:
    split = make_split()
    padded = replace(split, inputs=np.zeros_like(split.inputs), labels=np.zeros_like(split.labels))
    batch = padded.gather(np.array([0]), np.array([1]))
    assert IGNORE_LABEL == -100
    assert (batch.inputs == 0).all()
    assert (batch.labels == -100).all()


def test_every_part_of_a_batch_has_its_type(make_split: Callable[..., Split]) -> None:
    batch = make_split().gather(np.array([0]), np.array([0]))
    for array in (batch.inputs, batch.labels, batch.puzzle_identifiers):
        assert array.dtype == np.int32


def test_without_augmentations_the_only_identifier_is_0() -> None:
    tokens = np.arange(1, 7, dtype=np.uint8).reshape(3, 2)
    split = Split.of_single_examples(tokens, tokens, info={})
    batch = split.gather(np.array([2, 0]), np.array([2, 0]))
    assert batch.inputs.tolist() == [[5, 6], [1, 2]]
    assert batch.puzzle_identifiers.tolist() == [0, 0]


def test_single_examples_may_have_several_puzzles_each() -> None:
    tokens = np.ones((3, 2), np.uint8)
    split = Split.of_single_examples(tokens, tokens, puzzles_each=4, info={})
    assert (split.num_groups, split.num_puzzles) == (3, 12)
    assert split.group_of(np.arange(12)).tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_puzzle_belongs_to_the_group_of_its_offsets(make_split: Callable[..., Split]) -> None:
    split = make_split(examples=(1, 1, 2), puzzles=(2, 1, 3))
    assert split.group_of(np.array([0, 1, 2, 3, 5])).tolist() == [0, 0, 1, 2, 2]


def test_only_arrays_that_are_there_are_stored(make_split: Callable[..., Split]) -> None:
    required = {"inputs", "labels", "example_offsets", "puzzle_offsets"}
    split = make_split()
    optional = {"symmetry", "permutation", "identifiers", "info_name"}
    assert split.arrays().keys() == required | optional
    plain = Split.of_single_examples(split.inputs, split.labels, info={})
    assert plain.arrays().keys() == required
