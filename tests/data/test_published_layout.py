"""The published layout: written as the published builders write it, read back as it was meant."""

import errno
import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from tests.eval_batches import eval_batches
from trm.data import (
    Batch,
    Dataset,
    DatasetMeta,
    Position,
    TrainStream,
    is_published,
    open_published,
    read_published_meta,
    write_published,
)
from trm.errors import DataError, StorageError

MakeDataset = Callable[..., Dataset]
ARRAYS = ("inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices")


def opened(folder: Path, dataset: Dataset | None = None) -> Dataset:
    """A folder as a task opens it whose puzzles are those of ``dataset``, or as stated there."""
    if dataset is not None:
        meta = dataset.meta.model_copy(update={"digest": "", "splits": {}})
    else:
        stated = read_published_meta(folder)
        vocabulary = tuple(map(chr, range(97, 97 + stated.vocab_size)))
        meta = DatasetMeta(
            task="toy", source="", seed=0, vocabulary=vocabulary, seq_len=stated.seq_len
        )
    return open_published(folder, meta, lambda split: None)


def same(first: Batch, second: Batch) -> bool:
    fields = ("inputs", "labels", "puzzle_identifiers", "puzzles")
    return all(np.array_equal(getattr(first, f), getattr(second, f)) for f in fields)


@pytest.fixture(params=["ours", "arc", "maze"])
def any_folder(request: pytest.FixtureRequest) -> Path:
    """One that we wrote, and two that the published builders wrote."""
    if request.param == "ours":
        found: Path = request.getfixturevalue("published")
        return found
    shared: Path = request.getfixturevalue("shared")
    arc = request.param == "arc"
    return shared / ("reference/arc/built" if arc else "data/maze-30x30-hard-1k")


def test_files_types_and_counts_are_the_published_ones(any_folder: Path) -> None:
    names = json.loads((any_folder / "identifiers.json").read_text())
    for split in ("train", "test"):
        files = {file.name for file in (any_folder / split).iterdir()}
        assert files == {"dataset.json", *(f"all__{name}.npy" for name in ARRAYS)}
        found = {name: np.load(any_folder / split / f"all__{name}.npy") for name in ARRAYS}
        meta = json.loads((any_folder / split / "dataset.json").read_text())
        assert found["inputs"].shape == found["labels"].shape
        assert found["inputs"].shape[1] == meta["seq_len"]
        for name in ("inputs", "labels"):
            assert found[name].dtype == np.uint8
            assert found[name].max() < meta["vocab_size"]
        for name in ARRAYS[2:]:
            assert (found[name].dtype, found[name].ndim) == (np.dtype("int32"), 1)
        puzzles, groups = found["puzzle_indices"], found["group_indices"]
        assert (puzzles[0], puzzles[-1]) == (0, len(found["inputs"]))
        assert (groups[0], groups[-1]) == (0, len(puzzles) - 1)
        assert len(found["puzzle_identifiers"]) == len(puzzles) - 1
        assert found["puzzle_identifiers"].max() < meta["num_puzzle_identifiers"] == len(names)
        assert meta["total_groups"] == len(groups) - 1
        assert meta["mean_puzzle_examples"] == len(found["inputs"]) / (len(puzzles) - 1)
        ours = {"total_puzzles", "task"}  # the published mazes have neither, nobody else the task
        assert meta.keys() - ours == {
            "pad_id", "ignore_label_id", "blank_identifier_id", "vocab_size", "seq_len",
            "num_puzzle_identifiers", "total_groups", "mean_puzzle_examples", "sets",
        }  # fmt: skip
        assert (meta["pad_id"], meta["ignore_label_id"], meta["blank_identifier_id"]) == (0, 0, 0)
        assert meta["sets"] == ["all"]


def test_what_is_read_and_written_again_is_the_same(any_folder: Path, tmp_path: Path) -> None:
    write_published(tmp_path / "again", opened(any_folder))
    for split in ("train", "test"):
        for name in ARRAYS:
            file = f"{split}/all__{name}.npy"
            assert np.array_equal(np.load(tmp_path / "again" / file), np.load(any_folder / file))
        file = f"{split}/dataset.json"
        before, after = (
            json.loads((f / file).read_text()) for f in (any_folder, tmp_path / "again")
        )
        assert before.items() <= after.items()
    names = (
        json.loads((f / "identifiers.json").read_text()) for f in (any_folder, tmp_path / "again")
    )
    assert next(names) == next(names)


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize("augmented", [True, False])
def test_every_row_is_that_of_the_native_data_set(
    make_dataset: MakeDataset, tmp_path: Path, named: bool, augmented: bool
) -> None:
    dataset = make_dataset(named=named, augmented=augmented)
    write_published(tmp_path / "data", dataset)
    found = opened(tmp_path / "data", dataset)
    assert found.meta.num_puzzle_identifiers == dataset.meta.num_puzzle_identifiers
    for name, split in dataset.splits.items():
        pairs = zip(eval_batches(split, 4), eval_batches(found.split(name), 4), strict=True)
        assert all(same(native, published) for native, published in pairs)
        assert np.array_equal(found.split(name).names, split.names) or not named
        assert found.split(name).total_puzzle_examples == split.total_puzzle_examples
        assert found.split(name).num_groups == split.num_groups
        assert found.split(name).mean_puzzle_examples() == split.mean_puzzle_examples()
        assert found.meta.splits[name].examples == split.total_puzzle_examples


