"""A dataset on disk: ``dataset.json``, and one folder of memory-mapped arrays per split."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from trm.config import FORMAT_VERSION, Frozen
from trm.data.array_files import READER, open_array
from trm.data.augmentation import Augmentation
from trm.data.checks import find_problem, limits, name_problems
from trm.data.remember import remembered
from trm.data.split import OPTIONAL, REQUIRED, Split
from trm.errors import DataError
from trm.html_text import table_html
from trm.storage import atomic_folder

META_FILE = "dataset.json"
NAMES_FILE = "identifiers.npy"

#: Names that lead to no other folder.
_ArrayName = Annotated[str, Field(pattern=f"^({'|'.join(REQUIRED + OPTIONAL)}|info_[^/\\\\]+)$")]
_SplitName = Annotated[str, Field(pattern=r"^[^./\\][^/\\]*$")]


class SplitCounts(Frozen):
    """The size of a split; ``arrays`` has the names of its files."""

    groups: int
    puzzles: int
    examples: int
    arrays: tuple[_ArrayName, ...]

    @classmethod
    def of(cls, split: Split, arrays: Iterable[str] | None = None) -> "SplitCounts":
        """The counts of a split; ``arrays`` defaults to all of its arrays."""
        return cls(
            groups=split.num_groups,
            puzzles=split.num_puzzles,
            examples=len(split.inputs),
            arrays=tuple(split.arrays() if arrays is None else arrays),
        )


class DatasetMeta(Frozen):
    """``dataset.json``: the description of a dataset.

    Attributes:
        vocabulary: the symbol of each token; token 0 is padding.
        properties: facts of the task about its puzzles, such as the size of a Sudoku.
        digest: SHA-256 of all arrays and of the fields that are needed to read them.
    """

    format_version: int = FORMAT_VERSION
    task: str
    source: str
    seed: int
    options: dict[str, Any] = {}
    vocabulary: tuple[str, ...]
    seq_len: int = Field(ge=1)
    num_puzzle_identifiers: int = Field(1, ge=1)
    properties: dict[str, Any] = {}
    splits: dict[_SplitName, SplitCounts] = {}
    digest: str = ""

    def __repr__(self) -> str:
        sizes = [f"{name} {counts.groups:,}" for name, counts in self.splits.items()]
        return (
            f"<DatasetMeta of task {self.task}, source {self.source}, seed {self.seed}: "
            f"{', '.join(sizes) or 'no'} puzzles of {self.seq_len} cells>"
        )

    __str__ = __repr__

    @property
    def vocab_size(self) -> int:
        """Number of tokens, V."""
        return len(self.vocabulary)


@dataclass(frozen=True)
class Dataset:
    """An opened dataset."""

    path: Path
    meta: DatasetMeta
    splits: Mapping[str, Split]

    def __repr__(self) -> str:
        sizes = [f"{name} {split.num_groups:,}" for name, split in self.splits.items()]
        puzzles = f"{', '.join(sizes)} puzzles of {self.meta.seq_len} cells"
        return f"<Dataset {self.path}: task {self.meta.task}, {puzzles}>"

    def _repr_html_(self) -> str:
        """For notebooks: the size of each split."""
        rows = [
            (name, f"{split.num_groups:,}", f"{split.num_puzzles:,}", f"{len(split.inputs):,}")
            for name, split in self.splits.items()
        ]
        title = f"Dataset {self.path}: task {self.meta.task}, source {self.meta.source}"
        return table_html(title, ("split", "puzzles", "with augmentations", "examples"), rows)

    def split(self, name: str) -> Split:
        """The split of this name, such as ``train`` or ``test``.

        Raises:
            DataError: if there is no such split.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.path} has no {name!r} split, only {', '.join(self.splits) or 'none'}. "
                "Name one of those, or another data folder."
            )
        return self.splits[name]

    @property
    def names(self) -> NDArray[np.bytes_] | None:
        """The names of the puzzle identifiers, (num_puzzle_identifiers,) byte strings."""
        return names_of(self.splits)


def names_of(splits: Mapping[str, Split]) -> NDArray[np.bytes_] | None:
    """The names of a dataset's puzzle identifiers, which all its splits share."""
    return next((split.names for split in splits.values() if split.names is not None), None)


