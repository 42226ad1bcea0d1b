"""The layout of the published builders: one folder per split, with every augmented example.

The files are ``train/dataset.json``, ``train/all__inputs.npy`` and so on, and ``identifiers.json``;
see ``puzzle_dataset.py`` and ``dataset/build_*.py`` of the published code.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from pydantic import ConfigDict, Field

from trm.config import Frozen
from trm.data.array_files import READER, open_array
from trm.data.augmentation import Augmentation
from trm.data.checks import find_problem
from trm.data.dataset import Dataset, DatasetMeta, SplitCounts
from trm.data.remember import remembered
from trm.data.split import IGNORE_LABEL, PAD, Split
from trm.errors import DataError
from trm.storage import atomic_folder

IDENTIFIERS_FILE = "identifiers.json"
#: The property of a native dataset whose puzzles have the identifiers of the published builder.
PUBLISHED_ORDER = "published_order"
SPLITS = ("train", "test")
#: The arrays of a split, by the NAME in ``all__NAME.npy``, and what they are in a :class:`Split`.
_ARRAYS = {
    "inputs": "inputs",
    "labels": "labels",
    "puzzle_identifiers": "identifiers",
    "puzzle_indices": "example_offsets",
    "group_indices": "puzzle_offsets",
}
_ROWS_AT_ONCE = 4096
#: ARC has a million names of some 40 characters.
_MAX_NAMES_BYTES = 1 << 30
_MAX_NAME_LENGTH = 256


class PublishedMeta(Frozen):
    """``dataset.json`` of one split, as the published code reads it.

    Attributes:
        task: the name of the task. Only trm writes it; the published code ignores it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pad_id: int = PAD
    ignore_label_id: int | None = PAD
    blank_identifier_id: int = 0
    vocab_size: int = Field(ge=1)
    seq_len: int = Field(ge=1)
    num_puzzle_identifiers: int
    total_groups: int
    mean_puzzle_examples: float
    total_puzzles: int | None = None
    sets: tuple[str, ...] = ("all",)
    task: str | None = None


def is_published(path: Path) -> bool:
    """Whether a folder holds a dataset in the published layout."""
    return not os.path.lexists(path / "dataset.json") and bool(_split_folders(path))


def read_published_meta(path: Path) -> PublishedMeta:
    """Read the published ``dataset.json`` of the first split.

    Raises:
        DataError: if it is damaged, or differs from what the published builders write.
    """
    return _read_split_meta(_split_folders(path)[0])


def _split_folders(path: Path) -> list[Path]:
    folders = [path / split for split in SPLITS]
    return [folder for folder in folders if os.path.lexists(folder / "dataset.json")]


def _read_split_meta(folder: Path) -> PublishedMeta:
    file = folder / "dataset.json"
    meta = READER.model(file, PublishedMeta)
    if (meta.pad_id, meta.ignore_label_id, meta.blank_identifier_id) != (PAD, PAD, 0):
        raise DataError(
            f"{file}: pad_id, ignore_label_id or blank_identifier_id is not 0, which no published "
            "builder writes. Build the data again."
        )
    if meta.sets != ("all",):
        raise DataError(
            f"{file} has the sets {', '.join(meta.sets)}; trm reads only the set 'all'. "
            "Build the data again."
        )
    return meta


def open_published(
    path: Path, meta: DatasetMeta, augmentation: Callable[[str], Augmentation | None]
) -> Dataset:
    """Open a folder in the published layout, and check every value in it.

    Large arrays stay on disk. What was checked once is not checked again until a file changes.

    Args:
        path: the folder.
        meta: the task's description of such puzzles; counts and digest are filled in.
        augmentation: maps the name of a split to its augmentation.

    Raises:
        DataError: if the folder is incomplete or damaged.
    """
    names = _read_names(path)
    meta = meta.model_copy(update={"num_puzzle_identifiers": len(names)})
    folders = _split_folders(path)
    splits = {folder.name: _open_split(folder, meta, names) for folder in folders}

    def check() -> str:
        sha = hashlib.sha256(json.dumps([meta.task, names.tolist()], default=bytes.decode).encode())
        for name, split in splits.items():
            if found := find_problem(split, meta):
                file = next(f"all__{n}.npy" for n, field in _ARRAYS.items() if field == found[0])
                raise READER.damaged(path / name / file, found[1])
            _add_digest(sha, name, split)
        return sha.hexdigest()

    files = [path / IDENTIFIERS_FILE]
    files += [folder / f"all__{name}.npy" for folder in folders for name in _ARRAYS]
    facts = (meta.task, meta.vocab_size, meta.seq_len)
    digest = remembered(files, facts, check)
    splits = {
        name: replace(
            split,
            example_offsets=split.example_offsets.astype(np.int64),
            puzzle_offsets=split.puzzle_offsets.astype(np.int64),
            augmentation=augmentation(name),
            identifiers=split.identifiers if len(names) > 1 else None,
            names=names if len(names) > 1 else None,
        )
        for name, split in splits.items()
    }
    counts = {name: SplitCounts.of(split, arrays=()) for name, split in splits.items()}
    return Dataset(path, meta.model_copy(update={"splits": counts, "digest": digest}), splits)


