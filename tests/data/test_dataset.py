"""A dataset reads back as it was written, and what is wrong with a folder is said."""

import errno
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import CellAugmentation, DatasetMeta, Split, digest, open_dataset, read_meta, write
from trm.errors import DataError, StorageError

META = DatasetMeta(
    task="toy",
    source="made up",
    seed=3,
    options={"num_aug": 2},
    vocabulary=("<pad>", ".", "a", "b", "c"),
    seq_len=6,
    num_puzzle_identifiers=50,
    properties={"size": 2},
)


@pytest.fixture
def folder(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    """A dataset as it was written."""
    write(tmp_path / "data", META, {"train": make_split(), "test": make_split((1, 2), (1, 1))})
    return tmp_path / "data"


def change_meta(folder: Path, **changes: Any) -> None:
    file = folder / "dataset.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_what_was_written_is_read_back(
    tmp_path: Path, make_split: Callable[..., Split], augmentation: CellAugmentation
) -> None:
    splits = {"train": make_split(), "test": make_split((1, 2), (1, 1))}
    meta = write(tmp_path / "a" / "data", META, splits)
    opened = open_dataset(tmp_path / "a" / "data", lambda name: augmentation)
    assert opened.meta == meta == read_meta(tmp_path / "a" / "data")
    assert opened.meta.digest == digest(META, splits)
    assert opened.splits.keys() == splits.keys()
    for name, split in splits.items():
        read, written = opened.split(name).arrays(), split.arrays()
        assert list(read) == list(written)
        for array in written:
            assert read[array].dtype == written[array].dtype
            assert (read[array] == written[array]).all()
    puzzles = np.arange(10)
    batch = opened.split("train").make_batch(np.zeros(10, int), puzzles)
    expected = splits["train"].make_batch(np.zeros(10, int), puzzles)
    assert (batch.inputs == expected.inputs).all()
    assert (batch.labels == expected.labels).all()


def test_the_description_says_what_there_is(folder: Path) -> None:
    meta = read_meta(folder)
    counts = meta.splits["train"]
    assert (counts.groups, counts.puzzles, counts.examples) == (4, 10, 11)
    assert meta.vocab_size == 5
    assert (meta.format_version, meta.options, meta.properties) == (1, {"num_aug": 2}, {"size": 2})


def test_large_arrays_stay_on_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = open_dataset(folder).split("train").arrays()
    monkeypatch.setattr("trm.data.array_files.MAX_IN_MEMORY", 0)
    large = open_dataset(folder).split("train").arrays()
    assert not any(isinstance(array, np.memmap) for array in small.values())
    assert all(isinstance(array, np.memmap) for array in large.values())
    assert not any(a.flags.writeable for a in (*small.values(), *large.values()))


def test_a_small_file_may_be_cut_short_while_it_is_in_use(folder: Path) -> None:
    split, rows = open_dataset(folder).split("train"), np.arange(4)
    before = split.make_batch(rows, rows)
    os.truncate(folder / "train" / "labels.npy", 130)
    assert (split.make_batch(rows, rows).labels == before.labels).all()


