"""The order of training examples is one of documented packing, and depends on the seed alone."""

from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.eval_batches import eval_batches
from trm.data import (
    Batch,
    DatasetMeta,
    Position,
    Split,
    TrainStream,
    eval_indices,
    eval_rows,
    exploration_min_steps,
    num_eval_examples,
    open_dataset,
    rows_of,
    write,
)

MakeSplit = Callable[..., Split]


def unpacked(split: Split, batch: Batch) -> list[tuple[int, list[int]]]:
    """The batch as (puzzle, examples), taking from each group as many as it has or as fit."""
    row, runs = 0, []
    counts = np.diff(split.example_offsets)
    while row < len(batch):
        stop = min(row + int(counts[split.group_of(batch.puzzles[row : row + 1])[0]]), len(batch))
        assert len(set(batch.puzzles[row:stop].tolist())) == 1
        runs.append((int(batch.puzzles[row]), batch.examples[row:stop].tolist()))
        row = stop
    return runs


def rows(batches: list[Batch]) -> list[list[list[int]]]:
    """What batches hold, to compare."""
    return [[b.examples.tolist(), b.puzzles.tolist(), b.inputs.tolist()] for b in batches]


def pairs(batch: Batch) -> list[tuple[int, int]]:
    """The puzzle and the example of each row."""
    return list(zip(batch.puzzles.tolist(), batch.examples.tolist(), strict=True))


sizes = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=1, max_size=5)


@given(sizes=sizes, batch_size=st.integers(1, 12), seed=st.integers(0, 1000))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_batches_are_packed_as_documented(
    make_split: MakeSplit, sizes: list[tuple[int, int]], batch_size: int, seed: int
) -> None:
    split = make_split(*zip(*sizes, strict=True))
    groups = []
    for batch in islice(TrainStream(split, batch_size, seed), 20):
        assert len(batch) == batch_size
        runs = unpacked(split, batch)
        for number, (puzzle, examples) in enumerate(runs, 1):
            group = int(split.group_of(np.array([puzzle]))[0])
            own = range(split.example_offsets[group], split.example_offsets[group + 1])
            assert len(set(examples)) == len(examples)
            assert set(examples) <= set(own)
            assert len(examples) == len(own) or number == len(runs)  # only the last is cut short
            groups.append(group)
    whole = len(groups) - len(groups) % split.num_groups
    for start in range(0, whole, split.num_groups):
        assert sorted(groups[start : start + split.num_groups]) == list(range(split.num_groups))


def test_a_puzzle_of_many_examples_gives_others_in_each_pass(make_split: MakeSplit) -> None:
    split = make_split(examples=(50, 2, 3), puzzles=(2, 1, 1))
    seen = set()
    for seed in range(3):
        stream = TrainStream(split, 8, seed=seed, max_pairs=3)
        for batch in islice(stream, 20):
            assert sorted(split.group_of(batch.puzzles)) == [0, 0, 0, 1, 1, 2, 2, 2]
            assert len(set(batch.examples)) == 8
            seen |= set(batch.examples[batch.examples < 50].tolist())
        assert stream.position == Position(20, 0)
        resumed = TrainStream(split, 8, seed, stream.position, max_pairs=3)
        assert (next(resumed).examples == next(stream).examples).all()
    assert len(seen) == 50
    assert split.mean_puzzle_examples() == (2 * 50 + 2 + 3) / 4
    assert split.mean_puzzle_examples(3) == (2 * 3 + 2 + 3) / 4


def test_a_limit_that_no_puzzle_reaches_changes_nothing(make_split: MakeSplit) -> None:
    split = make_split(examples=(5, 2), puzzles=(2, 3))
    pairs = zip(TrainStream(split, 4, 1), TrainStream(split, 4, 1, max_pairs=5), strict=True)
    for one, other in islice(pairs, 20):
        assert (one.examples == other.examples).all()
        assert (one.puzzles == other.puzzles).all()


def test_the_rest_of_a_puzzle_that_was_cut_short_is_left_out(make_split: MakeSplit) -> None:
    split = make_split(examples=(5, 5), puzzles=(1, 1))
    stream = TrainStream(split, 3, seed=0)
    first, second = next(stream), next(stream)
    assert set(first.puzzles) != set(second.puzzles)
    assert stream.position == Position(1, 0)


def test_a_batch_may_hold_several_epochs(make_split: MakeSplit) -> None:
    split = make_split(examples=(1, 1), puzzles=(1, 1))
    stream = TrainStream(split, 5, seed=0)
    examples = next(stream).examples.tolist()
    assert [sorted(examples[:2]), sorted(examples[2:4])] == [[0, 1], [0, 1]]
    assert stream.position == Position(2, 1)


