"""Several datasets as one: the same rows, identifiers that mean what they meant, and refusals."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eval_batches import eval_batches
from trm.data import Dataset, Split, TrainStream, concat_datasets
from trm.errors import DataError

MakeDataset = Callable[..., Dataset]

Row = tuple[list[int], list[int], bytes]


def rows(split: Split) -> list[Row]:
    """Every row of a split: input, label and the name of its identifier."""
    return [
        (inputs, labels, b"<blank>" if split.names is None else bytes(split.names[identifier]))
        for batch in eval_batches(split, 5)
        for inputs, labels, identifier in zip(
            batch.inputs.tolist(), batch.labels.tolist(), batch.puzzle_identifiers, strict=True
        )
    ]


sizes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3)
parts = st.lists(st.tuples(sizes, st.booleans(), st.booleans()), min_size=1, max_size=3)


@given(parts=parts)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_the_rows_of_a_join_are_those_of_its_parts(
    make_dataset: MakeDataset, parts: list[tuple[list[tuple[int, int]], bool, bool]]
) -> None:
    datasets = [
        make_dataset(
            "abc"[number], seed=number, train=tuple(zip(*sizes, strict=True)), named=named,
            augmented=augmented,
        )
        for number, (sizes, named, augmented) in enumerate(parts)
    ]  # fmt: skip
    joined = concat_datasets(datasets)
    for name in ("train", "test"):
        expected = [row for dataset in datasets for row in rows(dataset.split(name))]
        assert rows(joined.split(name)) == expected
        counts = joined.meta.splits.get(name)
        assert counts is None or counts.puzzles == joined.split(name).num_puzzles
        owners = [dataset.split(name) for dataset in datasets]
        assert joined.split(name).num_groups == sum(split.num_groups for split in owners)
        assert joined.split(name).total_puzzle_examples == sum(
            split.total_puzzle_examples for split in owners
        )


def test_identifiers_are_kept_apart_and_0_is_shared(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    blank = np.zeros_like(second.split("test").identifiers)
    split = replace(second.split("test"), identifiers=blank)
    second = replace(second, splits={**second.splits, "test": split})
    joined = concat_datasets([first, second])
    assert joined.meta.num_puzzle_identifiers == len(joined.names) == 1 + 9 + 9
    assert joined.names.tolist() == [
        b"<blank>", *(b"a%d" % n for n in range(1, 10)), *(b"b%d" % n for n in range(1, 10))
    ]  # fmt: skip
    assert joined.split("train").identifiers.tolist() == [1, 2, 3, 4, 5, 6, 10, 11, 12, 13, 14, 15]
    assert joined.split("test").identifiers.tolist() == [7, 8, 9, 0, 0, 0]
    assert joined.split("train").identifiers.dtype == np.int32


def test_a_name_that_several_have_keeps_one_identifier(make_dataset: MakeDataset) -> None:
    """Else a model could not tell which row of its embedding is meant by the name."""
    joined = concat_datasets([make_dataset("a"), make_dataset("a", seed=1, test=None)])
    assert len(set(joined.names.tolist())) == len(joined.names) == 10
    assert joined.split("train").identifiers.tolist() == [1, 2, 3, 4, 5, 6] * 2


def test_names_of_any_length_are_kept_whole(make_dataset: MakeDataset) -> None:
    long = "a-name-much-longer-than-the-others-"
    joined = concat_datasets([make_dataset("a"), make_dataset(long, seed=1)])
    assert joined.names[-1] == long.encode() + b"9"
    assert joined.split("train").name_of(6) == long + "1"


def test_without_names_there_is_one_identifier(make_dataset: MakeDataset) -> None:
    joined = concat_datasets([make_dataset(named=False), make_dataset(seed=1, named=False)])
    assert joined.names is None
    assert joined.meta.num_puzzle_identifiers == 1
    assert joined.split("train").identifiers is None


def test_a_split_that_one_of_them_lacks(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a", test=None), make_dataset("b", seed=1)
    joined = concat_datasets([first, second])
    assert rows(joined.split("test")) == rows(second.split("test"))
    assert list(joined.meta.splits) == ["train", "test"]


def test_info_that_all_have_is_kept(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    split = second.split("train")
    more = {**split.info, "rating": np.arange(split.num_groups)}
    second = replace(second, splits={**second.splits, "train": replace(split, info=more)})
    info = concat_datasets([first, second]).split("train").info
    assert {name: array.tolist() for name, array in info.items()} == {
        "name": [b"g0", b"g1", b"g2", b"g0", b"g1", b"g2"]
    }


def test_the_digest_is_of_all_in_their_order(make_dataset: MakeDataset) -> None:
    parts = [make_dataset(name, seed=seed) for seed, name in enumerate("abc")]
    digests = [
        concat_datasets(chosen).meta.digest
        for chosen in (parts, parts[:2], parts[1::-1], parts[1:])
    ]
    assert len(set(digests)) == 4
    assert concat_datasets(parts).meta.digest == digests[0]
    assert concat_datasets(parts).meta.source == "made up a + made up b + made up c"


def test_training_sees_all_parts_alike(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    split = concat_datasets([first, second]).split("train")
    expected = {row for part in (first, second) for row in map(str, rows(part.split("train")))}
    seen = set()
    for batch in islice(TrainStream(split, 12, seed=0), 60):
        for row in range(12):
            name = bytes(split.names[batch.puzzle_identifiers[row]])
            seen.add(str((batch.inputs[row].tolist(), batch.labels[row].tolist(), name)))
    assert seen == expected
    one_pass = next(TrainStream(split, split.num_groups * 2, seed=0))  # of two rows a group
    assert sorted(set(split.group_of(one_pass.puzzles))) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seq_len": 7}, "puzzles of length 6 in the first, 7 in the second"),
        ({"vocabulary": tuple("_.abd")}, r"the vocabulary _ \. a b c in the first, _ \. a b d in"),
        ({"vocabulary": tuple("_.abcd")}, r"the vocabulary _ \. a b c in the first, _ \. a b c d"),
    ],
)
def test_puzzles_of_different_kinds_are_refused(
    make_dataset: MakeDataset, change: dict[str, object], message: str
) -> None:
    with pytest.raises(
        DataError, match=rf"^a and b cannot be joined: {message}.*Build both in the same way"
    ):
        concat_datasets([make_dataset("a"), make_dataset("b", seed=1, **change)])


def stored_augmented(dataset: Dataset) -> Dataset:
    """The same rows with examples stored a puzzle, as in the published layout."""
    splits = {}
    for name, split in dataset.splits.items():
        (batch,) = eval_batches(split, 10_000)
        counts = split.example_range(np.arange(split.num_puzzles))[1]
        splits[name] = Split(
            inputs=batch.inputs.astype(np.uint8),
            labels=np.maximum(batch.labels, 0).astype(np.uint8),
            example_offsets=np.concatenate(([0], np.cumsum(counts))),
            puzzle_offsets=split.puzzle_offsets,
            identifiers=split.identifiers,
            names=split.names,
        )
    return replace(dataset, splits=splits)


def test_layouts_are_not_mixed(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), stored_augmented(make_dataset("b", seed=1))
    for pair, message in (
        ((first, second), "native in the first, published in the second"),
        ((second, first), "published in the first, native in the second"),
    ):
        with pytest.raises(
            DataError, match=rf"cannot be joined: the layout {message}\. Build both"
        ):
            concat_datasets(pair)


def test_copies_that_are_stored_are_joined_too(make_dataset: MakeDataset) -> None:
    pair = [make_dataset("a"), make_dataset("b", seed=1)]
    joined = concat_datasets([stored_augmented(dataset) for dataset in pair])
    assert rows(joined.split("train")) == rows(concat_datasets(pair).split("train"))
    assert [joined.split("test").name_of(row) for row in range(5)] == ["a7", "a8", "a8", "a9", "a9"]


@pytest.mark.parametrize("turned", [False, True])
def test_training_on_what_another_tests_on_is_refused(
    make_dataset: MakeDataset, turned: bool
) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    leaked = replace(first.split("test"), names=second.names)
    second = replace(second, splits={"train": leaked, "test": second.split("test")})
    pair = [second, first] if turned else [first, second]
    with pytest.raises(DataError, match=r"^b trains on 3 of the test examples of a, so .* Leave"):
        concat_datasets(pair)


def test_testing_on_the_same_puzzles_twice_is_refused(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    same = replace(first.split("test"), names=second.names)
    second = replace(second, splits={**second.splits, "test": same})
    message = r"^a and b share test puzzles, which would count twice\. Leave one of them out\.$"
    with pytest.raises(DataError, match=message):
        concat_datasets([first, second])


def test_the_same_input_with_another_label_is_another_puzzle(make_dataset: MakeDataset) -> None:
    first, second = make_dataset("a"), make_dataset("b", seed=1)
    held_out = first.split("test")
    other = replace(held_out, labels=5 - np.clip(held_out.labels, 1, 4), names=second.names)
    joined = concat_datasets([first, replace(second, splits={**second.splits, "train": other})])
    assert joined.split("train").num_groups == 3 + 2