def write(path: Path, meta: DatasetMeta, splits: Mapping[str, Split]) -> DatasetMeta:
    """Write a dataset; the folder appears complete or not at all.

    Returns:
        ``meta`` as written, with counts and digest.

    Raises:
        DataError: if the arrays do not match ``meta``.
        StorageError: if the disk is full or the folder cannot be written.
    """
    for name, split in splits.items():
        _check_split(meta, name, split)
    counts = {name: SplitCounts.of(split) for name, split in splits.items()}
    meta = meta.model_copy(update={"splits": counts})
    meta = meta.model_copy(update={"digest": digest(meta, splits)})
    with atomic_folder(path) as folder:
        for name, split in splits.items():
            (folder / name).mkdir()
            for array_name, array in split.arrays().items():
                np.save(folder / name / f"{array_name}.npy", array, allow_pickle=False)
        names = names_of(splits)
        if names is not None:
            np.save(folder / NAMES_FILE, names, allow_pickle=False)
        (folder / META_FILE).write_text(meta.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return meta


def _check_split(meta: DatasetMeta, name: str, split: Split) -> None:
    """Refuse to write a split that could not be trained on."""
    num_names = 1 if split.names is None else len(split.names)
    if not len(split.inputs) or not split.num_puzzles:
        problem = "it is empty"
    elif meta.num_puzzle_identifiers != num_names:
        problem = "num_puzzle_identifiers is not the number of their names"
    elif found := find_problem(split, meta, SplitCounts.of(split), {}):
        problem = f"{found[0]}: {found[1]}"
    else:
        return
    raise DataError(f"the {name} split of task {meta.task} cannot be used: {problem}. Correct it.")


def digest(meta: DatasetMeta, splits: Mapping[str, Split]) -> str:
    """SHA-256 of the contents of a dataset, the same on every machine."""
    sha = hashlib.sha256()
    facts = (meta.task, meta.vocabulary, meta.seq_len, meta.num_puzzle_identifiers, meta.properties)
    sha.update(json.dumps(facts, sort_keys=True).encode())
    arrays = {
        f"{split_name}/{name}": array
        for split_name in sorted(splits)
        for name, array in sorted(splits[split_name].arrays().items())
    }
    names = names_of(splits)
    if names is not None:
        arrays["names"] = names
    for name, array in arrays.items():
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        sha.update(f"{name}{array.shape}{little.dtype.str}".encode())
        sha.update(np.ascontiguousarray(little).data)
    return sha.hexdigest()


def read_meta(path: Path) -> DatasetMeta:
    """Read ``dataset.json`` of a data folder.

    Raises:
        DataError: if the folder is not a dataset, or has a newer format.
    """
    file = path / META_FILE
    if not os.path.lexists(path):
        raise DataError(f"{path}: no such data folder. Build it with trm build-data.")
    if not os.path.lexists(file) and os.access(path, os.X_OK):  # so we would see it
        raise DataError(
            f"{path} has no {META_FILE}: it is incomplete or not a dataset. Build it again."
        )
    meta = READER.model(file, DatasetMeta)
    if not re.fullmatch("[0-9a-f]{64}", meta.digest):
        raise READER.damaged(file, f"digest is {meta.digest!r:.80}, not a SHA-256")
    return meta


def open_dataset(
    path: Path,
    augmentation: Callable[[str], Augmentation | None] = lambda split: None,
    info_kinds: Mapping[str, str] | None = None,
    *,
    allow_changed: bool = False,
) -> Dataset:
    """Open a data folder, and check every value in it. Large arrays stay on disk.

    What was checked once is not checked again until a file changes.

    Args:
        path: the folder.
        augmentation: maps the name of a split to its augmentation.
        info_kinds: see :attr:`trm.tasks.base.Task.info_kinds`.
        allow_changed: also open a dataset whose digest is not that in ``dataset.json``.

    Raises:
        DataError: if the folder is not a dataset, is incomplete or damaged, has a newer format, or
            has changed since it was built.
    """
    meta, info_kinds = read_meta(path), info_kinds or {}
    names = None
    if meta.num_puzzle_identifiers > 1:
        names = open_array(path / NAMES_FILE)
    splits = {
        name: _open_split(path / name, counts, names, augmentation(name), info_kinds)
        for name, counts in meta.splits.items()
    }

    def check() -> str:
        if names is not None:
            for _, problem in name_problems(names, meta.num_puzzle_identifiers):
                raise READER.damaged(path / NAMES_FILE, problem)
        for name, split in splits.items():
            if found := find_problem(split, meta, meta.splits[name], info_kinds):
                raise READER.damaged(path / name / f"{found[0]}.npy", found[1])
        return digest(meta, splits)

    files = [path / META_FILE] + [path / NAMES_FILE] * (names is not None)
    files += [path / name / f"{a}.npy" for name, c in meta.splits.items() for a in c.arrays]
    actual = remembered(files, [info_kinds, limits(splits)], check)
    if actual != meta.digest and not allow_changed:
        raise DataError(
            f"{path} has changed since it was built: its digest is {actual[:12]}, {META_FILE} has "
            f"{meta.digest[:12]}. Build the data again."
        )
    return Dataset(path, meta, splits)


def _open_split(
    folder: Path,
    counts: SplitCounts,
    names: NDArray[np.bytes_] | None,
    augmentation: Augmentation | None,
    info_kinds: Iterable[str],
) -> Split:
    arrays = {array: open_array(folder / f"{array}.npy") for array in counts.arrays}
    for array_name in (*REQUIRED, *(f"info_{name}" for name in info_kinds)):
        if array_name not in arrays:
            raise DataError(f"{folder} is incomplete: {array_name} is missing. Build it again.")
    info = {n.removeprefix("info_"): a for n, a in arrays.items() if n.startswith("info_")}
    fields = {n: a for n, a in arrays.items() if not n.startswith("info_")}
    return Split(**fields, info=info, names=names, augmentation=augmentation)
