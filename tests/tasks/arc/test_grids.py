"""Grids as tokens, and what is said of JSON that is not an ARC task."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from trm.errors import InputError
from trm.tasks.arc.grids import (
    VOCABULARY,
    ArcTask,
    Pair,
    decode,
    encode,
    encode_all,
    parse_grid,
    parse_task,
    sizes,
)

SHAPES = st.tuples(st.integers(1, 30), st.integers(1, 30))
GRIDS = arrays.arrays(np.uint8, SHAPES, elements=st.integers(0, 9))
PAIR = {"input": [[0, 1], [2, 3]], "output": [[9]]}


def test_a_grid_stands_at_the_top_left_with_end_markers_around_it() -> None:
    board = encode(np.array([[0, 1, 2], [9, 8, 7]], np.uint8)).reshape(30, 30)
    assert board[:4, :5].tolist() == [
        [2, 3, 4, 1, 0],
        [11, 10, 9, 1, 0],
        [1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0],
    ]
    assert not board[3:].any()
    assert not board[:, 4:].any()


@pytest.mark.parametrize("shape", [(30, 30), (30, 4), (4, 30)])
def test_end_markers_stand_only_where_there_is_room(shape: tuple[int, int]) -> None:
    board = encode(np.zeros(shape, np.uint8)).reshape(30, 30)
    assert (board[: shape[0], : shape[1]] == 2).all()
    assert (board == 1).sum() == (30 if 4 in shape else 0)
    assert (board[shape[0] :, : shape[1]][:1] == 1).all()
    assert (board[: shape[0], shape[1] :][:, :1] == 1).all()


@given(grids=st.lists(GRIDS, min_size=1, max_size=4))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_encoded_grids_can_be_read_back(grids: list[np.ndarray]) -> None:
    tokens = encode_all(grids)
    assert tokens.dtype == np.uint8
    heights, widths = sizes(tokens)
    assert list(zip(heights.tolist(), widths.tolist(), strict=True)) == [g.shape for g in grids]
    for row, grid in zip(tokens, grids, strict=True):
        assert (row == encode(grid)).all()
        assert decode(row).tolist() == grid.tolist()
        assert row.max() < len(VOCABULARY)


def test_no_grids_are_no_tokens() -> None:
    assert encode_all([]).shape == (0, 900)


def test_a_task_is_read() -> None:
    raw = {"train": [PAIR, PAIR], "test": [PAIR], "name": "ignored"}
    task = parse_task("ab12", raw, "file.json")
    assert (task.id, len(task.train), len(task.test), task.solved) == ("ab12", 2, 1, True)
    assert task.train[1].input.dtype == np.uint8
    assert task.train[1].input.tolist() == [[0, 1], [2, 3]]


@pytest.mark.parametrize(
    "raw",
    [
        [PAIR, PAIR],
        {"examples": [[PAIR["input"], PAIR["output"]]] * 2, "description": "ignored"},
        {"train": [PAIR] * 2, "test": []},
    ],
    ids=["re-arc", "barc", "no test"],
)
def test_pairs_alone_are_a_task_to_train_on(raw: object) -> None:
    task = parse_task("ab12", raw, "file.json")
    assert (len(task.train), task.test, task.solved) == (2, (), True)
    assert [grid.tolist() for grid in task.train[1].grids] == list(PAIR.values())


def test_a_task_may_have_only_test_pairs() -> None:
    task = parse_task("ab12", {"train": [], "test": [PAIR] * 3}, "file.json")
    assert (task.train, len(task.test)) == ((), 3)


@pytest.mark.parametrize("pair", [{"input": [[1]]}, {"input": [[1]], "output": None}])
def test_an_output_may_be_unknown_in_a_test(pair: dict[str, Any]) -> None:
    task = parse_task("ab12", {"train": [PAIR], "test": [PAIR, pair]}, "file.json")
    assert task.test[1].output is None
    assert not task.solved


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ([[]], "is an empty grid"),
        ([], "is an empty grid"),
        (None, r"is not a grid \(a list of rows\)"),
        ([1, 2], r"is not a grid \(a list of rows\)"),
        ([[1], {}], r"is not a grid \(a list of rows\)"),
        ([[1, 2], [3, 4], [5]], "is not rectangular: row 1 has 2 cells, row 3 has 1"),
        ([[0]] * 31, "has 31 rows and 1 columns, more than 30x30"),
        ([[0] * 40], "has 1 rows and 40 columns, more than 30x30"),
        ([[0, 10]], "has 10 in row 1, column 2, not a colour 0 to 9"),
        ([[0], [-1]], "has -1 in row 2, column 1, not a colour 0 to 9"),
        ([[1.0]], r"has 1\.0 in row 1, column 1, not a colour 0 to 9"),
        ([[True]], "has True in row 1, column 1, not a colour 0 to 9"),
        ([["1"]], "has '1' in row 1, column 1, not a colour 0 to 9"),
        ([[10**400]], "has 10000000000000000000 in row 1, column 1, not a colour 0 to 9"),
    ],
)
def test_what_is_no_grid_is_said_in_one_line(raw: object, problem: str) -> None:
    message = (
        rf"^f.json: task ab, test pair 2, output {problem}\. Correct it, or leave the task out\.$"
    )
    with pytest.raises(InputError, match=message):
        parse_grid(raw, "f.json: task ab, test pair 2, output")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (3, r"^f: task ab is not an ARC task: it is no object with 'train' and 'test', and no "),
        ([], r"^f: task ab is not an ARC task: it has no pairs\.$"),
        ({"examples": []}, r"^f: task ab is not an ARC task: it has no pairs\.$"),
        ({"examples": [[[[1]]]]}, "train pair 1 is not an object with an 'input'"),
        ({"train": [], "test": []}, r"^f: task ab is not an ARC task: it has no pairs\.$"),
        ({"train": [PAIR]}, "^f: task ab is not an ARC task: it has no list 'test' of pairs"),
        ({"train": PAIR, "test": [PAIR]}, "it has no list 'train' of pairs"),
        (
            {"train": [3], "test": [PAIR]},
            "^f: task ab, train pair 1 is not an object with an 'input'",
        ),
        ({"train": [PAIR], "test": [{}]}, "test pair 1 is not an object with an 'input'"),
        ({"train": [PAIR, {"input": [[1]]}], "test": [PAIR]}, "train pair 2 has no output"),
        ({"train": [{**PAIR, "input": [[]]}], "test": [PAIR]}, "train pair 1, input is an empty"),
        ({"train": [PAIR], "test": [{**PAIR, "output": [[11]]}]}, "test pair 1, output has 11 in"),
    ],
)
def test_what_is_no_task_is_said(raw: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_task("ab", raw, "f")


@pytest.mark.parametrize("name", ["", "a|||b", "ä", "a\nb", "a" * 65, "a\0"])
def test_an_id_that_cannot_name_copies_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"^f: '.*' cannot be the ID of a task"):
        parse_task(name, {"train": [PAIR], "test": [PAIR]}, "f")


def test_a_task_of_no_known_output_is_not_solved() -> None:
    grid = np.zeros((1, 1), np.uint8)
    assert not ArcTask("a", (Pair(grid, grid),), (Pair(grid, None),)).solved
