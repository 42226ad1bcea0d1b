"""Values that a dataset may not have are named when it is opened; so is a dataset that changed."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trm.data import CellAugmentation, DatasetMeta, Split, open_dataset, write
from trm.errors import DataError

from tests.data.array_changes import Change, with_row  # isort: skip

META = DatasetMeta(
    task="toy", source="made up", seed=3, vocabulary=tuple("_.abc"), seq_len=6,
    num_puzzle_identifiers=50,
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, make_split: Callable[..., Split]) -> Path:
    write(tmp_path / "data", META, {"train": make_split(), "test": make_split((1, 2), (1, 1))})
    return tmp_path / "data"


def error(folder: Path, augmentation: CellAugmentation | None = None) -> str:
    """What is said of a folder, without its path and the advice."""
    with pytest.raises(DataError) as caught:
        open_dataset(folder, lambda split: augmentation, {"name": "S"})
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(". Build the data again.")
    return message.removeprefix(f"{folder}").removesuffix(". Build the data again.")


def change_array(file: Path, change: Change) -> None:
    np.save(file, change(np.load(file)))


@pytest.mark.parametrize(
    ("array", "change", "problem"),
    [
        ("inputs", with_row(3, 200), "row 3 has token 200, not one of 0 to 4"),
        ("labels", with_row(10, 5), "row 10 has token 5, not one of 0 to 4"),
        ("labels", with_row(2, 0), "row 2 has no label to score"),
        ("inputs", lambda a: a.astype("i8"), "it has int64, not uint8"),
        ("labels", lambda a: a.astype("f8"), "it has float64, not integers"),
        ("inputs", lambda a: a[:, :-1], "it has shape (11, 5), not (11, 6)"),
        ("example_offsets", with_row(2, 2), "row 2 has 2, not more than 3 in the row before"),
        ("example_offsets", with_row(2, 3), "row 2 has 3, not more than 3 in the row before"),
        ("example_offsets", with_row(4, 12), "it ends at 12, not 11"),
        ("puzzle_offsets", with_row(0, -1), "row 0 has -1, not 0"),
        ("puzzle_offsets", with_row(4, 11), "it ends at 11, not 10"),
        (
            "puzzle_offsets", lambda a: a.astype("U3"),
            "it has <U3 of shape (5,), not a row of two or more integers",
        ),
        ("identifiers", with_row(4, 50), "row 4 has identifier 50, not one of 0 to 49"),
        ("identifiers", with_row(4, -1), "row 4 has identifier -1, not one of 0 to 49"),
        ("symmetry", with_row(9, 6), "row 9 has symmetry 6, not one of 0 to 5"),
        ("symmetry", with_row(9, -6), "row 9 has symmetry -6, not one of 0 to 5"),
        ("permutation", with_row(7, 9), "row 7 has token 9, not one of 0 to 4"),
        (
            "permutation", with_row(7, [0, 1, 2, 3, 3]),
            "row 7 is not a permutation of 0 to 4 that keeps 0 to 1",
        ),
        (
            "permutation", with_row(7, [1, 0, 2, 3, 4]),
            "row 7 is not a permutation of 0 to 4 that keeps 0 to 1",
        ),
        ("permutation", lambda a: a[:, :-1], "it has shape (10, 4), not (10, 5)"),
        ("info_name", with_row(1, b"\xff"), "row 1 is not UTF-8 text"),
        ("info_name", lambda a: np.arange(4), "it has int64, not text"),
        ("info_name", lambda a: a[:, None], "it has shape (4, 1), not (4,)"),
    ],
)  # fmt: skip
def test_a_value_that_it_may_not_have_is_named(
    folder: Path, augmentation: CellAugmentation, array: str, change: Change, problem: str
) -> None:
    change_array(folder / "train" / f"{array}.npy", change)
    assert error(folder, augmentation) == f"/train/{array}.npy is damaged: {problem}"


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda a: np.arange(50), "it has int64, not text"),
        (lambda a: a.astype("U5"), "it has <U5, not text"),
        (with_row(7, b"\xc3("), "row 7 is not UTF-8 text"),
    ],
)
def test_names_that_are_not_text_are_named(folder: Path, change: Change, problem: str) -> None:
    change_array(folder / "identifiers.npy", change)
    assert error(folder) == f"/identifiers.npy is damaged: {problem}"


def test_names_may_have_any_characters(tmp_path: Path, make_split: Callable[..., Split]) -> None:
    split = make_split()
    names = split.names.astype("S9")
    names[3] = "große".encode()
    write(tmp_path / "d", META, {"train": Split(**{**vars(split), "names": names})})
    assert open_dataset(tmp_path / "d").names.tolist() == names.tolist()


def test_an_array_that_the_task_needs_is_named(folder: Path) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    description["splits"]["test"]["arrays"].remove("info_name")
    (folder / "dataset.json").write_text(json.dumps(description))
    with pytest.raises(DataError, match=r"/test is incomplete: info_name is missing\. Build it ag"):
        open_dataset(folder, info_kinds={"name": "S"})
    with pytest.raises(DataError, match="has changed since it was built"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"seq_len": -1}, "seq_len"),
        ({"num_puzzle_identifiers": 0}, "num_puzzle_identifiers"),
        ({"digest": "[/x]"}, "digest is '[/x]', not a SHA-256"),
        ({"digest": ""}, "digest is '', not a SHA-256"),
        ({"splits": {"../train": {}}}, "splits"),
        ({"splits": {".train": {}}}, "splits"),
        ({"splits": {"train": {"arrays": ["augmentation"]}}}, "splits.train"),
        ({"splits": {"train": {"arrays": ["info_../../secret"]}}}, "splits.train"),
    ],
)
def test_a_description_that_none_of_ours_has_is_damaged(
    folder: Path, changes: dict[str, Any], field: str
) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    counts = description["splits"]["train"]
    for name, split in changes.get("splits", {}).items():
        changes["splits"][name] = counts | split
    (folder / "dataset.json").write_text(json.dumps(description | changes))
    assert error(folder).startswith(f"/dataset.json is damaged: {field}")


@pytest.mark.parametrize("count", ["groups", "puzzles", "examples"])
@pytest.mark.parametrize("value", [-1, 0, 10**9])
def test_absurd_counts_are_refused(folder: Path, count: str, value: int) -> None:
    description = json.loads((folder / "dataset.json").read_text())
    description["splits"]["train"][count] = value
    (folder / "dataset.json").write_text(json.dumps(description))
    assert error(folder).startswith("/train/")


def test_hidden_files_are_passed_over(folder: Path) -> None:
    for file in [*folder.rglob("*.npy"), folder / "dataset.json"]:
        file.with_name(f"._{file.name}").write_bytes(b"\0\5\x16\7")
    (folder / "._train").write_bytes(b"\0\5\x16\7")
    assert list(open_dataset(folder).splits) == ["train", "test"]


def flip_label(folder: Path) -> None:
    file = folder / "train" / "labels.npy"
    content = bytearray(file.read_bytes())
    content[-1] = 3 if content[-1] != 3 else 4
    file.write_bytes(content)


def test_a_flipped_label_is_noticed(folder: Path) -> None:
    flip_label(folder)
    built = json.loads((folder / "dataset.json").read_text())["digest"][:12]
    message = rf"has changed since it was built: its digest is \w{{12}}, dataset.json has {built}"
    with pytest.raises(DataError, match=message):
        open_dataset(folder)
    assert open_dataset(folder, allow_changed=True).meta.digest.startswith(built)


@pytest.fixture
def checked(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The splits whose values were checked, with a cache of our own."""
    from trm.data import checks

    splits: list[str] = []

    def count(split: Split, meta: DatasetMeta, counts: Any, info_kinds: Any) -> Any:
        splits.append("train" if len(split.inputs) == 11 else "test")
        return checks.find_problem(split, meta, counts, info_kinds)

    monkeypatch.setattr("trm.data.dataset.find_problem", count)
    monkeypatch.setattr("trm.data.remember.MIN_BYTES", 0)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return splits