def test_every_puzzle_and_every_order_of_examples_comes_up(make_split: MakeSplit) -> None:
    split = make_split(examples=(3,), puzzles=(4,))
    drawn = [unpacked(split, b)[0] for b in islice(TrainStream(split, 3, seed=0), 200)]
    assert {puzzle for puzzle, _ in drawn} == {0, 1, 2, 3}
    assert len({tuple(examples) for _, examples in drawn}) == 6


def test_rows_are_seen_as_their_puzzle_sees_them(make_split: MakeSplit) -> None:
    split = make_split()
    batch = next(TrainStream(split, 8, seed=1))
    expected = split.make_batch(batch.examples, batch.puzzles)
    assert (batch.inputs == expected.inputs).all()
    assert (batch.puzzle_identifiers == batch.puzzles + 1).all()


@given(batch_size=st.integers(1, 15), seed=st.integers(0, 1000), num_before=st.integers(0, 12))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_resumed_stream_goes_on_as_if_uninterrupted(
    make_split: MakeSplit, batch_size: int, seed: int, num_before: int
) -> None:
    split = make_split()
    stream = TrainStream(split, batch_size, seed)
    list(islice(stream, num_before))
    resumed = TrainStream(split, batch_size, seed, Position(*stream.position))
    assert rows(list(islice(resumed, 6))) == rows(list(islice(stream, 6)))
    assert resumed.position == stream.position


@pytest.mark.parametrize("group", range(4))
def test_every_position_can_be_resumed_from(make_split: MakeSplit, group: int) -> None:
    """Batches of one group each pass through every position of an epoch."""
    split = make_split(examples=(2, 2, 2, 2), puzzles=(3, 1, 2, 1))
    stream = TrainStream(split, 2, seed=5)
    list(islice(stream, 4 + group))
    assert stream.position == Position(1, group)
    resumed = TrainStream(split, 2, seed=5, position=Position(1, group))
    assert rows(list(islice(resumed, 9))) == rows(list(islice(stream, 9)))


def test_the_order_depends_on_the_seed_alone(make_split: MakeSplit) -> None:
    split = make_split()
    expected = rows(list(islice(TrainStream(split, 4, seed=1), 20)))
    other = TrainStream(split, 4, seed=2)
    disturbed = []
    stream = TrainStream(make_split(), 4, seed=1)
    for _ in range(20):
        np.random.seed(0)
        disturbed.append(next(stream))
        next(other)
    assert rows(disturbed) == expected
    assert rows(list(islice(TrainStream(split, 4, seed=2), 20))) != expected


