"""What is wrong with a folder of the published layout is said in one line that names the file."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import DatasetMeta, open_published
from trm.errors import DataError

from tests.data.array_changes import with_row  # isort: skip

ARRAYS = ("inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices")
META = DatasetMeta(task="toy", source="", seed=0, vocabulary=tuple("_.abc"), seq_len=6)


def damaged(published: Path) -> str:
    """What is said of a damaged folder: one line that names it and the way out."""
    with pytest.raises(DataError) as caught:
        open_published(published, META, lambda split: None)
    message = str(caught.value)
    assert "\n" not in message
    assert str(published) in message
    assert message.endswith(". Build the data again.")
    return message.removeprefix(str(published))


@pytest.mark.parametrize("name", ARRAYS)
def test_a_missing_array_is_named(published: Path, name: str) -> None:
    (published / "test" / f"all__{name}.npy").unlink()
    assert damaged(published) == f"/test/all__{name}.npy: no such file. Build the data again."


def test_missing_names_are_named(published: Path) -> None:
    (published / "identifiers.json").unlink()
    assert damaged(published) == "/identifiers.json: no such file. Build the data again."


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("size", [0, 50, 130])
def test_a_cut_array_is_named(published: Path, name: str, size: int) -> None:
    os.truncate(published / "train" / f"all__{name}.npy", size)
    assert damaged(published).startswith(f"/train/all__{name}.npy is damaged: ")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b'{"seq_len": 6}'])
@pytest.mark.parametrize("file", ["train/dataset.json", "identifiers.json"])
def test_a_description_that_says_something_else_is_named(
    published: Path, file: str, text: bytes
) -> None:
    (published / file).write_bytes(text)
    assert damaged(published).startswith(f"/{file} is damaged: ")
    assert ": :" not in damaged(published)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pad_id": 3}, "pad_id, ignore_label_id or blank_identifier_id is not 0"),
        ({"ignore_label_id": -100}, "pad_id, ignore_label_id or blank_identifier_id is not 0"),
        ({"sets": ["all", "more"]}, "has the sets all, more; trm reads only the set 'all'"),
        ({"seq_len": 900}, "is damaged: its puzzles have 900 tokens of 5 kinds"),
        ({"vocab_size": "many"}, "is damaged: vocab_size: Input should be a valid integer"),
    ],
)
def test_what_no_published_builder_writes_is_refused(
    published: Path, change: dict[str, Any], message: str
) -> None:
    file = published / "test" / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    assert message in damaged(published)


NO_ROW = "not a row of two or more integers"


def without_last(array: np.ndarray) -> np.ndarray:
    return array[:-1]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("inputs", without_last, "it has shape (10, 6), not (11, 6)"),
        ("labels", without_last, "it has shape (10, 6), not (11, 6)"),
        ("labels", lambda a: a[:, :-1], "it has shape (11, 5), not (11, 6)"),
        ("labels", lambda a: a.astype("f4"), "it has float32, not integers"),
        ("labels", lambda a: a * 0, "row 0 has no label to score"),
        ("labels", with_row(9, 5), "row 9 has token 5, not one of 0 to 4"),
        ("inputs", lambda a: a.ravel(), "it has shape (66,), not (11, 6)"),
        ("inputs", lambda a: a[0, 0], "it has shape (), not (11, 6)"),
        ("inputs", lambda a: a.astype("i8") - 1, "row 1 has token -1, not one of 0 to 4"),
        ("puzzle_identifiers", without_last, "it has shape (5,), not (6,)"),
        ("puzzle_identifiers", with_row(4, 15), "row 4 has identifier 15, not one of 0 to 9"),
        ("puzzle_identifiers", with_row(2, -1), "row 2 has identifier -1, not one of 0 to 9"),
        ("group_indices", without_last, "it ends at 5, not 6"),
        ("group_indices", with_row(3, 7), "it ends at 7, not 6"),
        ("puzzle_indices", lambda a: a[1:], "row 0 has 3, not 0"),
        ("puzzle_indices", lambda a: a - 1, "row 0 has -1, not 0"),
        ("puzzle_indices", with_row(3, 1), "row 3 has 1, not more than 6 in the row before"),
        ("puzzle_indices", lambda a: a * 1.0, f"it has float64 of shape (7,), {NO_ROW}"),
        ("group_indices", lambda a: a[:1], f"it has int32 of shape (1,), {NO_ROW}"),
        ("group_indices", lambda a: a[0], f"it has int32 of shape (), {NO_ROW}"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_belong_together_are_named(
    published: Path, name: str, change: Callable[[np.ndarray], np.ndarray], message: str
) -> None:
    file = published / "train" / f"all__{name}.npy"
    np.save(file, change(np.load(file)))
    expected = f"/train/all__{name}.npy is damaged: {message}. Build the data again."
    assert damaged(published) == expected


def test_an_empty_data_set_is_refused(published: Path) -> None:
    """Or a stream of batches would look for examples forever."""
    for name in ARRAYS:
        file = published / "train" / f"all__{name}.npy"
        array = np.load(file)
        np.save(file, array[:1] if name.endswith("indices") else array[:0])
    assert NO_ROW in damaged(published)