def test_a_file_cut_short_while_it_is_mapped_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reading it would kill the process."""
    monkeypatch.setattr("trm.data.array_files.MAX_IN_MEMORY", 0)
    split, rows = open_dataset(folder).split("train"), np.arange(4)
    split.make_batch(rows, rows)
    os.truncate(folder / "train" / "labels.npy", 130)
    message = r"^\S+/train/labels\.npy was cut short from 194 to 130 bytes while it was in use\. Bu"
    with pytest.raises(DataError, match=message):
        split.make_batch(rows, rows)


def test_equal_data_has_equal_bytes(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    for name in ("a", "b"):
        write(tmp_path / name, META, {"train": make_split()})
    files = sorted(path for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert len(files) == 10
    for path in files:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()


def test_the_digest_is_of_contents_not_of_layout(make_split: Callable[..., Split]) -> None:
    split = make_split()
    big = replace(split, symmetry=split.symmetry.astype(">i4"))
    fortran = replace(split, inputs=np.asfortranarray(split.inputs))
    expected = digest(META, {"train": split})
    assert digest(META, {"train": big}) == digest(META, {"train": fortran}) == expected
    assert digest(META.model_copy(update={"source": "other"}), {"train": split}) == expected


def test_the_digest_tells_data_apart(make_split: Callable[..., Split]) -> None:
    split = make_split()
    inputs = split.inputs.copy()
    inputs[3, 2] += 1
    other_meta = META.model_copy(update={"properties": {"size": 3}})
    digests = [
        digest(META, {"train": split}),
        digest(META, {"test": split}),
        digest(META, {"train": replace(split, inputs=inputs)}),
        digest(META, {"train": replace(split, identifiers=None)}),
        digest(META, {"train": replace(split, info={"other": split.info["name"]})}),
        digest(META, {"train": replace(split, labels=split.labels.reshape(-1, 3))}),
        digest(other_meta, {"train": split}),
    ]
    assert len(set(digests)) == len(digests)


def test_the_digest_is_the_recorded_one() -> None:
    tokens = np.array([[1, 2], [2, 1]], np.uint8)
    split = Split.of_single_examples(tokens, tokens, info={"source": np.array([b"x", b"yy"])})
    expected = "d4c00e36e2cbdcd73b5cf2a26d26b9ad481277861362e04d7d28a68f99cd446c"
    assert digest(META, {"train": split}) == expected


def test_a_missing_split_is_named(folder: Path) -> None:
    message = r"/data has no 'validation' split, only train, test\. Name one of those, "
    with pytest.raises(DataError, match=message):
        open_dataset(folder).split("validation")


def test_a_missing_folder_says_how_to_build_one(tmp_path: Path) -> None:
    message = r"/data: no such data folder\. Build it with trm build-data\.$"
    with pytest.raises(DataError, match=message):
        open_dataset(tmp_path / "data")


def test_a_folder_without_description_is_no_data_set(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r" has no dataset.json: it is incomplete or not a dataset\."
    ):
        open_dataset(tmp_path)


def test_a_newer_format_is_refused(folder: Path) -> None:
    change_meta(folder, format_version=2, novelty=True)
    message = r"/dataset.json has format 2, this trm reads up to 1\. Upgrade trm\.$"
    with pytest.raises(DataError, match=message):
        open_dataset(folder)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_description_that_is_not_json_is_damaged(folder: Path, text: bytes) -> None:
    (folder / "dataset.json").write_bytes(text)
    with pytest.raises(DataError, match=r"/dataset.json is damaged: .*\. Build the data again\.$"):
        open_dataset(folder)


def test_a_description_with_a_wrong_field_names_it(folder: Path) -> None:
    change_meta(folder, seq_len="long")
    with pytest.raises(DataError, match=r"dataset.json is damaged: seq_len: Input should be a val"):
        open_dataset(folder)


@pytest.mark.parametrize("array", ["inputs", "identifiers", "info_name"])
def test_a_missing_array_is_named(folder: Path, array: str) -> None:
    (folder / "train" / f"{array}.npy").unlink()
    message = rf"/train/{array}\.npy: no such file\. Build the data again\.$"
    with pytest.raises(DataError, match=message):
        open_dataset(folder)


def test_an_array_that_the_description_does_not_name_is_named(folder: Path) -> None:
    splits = json.loads((folder / "dataset.json").read_text())["splits"]
    splits["train"]["arrays"].remove("labels")
    change_meta(folder, splits=splits)
    with pytest.raises(DataError, match=r"/train is incomplete: labels is missing\. Build"):
        open_dataset(folder)


@pytest.mark.parametrize("size", [0, 60, 130])
def test_a_cut_array_is_damaged(folder: Path, size: int) -> None:
    os.truncate(folder / "train" / "inputs.npy", size)
    with pytest.raises(DataError, match=r"/inputs.npy is damaged: .*\. Build the data again\.$"):
        open_dataset(folder)


def test_an_array_with_pickles_is_not_read(folder: Path) -> None:
    np.save(folder / "train" / "inputs.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"/inputs.npy is damaged: "):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("array", "shape", "expected"),
    [
        ("inputs", "(10, 6)", "(11, 6)"),
        ("puzzle_offsets", "(4,)", "(5,)"),
        ("symmetry", "(9,)", "(10,)"),
        ("info_name", "(3,)", "(4, ...)"),
    ],
)
def test_another_number_of_rows_is_named(
    folder: Path, array: str, shape: str, expected: str
) -> None:
    file = folder / "train" / f"{array}.npy"
    np.save(file, np.load(file)[:-1])
    message = f"/train/{array}.npy is damaged: it has shape {shape}, not {expected}. Build the data"
    with pytest.raises(DataError, match=re.escape(message)):
        open_dataset(folder)


def test_an_array_without_rows_is_named(folder: Path) -> None:
    np.save(folder / "train" / "inputs.npy", np.uint8(1))
    with pytest.raises(
        DataError, match=r"/inputs.npy is damaged: it has shape \(\), not \(11, 6\)\. "
    ):
        open_dataset(folder)


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, make_split: Callable[..., Split], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match=r"^cannot write .*/data: no space left on the disk\."):
        write(tmp_path / "data", META, {"train": make_split()})
    assert list(tmp_path.iterdir()) == []


def test_names_are_stored_once_for_all_splits(
    folder: Path, make_split: Callable[..., Split]
) -> None:
    opened = open_dataset(folder)
    expected = make_split().names.tolist()
    assert opened.names.tolist() == expected
    assert all(split.names.tolist() == expected for split in opened.splits.values())
    assert [file.name for file in folder.rglob("identifiers.npy")] == ["identifiers.npy"] * 3
    assert opened.split("train").name_of(4) == "p6"


def test_without_names_there_is_no_file_of_them(
    tmp_path: Path, make_split: Callable[..., Split]
) -> None:
    split = replace(make_split(), identifiers=None, names=None)
    write(tmp_path / "a", META.model_copy(update={"num_puzzle_identifiers": 1}), {"train": split})
    assert open_dataset(tmp_path / "a").names is None
    assert list((tmp_path / "a").rglob("identifiers.npy")) == []


def test_missing_names_are_named(folder: Path) -> None:
    (folder / "identifiers.npy").unlink()
    with pytest.raises(DataError, match=r"/data/identifiers\.npy: no such file\. Build the data"):
        open_dataset(folder)


def test_another_number_of_names_is_named(folder: Path) -> None:
    names = np.load(folder / "identifiers.npy")
    np.save(folder / "identifiers.npy", names[:-1])
    message = (
        r"/identifiers\.npy is damaged: it has shape \(49,\), not \(50,\)\. Build the data again\.$"
    )
    with pytest.raises(DataError, match=message):
        open_dataset(folder)


def test_the_digest_tells_names_apart(make_split: Callable[..., Split]) -> None:
    split = make_split()
    names = split.names.copy()
    names[3] = b"other"
    assert digest(META, {"train": split}) != digest(META, {"train": replace(split, names=names)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": None}, "num_puzzle_identifiers is not the number of their names"),
        ({"names": np.array([b"<blank>", b"p1"])}, "is not the number of their names"),
        (
            {"identifiers": np.full(10, 50, np.int32)},
            "identifiers: row 0 has identifier 50, not one of 0 to 49",
        ),
        ({"puzzle_offsets": np.zeros(5, np.int64)}, "it is empty"),
        ({"inputs": np.ones((11, 6), np.int32)}, "inputs: it has int32, not uint8"),
        ({"labels": np.ones((11, 5), np.uint8)}, r"labels: it has shape \(11, 5\), not \(11, 6"),
        ({"inputs": np.full((11, 6), 5, np.uint8)}, "inputs: row 0 has token 5, not one of 0 to 4"),
        ({"labels": np.zeros((11, 6), np.uint8)}, "labels: row 0 has no label to score"),
    ],
)
def test_what_could_not_be_trained_on_is_not_written(
    tmp_path: Path, make_split: Callable[..., Split], change: dict[str, Any], message: str
) -> None:
    split = replace(make_split(), **change)
    with pytest.raises(
        DataError, match=rf"^the train split of task toy cannot be used: .*{message}"
    ):
        write(tmp_path / "data", META, {"train": split})
    assert list(tmp_path.iterdir()) == []
