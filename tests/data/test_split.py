"""Batches gathered from a split: the right example, as the right puzzle sees it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from trm.data import IGNORE_LABEL, Split


def test_the_original_puzzle_shows_examples_as_they_are(make_split: Callable[..., Split]) -> None:
    split = make_split()
    batch = split.make_batch(np.array([1, 6]), np.array([0, 6]))
    assert (batch.inputs == split.inputs[[1, 6]]).all()
    assert (batch.labels[batch.labels != IGNORE_LABEL] > 0).all()
    assert batch.puzzle_identifiers.tolist() == [1, 7]
    assert (batch.examples.tolist(), batch.puzzles.tolist()) == ([1, 6], [0, 6])
    assert len(batch) == 2


def test_a_copy_shows_its_inputs_and_labels_augmented(make_split: Callable[..., Split]) -> None:
    split = make_split()
    puzzles = np.flatnonzero(split.symmetry)
    examples = np.zeros(len(puzzles), int)
    batch = split.make_batch(examples, puzzles)
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
    batch = padded.make_batch(np.array([0]), np.array([1]))
    assert IGNORE_LABEL == -100
    assert (batch.inputs == 0).all()
    assert (batch.labels == -100).all()


def test_every_part_of_a_batch_has_its_type(make_split: Callable[..., Split]) -> None:
    batch = make_split().make_batch(np.array([0]), np.array([0]))
    for array in (batch.inputs, batch.labels, batch.puzzle_identifiers):
        assert array.dtype == np.int32


def test_without_augmentations_the_only_identifier_is_0() -> None:
    tokens = np.arange(1, 7, dtype=np.uint8).reshape(3, 2)
    split = Split.of_single_examples(tokens, tokens, info={})
    batch = split.make_batch(np.array([2, 0]), np.array([2, 0]))
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


def each_its_own(split: Split) -> Split:
    """The same groups with the examples of each puzzle stored, as in the published layout."""
    puzzles = np.arange(split.num_puzzles)
    begins, counts = split.example_range(puzzles)
    ends = np.cumsum(counts)
    rows = np.concatenate([b + np.arange(n) for b, n in zip(begins, counts, strict=True)])
    return replace(
        split, inputs=split.inputs[rows], labels=split.labels[rows], symmetry=None,
        permutation=None, example_offsets=np.concatenate(([0], ends)),
    )  # fmt: skip


def test_rows_and_examples_of_a_puzzle_are_counted(make_split: Callable[..., Split]) -> None:
    split = make_split(examples=(3, 1, 5), puzzles=(2, 1, 4))
    for either in (split, each_its_own(split)):
        assert either.total_puzzle_examples == 3 * 2 + 1 * 1 + 5 * 4
        assert either.mean_puzzle_examples() == 27 / 7
    single = Split.of_single_examples(split.inputs, split.labels, puzzles_each=4)
    assert (single.total_puzzle_examples, single.mean_puzzle_examples()) == (36, 1.0)


def test_where_the_examples_of_a_puzzle_are(make_split: Callable[..., Split]) -> None:
    split = make_split(examples=(3, 1, 5), puzzles=(2, 1, 4))
    begins, counts = split.example_range(np.array([1, 2, 6]))
    assert (begins.tolist(), counts.tolist()) == ([0, 3, 4], [3, 1, 5])
    begins, counts = split.example_range(np.array([1, 2, 6]), groups=np.array([0, 1, 2]))
    assert (begins.tolist(), counts.tolist()) == ([0, 3, 4], [3, 1, 5])
    begins, counts = each_its_own(split).example_range(np.array([1, 2, 6]))
    assert (begins.tolist(), counts.tolist()) == ([3, 6, 22], [3, 1, 5])


def test_an_example_has_the_name_of_the_first_puzzle_that_sees_it(
    make_split: Callable[..., Split],
) -> None:
    split = make_split(examples=(3, 1, 2), puzzles=(2, 1, 4))
    assert [split.name_of(example) for example in range(6)] == ["p1"] * 3 + ["p3"] + ["p4"] * 2
    stored = each_its_own(split)
    expected = ["p1"] * 3 + ["p2"] * 3 + ["p3"] + [f"p{p}" for p in (4, 5, 6, 7) for _ in range(2)]
    assert [stored.name_of(example) for example in range(15)] == expected


def test_without_names_an_example_has_none(make_split: Callable[..., Split]) -> None:
    split = make_split()
    assert replace(split, names=None).name_of(0) == ""
    assert replace(split, identifiers=None).name_of(0) == ""


def test_a_batch_says_how_each_row_was_augmented(make_split: Callable[..., Split]) -> None:
    split = make_split()
    batch = split.make_batch(np.array([0, 2, 9]), np.array([1, 0, 8]))
    assert batch.transforms is not None
    assert batch.transforms.symmetry.tolist() == split.symmetry[[1, 0, 8]].tolist()
    assert (batch.transforms.permutation == split.permutation[[1, 0, 8]]).all()
    assert batch.transforms.puzzles.tolist() == [1, 0, 8]
    assert batch.transforms.example_index.tolist() == [0, 2, 3]
    assert batch.transforms.num_examples.tolist() == [3, 3, 5]
    assert replace(split, symmetry=None).make_batch(np.array([0]), np.array([0])).transforms is None


def test_a_batch_may_be_augmented_otherwise_than_stored(make_split: Callable[..., Split]) -> None:
    split = make_split()
    examples, puzzles = np.array([0, 1]), np.array([0, 0])
    drawn = (split.symmetry[[1, 1]], split.permutation[[1, 1]])
    found = split.make_batch(examples, puzzles, drawn)
    expected = split.make_batch(examples, np.array([1, 1]))
    assert (found.inputs == expected.inputs).all()
    assert (found.labels == expected.labels).all()
    assert found.puzzle_identifiers.tolist() == [1, 1]