def _read_names(path: Path) -> NDArray[np.bytes_]:
    file = path / IDENTIFIERS_FILE
    names = READER.json(file, _MAX_NAMES_BYTES)
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise READER.damaged(file, "it is not a list of names")
    longest = max(map(len, names))
    if longest > _MAX_NAME_LENGTH:
        raise READER.damaged(file, f"a name has {longest:,} characters")
    return np.array([name.encode() for name in names])


def _open_split(folder: Path, meta: DatasetMeta, names: NDArray[np.bytes_]) -> Split:
    published = _read_split_meta(folder)
    if (published.vocab_size, published.seq_len) != (meta.vocab_size, meta.seq_len):
        raise READER.damaged(
            folder / "dataset.json",
            f"its puzzles have {published.seq_len} tokens of {published.vocab_size} kinds",
        )
    arrays: dict[str, Any] = {
        field: open_array(folder / f"all__{name}.npy") for name, field in _ARRAYS.items()
    }
    return Split(**arrays, names=names)


def _add_digest(sha: Any, split_name: str, split: Split) -> None:
    """Hash a split: its small files, and every n-th row of its examples, which may be gigabytes."""
    for name, field in _ARRAYS.items():
        array = getattr(split, field)
        step = max(1, len(array) // _ROWS_AT_ONCE) if array.ndim == 2 else 1
        sha.update(f"{split_name}/{name}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array[::step]).tobytes())


def write_published(path: Path, dataset: Dataset, extra: Mapping[str, Any] | None = None) -> None:
    """Write a dataset in the published layout, which the published trainer reads.

    Args:
        path: the folder, which appears complete or not at all.
        dataset: a native dataset.
        extra: additional JSON files of the task, by name.

    Raises:
        StorageError: if the disk is full or the folder cannot be written.
    """
    names = [b"<blank>"] if dataset.names is None else dataset.names.tolist()
    with atomic_folder(path) as folder:
        for name, split in dataset.splits.items():
            (folder / name).mkdir()
            _write_split(folder / name, split, dataset.meta)
        files = {IDENTIFIERS_FILE: [name.decode() for name in names], **(extra or {})}
        for file_name, content in files.items():
            (folder / file_name).write_text(json.dumps(content), encoding="utf-8")


def _write_split(folder: Path, split: Split, meta: DatasetMeta) -> None:
    begin, counts = split.example_range(np.arange(split.num_puzzles))
    ends = np.cumsum(counts)
    shape = (int(ends[-1]), meta.seq_len)
    # Not memory-mapped: on a full disk, writing to a mapped file kills the process.
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    with (
        (folder / "all__inputs.npy").open("wb") as inputs,
        (folder / "all__labels.npy").open("wb") as labels,
    ):
        for file in (inputs, labels):
            write_array_header_1_0(file, header)
        for start in range(0, shape[0], _ROWS_AT_ONCE):
            row = np.arange(start, min(start + _ROWS_AT_ONCE, shape[0]))
            puzzle = np.searchsorted(ends, row, side="right")
            batch = split.make_batch(begin[puzzle] + row - (ends[puzzle] - counts[puzzle]), puzzle)
            scored = np.where(batch.labels == IGNORE_LABEL, PAD, batch.labels)
            inputs.write(batch.inputs.astype(np.uint8).tobytes())
            labels.write(scored.astype(np.uint8).tobytes())
    small = {
        "puzzle_identifiers": np.zeros(split.num_puzzles)
        if split.identifiers is None
        else split.identifiers,
        "puzzle_indices": np.concatenate(([0], ends)),
        "group_indices": split.puzzle_offsets,
    }
    for name, array in small.items():
        np.save(folder / f"all__{name}.npy", np.asarray(array, np.int32), allow_pickle=False)
    published = PublishedMeta(
        vocab_size=meta.vocab_size,
        seq_len=meta.seq_len,
        num_puzzle_identifiers=meta.num_puzzle_identifiers,
        total_groups=split.num_groups,
        mean_puzzle_examples=split.mean_puzzle_examples(),
        total_puzzles=split.num_puzzles,
        task=meta.task,
    )
    (folder / "dataset.json").write_text(published.model_dump_json(), encoding="utf-8")