def test_single_examples_come_in_one_order_whatever_the_batch_size() -> None:
    tokens = np.ones((7, 2), np.uint8)
    split = Split.of_single_examples(tokens, tokens, puzzles_each=3, info={})
    puzzles = []
    for batch_size in (2, 5, 14):
        stream = TrainStream(split, batch_size, seed=0)
        batches = islice(stream, 70 // batch_size)
        puzzles.append(np.concatenate([batch.puzzles for batch in batches]).tolist())
    assert puzzles[0] == puzzles[1] == puzzles[2]


def test_epochs_differ(make_split: MakeSplit) -> None:
    split = make_split(examples=(1,) * 20, puzzles=(1,) * 20)
    first, second = (b.examples.tolist() for b in islice(TrainStream(split, 20, seed=0), 2))
    assert first != second
    assert first != list(range(20))


def test_the_order_is_the_recorded_one(make_split: MakeSplit) -> None:
    batches = list(islice(TrainStream(make_split(), 6, seed=0), 3))
    assert [b.puzzles.tolist() for b in batches] == GOLDEN_PUZZLES
    assert [b.examples.tolist() for b in batches] == GOLDEN_EXAMPLES


GOLDEN_PUZZLES = [[0, 0, 0, 7, 7, 7], [5, 5, 3, 5, 5, 7], [1, 1, 1, 3, 7, 7]]
GOLDEN_EXAMPLES = [[0, 2, 1, 8, 9, 7], [4, 5, 3, 4, 5, 7], [2, 1, 0, 3, 6, 7]]


def test_a_split_on_disk_gives_the_same_batches(tmp_path: Path, make_split: MakeSplit) -> None:
    split = make_split()
    meta = DatasetMeta(
        task="toy",
        source="",
        seed=0,
        vocabulary=tuple("_abcd"),
        seq_len=6,
        num_puzzle_identifiers=50,
    )
    write(tmp_path / "data", meta, {"train": split})
    opened = open_dataset(tmp_path / "data", lambda name: split.augmentation).split("train")
    expected = rows(list(islice(TrainStream(split, 5, seed=3), 10)))
    assert rows(list(islice(TrainStream(opened, 5, seed=3), 10))) == expected
    assert rows(list(eval_batches(opened, 5))) == rows(list(eval_batches(split, 5)))


@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_evaluation_takes_every_example_of_every_puzzle_once_in_order(
    make_split: MakeSplit, batch_size: int
) -> None:
    split = make_split()
    expected = [
        (puzzle, example)
        for group in range(split.num_groups)
        for puzzle in range(split.puzzle_offsets[group], split.puzzle_offsets[group + 1])
        for example in range(split.example_offsets[group], split.example_offsets[group + 1])
    ]
    batches = list(eval_batches(split, batch_size))
    assert [pair for batch in batches for pair in pairs(batch)] == expected
    assert num_eval_examples(split) == len(expected) == 3 * 2 + 1 * 3 + 2 * 1 + 5 * 4
    assert all(len(batch) == batch_size for batch in batches[:-1])


@pytest.mark.parametrize("limit", [1, 2, 8, 17, 30, 31, 1000])
def test_a_limited_evaluation_takes_the_same_examples_each_time(
    make_split: MakeSplit, limit: int
) -> None:
    split = make_split()
    everything = [pair for batch in eval_batches(split, 3) for pair in pairs(batch)]
    limited = [pair for batch in eval_batches(split, 3, limit) for pair in pairs(batch)]
    assert len(limited) == num_eval_examples(split, limit) == min(limit, 31)
    places = [everything.index(pair) for pair in limited]
    assert places == sorted(set(places))
    assert limited == [pair for batch in eval_batches(split, 7, limit) for pair in pairs(batch)]


def test_a_limited_evaluation_meets_every_example_of_a_group(make_split: MakeSplit) -> None:
    """A fixed stride would meet only the first of two, over and over."""
    split = make_split((2,) * 40, (5,) * 40)
    limited = [pair for batch in eval_batches(split, 16, 200) for pair in pairs(batch)]
    seconds = sum(example % 2 for _, example in limited)
    assert 70 < seconds < 130


@given(sizes=sizes, limit=st.integers(1, 40))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_limited_evaluation_takes_first_copies_before_later_ones(
    make_split: MakeSplit, sizes: list[tuple[int, int]], limit: int
) -> None:
    split = make_split(*zip(*sizes, strict=True))

    def copies(batches: list[Batch]) -> list[int]:
        """Which copy of its group each row is seen as, sorted."""
        seen = np.concatenate([batch.puzzles for batch in batches])
        return sorted((seen - split.puzzle_offsets[split.group_of(seen)]).tolist())

    everything = copies(list(eval_batches(split, 7)))
    assert copies(list(eval_batches(split, 7, limit))) == everything[:limit]


@given(sizes=sizes, copies=st.integers(1, 6), limit=st.integers(1, 40))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_rows_may_be_of_the_first_copies_and_copy_by_copy(
    make_split: MakeSplit, sizes: list[tuple[int, int]], copies: int, limit: int
) -> None:
    split = make_split(*zip(*sizes, strict=True))
    everything = eval_rows(split)
    puzzles = np.concatenate([p for _, p in eval_indices(split, 7)])
    copy = puzzles - split.puzzle_offsets[split.group_of(puzzles)]
    few = eval_rows(split, copies=copies)
    assert few.tolist() == everything[copy < copies].tolist()
    for rows, how in (
        (few, {"copies": copies}),
        (eval_rows(split, limit), {"max_examples": limit}),
    ):
        again = eval_rows(split, **how, by_copy=True)
        assert again.tolist() == sorted(rows, key=lambda row: (copy[row], row))
    for examples, owners in eval_indices(split, len(few), few):
        assert rows_of(split, examples, owners).tolist() == few.tolist()


@pytest.mark.parametrize("probability", [0.1, 0.5])
def test_the_asked_share_of_rows_explores(probability: float) -> None:
    steps = exploration_min_steps(0, 0, 40_000, probability, 16)
    deviation = np.sqrt(probability * (1 - probability) / 40_000)
    assert abs((steps > 0).mean() - probability) < 4 * deviation


def test_exploration_lasts_from_2_steps_to_all() -> None:
    steps = exploration_min_steps(0, 0, 10_000, 1.0, 5)
    values, counts = np.unique(steps, return_counts=True)
    assert values.tolist() == [2, 3, 4, 5]
    assert abs(counts - 2500).max() < 4 * np.sqrt(10_000 * 0.25 * 0.75)
    assert steps.dtype == np.int32


@pytest.mark.parametrize(("probability", "max_steps"), [(0.0, 16), (1.0, 1)])
def test_exploration_may_be_none(probability: float, max_steps: int) -> None:
    assert exploration_min_steps(0, 0, 100, probability, max_steps).tolist() == [0] * 100


def test_exploration_is_that_of_the_seed_and_the_step() -> None:
    first = exploration_min_steps(1, 7, 50, 0.5, 16).tolist()
    assert exploration_min_steps(1, 7, 50, 0.5, 16).tolist() == first
    assert exploration_min_steps(1, 8, 50, 0.5, 16).tolist() != first
    assert exploration_min_steps(2, 7, 50, 0.5, 16).tolist() != first