@pytest.mark.parametrize("batch_size", [1, 3, 5, 16])
def test_training_is_packed_as_with_the_native_data_set(
    make_dataset: MakeDataset, tmp_path: Path, batch_size: int
) -> None:
    dataset = make_dataset(train=((3, 1, 2, 5), (2, 3, 1, 4)))
    write_published(tmp_path / "data", dataset)
    native = TrainStream(dataset.split("train"), batch_size, seed=3)
    published = TrainStream(opened(tmp_path / "data").split("train"), batch_size, seed=3)
    for _ in range(20):
        assert same(next(native), next(published))
        assert native.position == published.position
    resumed = TrainStream(published.split, batch_size, 3, Position(*published.position))
    assert all(map(same, islice(resumed, 5), islice(published, 5)))


def test_more_rows_than_are_written_at_once(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset(train=((3, 1), (3000, 10)))
    write_published(tmp_path / "data", dataset)
    found = opened(tmp_path / "data", dataset)
    pairs = zip(
        eval_batches(dataset.split("train"), 1000),
        eval_batches(found.split("train"), 1000),
        strict=True,
    )
    assert sum(same(native, published) for native, published in pairs) == 10
    assert found.split("train").total_puzzle_examples == 9010


def test_names_and_further_files_are_json(published: Path, dataset: Dataset) -> None:
    names = json.loads((published / "identifiers.json").read_text())
    assert names == [name.decode() for name in dataset.names]
    assert json.loads((published / "test_puzzles.json").read_text()) == {"a": 1}


def test_large_arrays_stay_on_disk(published: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trm.data.array_files.MAX_IN_MEMORY", 0)
    split = opened(published).split("train")
    assert isinstance(split.inputs, np.memmap)
    assert not split.labels.flags.writeable


def test_it_is_told_from_our_own_layout(published: Path, tmp_path: Path) -> None:
    assert is_published(published)
    assert not is_published(tmp_path)
    assert not is_published(tmp_path / "absent")
    (published / "dataset.json").write_text("{}")
    assert not is_published(published)


def test_one_split_may_be_all_there_is(published: Path) -> None:
    for file in (published / "train").iterdir():
        file.unlink()
    assert list(opened(published).splits) == ["test"]
    with pytest.raises(DataError, match="has no 'train' split, only test"):
        opened(published).split("train")


def test_the_digest_is_of_what_is_there(published: Path, dataset: Dataset, tmp_path: Path) -> None:
    write_published(tmp_path / "copy", dataset)
    digests = [opened(published).meta.digest]
    assert opened(tmp_path / "copy").meta.digest == digests[0]
    for file in ("train/all__labels.npy", "test/all__puzzle_identifiers.npy"):
        array = np.load(tmp_path / "copy" / file)
        array.flat[0] = (array.flat[0] + 1) % 5
        np.save(tmp_path / "copy" / file, array)
        digests.append(opened(tmp_path / "copy").meta.digest)
    (tmp_path / "copy" / "identifiers.json").write_text(json.dumps(["other"] * 10))
    digests.append(opened(tmp_path / "copy").meta.digest)
    assert len(set(digests)) == 4


def test_a_full_disk_leaves_nothing(
    tmp_path: Path, dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(StorageError, match=r"^cannot write .*/data: no space left on the disk\."):
        write_published(tmp_path / "data", dataset)
    assert list(tmp_path.iterdir()) == []


def test_a_label_of_padding_is_not_scored(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset()
    split = dataset.split("test")
    labels = split.labels.copy()
    labels[:, 3:] = 0
    dataset = replace(dataset, splits={**dataset.splits, "test": replace(split, labels=labels)})
    write_published(tmp_path / "data", dataset)
    (native,) = eval_batches(dataset.split("test"), 100)
    (published,) = eval_batches(opened(tmp_path / "data").split("test"), 100)
    assert same(native, published)
    assert (published.labels == -100).sum(axis=1).tolist() == [3] * 5
