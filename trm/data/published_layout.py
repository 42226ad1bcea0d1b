"""The layout of the published builders: one folder per split, with every augmented example.

The files are ``train/dataset.json``, ``train/all__inputs.npy`` and so on, and ``identifiers.json``;
see ``puzzle_dataset.py`` and ``dataset/build_*.py`` of the published code.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray
from pydantic import ConfigDict, ValidationError

from trm.config import Frozen, first_problem
from trm.data.augmentation import Augmentation
from trm.data.dataset import Dataset, DatasetMeta, SplitCounts, open_array
from trm.data.split import IGNORE_LABEL, PAD, Split
from trm.errors import DataError
from trm.storage import atomic_folder

IDENTIFIERS_FILE = "identifiers.json"
#: The property of a native dataset whose puzzles have the identifiers of the published builder.
PUBLISHED_ORDER = "published_order"
SPLITS = ("train", "test")
#: The arrays of a split; array NAME is in the file ``all__NAME.npy``.
_ARRAYS = ("inputs", "labels", "puzzle_identifiers", "puzzle_indices", "group_indices")
_ROWS_AT_ONCE = 4096


class PublishedMeta(Frozen):
    """``dataset.json`` of one split, as the published code reads it.

    Attributes:
        task: the name of the task. Only trm writes it; the published code ignores it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    pad_id: int = PAD
    ignore_label_id: int | None = PAD
    blank_identifier_id: int = 0
    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int
    total_groups: int
    mean_puzzle_examples: float
    total_puzzles: int | None = None
    sets: tuple[str, ...] = ("all",)
    task: str | None = None


def is_published(path: Path) -> bool:
    """Whether a folder holds a dataset in the published layout."""
    native = (path / "dataset.json").is_file()
    return not native and any((path / split / "dataset.json").is_file() for split in SPLITS)


def read_published_meta(path: Path) -> PublishedMeta:
    """Read the published ``dataset.json`` of the first split.

    Raises:
        DataError: if it is damaged, or differs from what the published builders write.
    """
    return next(
        _read_split_meta(path / split)
        for split in SPLITS
        if (path / split / "dataset.json").is_file()
    )


def _read_split_meta(folder: Path) -> PublishedMeta:
    file = folder / "dataset.json"
    try:
        meta = PublishedMeta.model_validate_json(file.read_bytes())
    except ValidationError as error:
        reason = first_problem(error)
        raise DataError(f"{file} is damaged: {reason}. Build the data again.") from error
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
    """Open a folder in the published layout; the arrays stay on disk.

    Args:
        path: the folder.
        meta: the task's description of such puzzles; counts and digest are filled in.
        augmentation: maps the name of a split to its augmentation.

    Raises:
        DataError: if the folder is incomplete or damaged.
    """
    names = _read_names(path)
    sha = hashlib.sha256(json.dumps([meta.task, names.tolist()], default=bytes.decode).encode())
    splits: dict[str, Split] = {}
    for name in SPLITS:
        folder = path / name
        if (folder / "dataset.json").is_file():
            split = _open_split(folder, meta, names)
            splits[name] = replace(split, augmentation=augmentation(name))
            _add_digest(sha, folder)
    counts = {name: SplitCounts.of(split, arrays=()) for name, split in splits.items()}
    update = {"splits": counts, "digest": sha.hexdigest(), "num_puzzle_identifiers": len(names)}
    return Dataset(path, meta.model_copy(update=update), splits)


def _read_names(path: Path) -> NDArray[np.bytes_]:
    file = path / IDENTIFIERS_FILE
    if not file.is_file():
        raise DataError(f"{path} is incomplete: {IDENTIFIERS_FILE} is missing. Build it again.")
    try:
        names = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(names, list) or not names:
            raise ValueError("it is not a list of names")
        return np.array([name.encode() for name in names])
    except (ValueError, AttributeError) as error:
        raise DataError(f"{file} is damaged: {error}. Build the data again.") from error


def _open_split(folder: Path, meta: DatasetMeta, names: NDArray[np.bytes_]) -> Split:
    published = _read_split_meta(folder)
    arrays = {name: open_array(folder / f"all__{name}.npy") for name in _ARRAYS}
    problem = _find_problem(arrays, published, meta, len(names))
    if problem:
        raise DataError(f"{folder} is damaged: {problem}. Build the data again.")
    named = len(names) > 1
    return Split(
        inputs=arrays["inputs"],
        labels=arrays["labels"],
        example_offsets=arrays["puzzle_indices"].astype(np.int64),
        puzzle_offsets=arrays["group_indices"].astype(np.int64),
        identifiers=arrays["puzzle_identifiers"] if named else None,
        names=names if named else None,
    )


def _find_problem(
    arrays: Mapping[str, NDArray[Any]], published: PublishedMeta, meta: DatasetMeta, num_names: int
) -> str | None:
    """The first problem with the arrays of a split, None if they are valid."""
    if (published.vocab_size, published.seq_len) != (meta.vocab_size, meta.seq_len):
        return f"its puzzles have {published.seq_len} tokens of {published.vocab_size} kinds"
    for name in ("puzzle_indices", "group_indices"):
        offsets = arrays[name]
        rises = offsets.ndim == 1 and len(offsets) > 1 and not offsets[0]
        if not rises or (np.diff(offsets.astype(np.int64)) < 1).any():
            return f"all__{name}.npy does not rise from 0"
    examples, puzzles = int(arrays["puzzle_indices"][-1]), len(arrays["puzzle_indices"]) - 1
    shapes: dict[str, tuple[int, ...]] = {
        "inputs": (examples, meta.seq_len),
        "labels": (examples, meta.seq_len),
        "puzzle_identifiers": (puzzles,),
    }
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            return f"all__{name}.npy has shape {arrays[name].shape}, not {shape}"
    if arrays["group_indices"][-1] != puzzles:
        return f"group_indices ends at {arrays['group_indices'][-1]}, there are {puzzles} puzzles"
    highest = arrays["puzzle_identifiers"].max()
    if highest >= num_names:
        return f"it has identifier {highest}, but {IDENTIFIERS_FILE} has only {num_names} names"
    return None


def _add_digest(sha: Any, folder: Path) -> None:
    """Hash a split: its small files, and every n-th row of its examples, which may be gigabytes."""
    for name in _ARRAYS:
        array = open_array(folder / f"all__{name}.npy")
        step = max(1, len(array) // _ROWS_AT_ONCE) if array.ndim == 2 else 1
        sha.update(f"{folder.name}/{name}{array.shape}".encode())
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
        mean_puzzle_examples=split.mean_puzzle_examples,
        total_puzzles=split.num_puzzles,
        task=meta.task,
    )
    (folder / "dataset.json").write_text(published.model_dump_json(), encoding="utf-8")