def test_what_was_checked_is_not_checked_again_until_a_file_changes(
    folder: Path, checked: list[str], augmentation: CellAugmentation
) -> None:
    for _ in range(3):
        open_dataset(folder)
    assert checked == ["train", "test"]
    open_dataset(folder, lambda split: augmentation)  # which limits the symmetries
    assert checked == ["train", "test"] * 2
    flip_label(folder)
    for _ in range(2):
        with pytest.raises(DataError, match="has changed since it was built"):
            open_dataset(folder)
    assert checked == ["train", "test"] * 3


def test_a_change_that_keeps_the_time_of_the_file_is_noticed(
    folder: Path, checked: list[str]
) -> None:
    open_dataset(folder)
    file = folder / "train" / "labels.npy"
    status = file.stat()
    flip_label(folder)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match="has changed since it was built"):
        open_dataset(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 9000])
def test_a_damaged_cache_is_no_trouble(
    folder: Path, tmp_path: Path, checked: list[str], content: bytes
) -> None:
    open_dataset(folder)
    (record,) = (tmp_path / "cache" / "trm" / "data").iterdir()
    record.write_bytes(content)
    open_dataset(folder)
    open_dataset(folder)
    assert checked == ["train", "test"] * 2


def test_without_a_cache_it_is_checked_each_time(
    folder: Path, tmp_path: Path, checked: list[str]
) -> None:
    (tmp_path / "cache").write_text("a file in the place of the folder")
    open_dataset(folder)
    open_dataset(folder)
    assert checked == ["train", "test"] * 2
