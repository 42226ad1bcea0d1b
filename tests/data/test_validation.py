"""Puzzles held out of training: which they are, and that nothing of them is trained on."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eval_batches import eval_batches
from trm.data import (
    Dataset,
    Split,
    TrainStream,
    train_validation_split,
    with_validation_split,
    write,
)
from trm.errors import ConfigError
from trm.tasks.sudoku.task import Sudoku

Build = Callable[..., Dataset]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Build:
    """Twenty puzzles of 4x4 with two copies each, from the disk."""

    def make(*, published: bool = False, num_aug: int = 2) -> Dataset:
        out = tmp_path_factory.mktemp("data") / "sudoku"
        task = Sudoku()
        chosen = {"source": "generate", "size": 4, "num_train": 20, "num_test": 4}
        options = task.options(**chosen, num_aug=num_aug)
        written = task.build_published if published else task.build_data
        written(out, options, np.random.default_rng(0))
        return task.open_data([out])

    return make


def contents(split: Split) -> list[tuple[bytes, ...]]:
    """All there is of each group: examples, copies, info."""
    found = []
    for group in range(split.num_groups):
        puzzles = np.arange(*split.puzzle_offsets[group : group + 2])
        begin, count = split.example_range(puzzles)
        examples = [np.arange(b, b + c) for b, c in zip(begin, count, strict=True)]
        parts = [split.inputs[e].tobytes() + split.labels[e].tobytes() for e in examples]
        copies = (split.symmetry, split.permutation, split.identifiers)
        parts += [b"" if array is None else array[puzzles].tobytes() for array in copies]
        parts += [array[group].tobytes() for _, array in sorted(split.info.items())]
        found.append(tuple(parts))
    return found


@st.composite
def splits(draw: st.DrawFn) -> Split:
    """Up to nine groups of unlike sizes, examples stored a group or a puzzle."""
    sizes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 4)), min_size=2, max_size=9))
    examples, copies = map(np.array, zip(*sizes, strict=True))
    counts = np.repeat(examples, copies) if draw(st.booleans()) else examples
    total, puzzles = int(counts.sum()), int(copies.sum())
    tokens = np.arange(total * 2, dtype=np.uint8).reshape(total, 2)
    return Split(
        inputs=tokens,
        labels=tokens[::-1],
        example_offsets=np.concatenate(([0], np.cumsum(counts))),
        puzzle_offsets=np.concatenate(([0], np.cumsum(copies))),
        symmetry=np.arange(puzzles, dtype=np.int32),
        permutation=np.arange(puzzles * 3, dtype=np.uint8).reshape(puzzles, 3),
        info={"source": np.arange(len(copies)) * 7},
    )


@given(splits(), st.floats(0.01, 0.99))
@settings(deadline=None, derandomize=True, max_examples=200)
def test_every_group_is_in_one_of_the_parts_with_all_that_is_of_it(
    split: Split, share: float
) -> None:
    count = round(share * split.num_groups)
    if count in (0, split.num_groups):
        with pytest.raises(ConfigError, match="training puzzles out"):
            train_validation_split(split, share)
        return
    kept, held = train_validation_split(split, share)
    assert held.num_groups == count
    whole, parts = contents(split), (contents(kept), contents(held))
    assert sorted(whole) == sorted(parts[0] + parts[1])
    for part in parts:  # in the order in which they were
        assert [whole.index(group) for group in part] == sorted(whole.index(g) for g in part)
    assert kept.total_puzzle_examples + held.total_puzzle_examples == split.total_puzzle_examples


def test_which_they_are_is_fixed_by_the_data(build: Build) -> None:
    train = build().split("train")
    held = [train_validation_split(train, 0.2)[1].info["source"].tolist() for _ in range(2)]
    by_hand = np.random.Generator(np.random.Philox(0)).permutation(20)[:4]
    assert held[0] == held[1] == train.info["source"][np.sort(by_hand)].tolist()


def boards(split: Split) -> set[bytes]:
    """The examples as they were stored, before any augmentation."""
    return {row.tobytes() for row in split.inputs}


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("online", [False, True])
def test_training_never_draws_what_is_held_out(build: Build, published: bool, online: bool) -> None:
    whole = build(published=published, num_aug=0 if published and online else 2)
    dataset = with_validation_split(whole, 0.3)
    train, validation = dataset.split("train"), dataset.split("validation")
    assert (train.num_groups, validation.num_groups) == (14, 6)
    assert not boards(train) & boards(validation)
    assert boards(train) | boards(validation) == boards(whole.split("train"))
    stream = TrainStream(train, 7, seed=3, online=online)
    seen = {row.tobytes() for _ in range(40) for row in train.inputs[next(stream).examples]}
    originals = {train.inputs[train.example_range(np.array([p]))[0][0]].tobytes()
                 for p in train.puzzle_offsets[:-1].tolist()}  # fmt: skip
    assert seen == (boards(train) if published else originals)
    shown = {row.tobytes() for _ in range(4) for row in next(stream).inputs}
    for batch in eval_batches(validation, 8):
        assert not shown & {row.astype(np.int32).tobytes() for row in batch.inputs}


def test_the_copies_of_what_is_held_out_are_those_that_were_stored(build: Build) -> None:
    dataset = build()
    held = with_validation_split(dataset, 0.25).split("validation")
    rows = {row.tobytes() for batch in eval_batches(dataset.split("train"), 9)
            for row in batch.inputs}  # fmt: skip
    found = [row.tobytes() for batch in eval_batches(held, 9) for row in batch.inputs]
    assert len(found) == 5 * 3
    assert rows >= set(found)
    first = next(eval_batches(held, 5, max_examples=5))  # of each group its original
    assert first.puzzles.tolist() == held.puzzle_offsets[:-1].tolist()


def test_equal_puzzles_are_held_out_together() -> None:
    tokens = np.arange(40, dtype=np.uint8).reshape(10, 4)
    twice = Split.of_single_examples(np.concatenate((tokens, tokens)), np.tile(tokens, (2, 1)))
    for share in (0.1, 0.25, 0.5):
        kept, held = train_validation_split(twice, share)
        assert not boards(kept) & boards(held)
        assert held.num_groups == 2 * len(boards(held)) >= round(share * 20)
    same = Split.of_single_examples(tokens[[0, 0, 0]], tokens[[0, 0, 0]])
    with pytest.raises(ConfigError, match=r"holds all of 3 training puzzles out\. Give less\.$"):
        train_validation_split(same, 0.4)


@pytest.mark.parametrize(
    ("share", "message"),
    [
        (0.02, r"= 0\.02 holds none of 20 training puzzles out\. Give 0, or 0\.05 or more\.$"),
        (0.99, r"= 0\.99 holds all of 20 training puzzles out\. Give less\.$"),
    ],
)
def test_shares_that_leave_a_part_empty(build: Build, share: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        with_validation_split(build(), share)


def test_a_single_puzzle_cannot_be_divided() -> None:
    tokens = np.ones((1, 4), np.uint8)
    with pytest.raises(ConfigError, match=r"of 1 training puzzles out\. Give 0\.$"):
        train_validation_split(Split.of_single_examples(tokens, tokens), 0.7)


def test_puzzles_with_identifiers_are_refused(build: Build, tmp_path: Path) -> None:
    dataset = build()
    names = np.array([b"<blank>", b"p1"])
    splits = {
        name: replace(split, names=names, identifiers=np.ones(split.num_puzzles, np.int32))
        for name, split in dataset.splits.items()
    }
    write(tmp_path / "d", dataset.meta.model_copy(update={"num_puzzle_identifiers": 2}), splits)
    message = r"= 0\.2: the puzzles of \S+/d have identifiers, .* never be trained\. Set it to 0\.$"
    with pytest.raises(ConfigError, match=message):
        with_validation_split(Sudoku().open_data([tmp_path / "d"]), 0.2)
