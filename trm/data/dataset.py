"""A dataset on disk: ``dataset.json``, and one folder of memory-mapped arrays per split."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trm.config import FORMAT_VERSION, Frozen, first_problem
from trm.data.augmentation import Augmentation
from trm.data.split import OPTIONAL, PAD, REQUIRED, Split
from trm.errors import DataError
from trm.storage import atomic_folder

META_FILE = "dataset.json"
NAMES_FILE = "identifiers.npy"


class SplitCounts(Frozen):
    """The size of a split; ``arrays`` has the names of its files."""

    groups: int
    puzzles: int
    examples: int
    arrays: tuple[str, ...]

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
    seq_len: int
    num_puzzle_identifiers: int = 1
    properties: dict[str, Any] = {}
    splits: dict[str, SplitCounts] = {}
    digest: str = ""

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

    def split(self, name: str) -> Split:
        """The split of this name, such as ``train`` or ``test``.

        Raises:
            DataError: if there is no such split.
        """
        if name not in self.splits:
            raise DataError(
                f"{self.path} has no {name!r} split, only {', '.join(self.splits)}. "
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
    problem = None
    if not len(split.inputs) or not split.num_puzzles:
        problem = "it is empty"
    for array in ("inputs", "labels"):
        tokens: NDArray[Any] = getattr(split, array)
        if tokens.dtype != np.uint8:
            problem = problem or f"{array} are {tokens.dtype}, not uint8"
        elif tokens.shape[1:] != (meta.seq_len,):
            problem = (
                problem or f"{array} have shape {tokens.shape}, not (examples, {meta.seq_len})"
            )
        elif tokens.size and tokens.max() >= meta.vocab_size:
            problem = (
                problem or f"{array} have token {tokens.max()}, but only {meta.vocab_size} exist"
            )
    if not problem and not (split.labels != PAD).any(axis=1).all():
        problem = "an example has no label to score"
    if meta.num_puzzle_identifiers != (1 if split.names is None else len(split.names)):
        problem = problem or "num_puzzle_identifiers is not the number of their names"
    identifiers = split.identifiers
    if identifiers is not None and identifiers.max(initial=0) >= meta.num_puzzle_identifiers:
        problem = problem or f"identifier {identifiers.max()} is beyond num_puzzle_identifiers"
    if problem:
        raise DataError(
            f"the {name} split of task {meta.task} cannot be used: {problem}. Correct it."
        )


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
    if not path.is_dir():
        raise DataError(f"{path}: no such data folder. Build one: trm build-data TASK --out {path}")
    if not file.is_file():
        raise DataError(
            f"{path} has no {META_FILE}: it is incomplete or not a dataset. Build it again."
        )
    try:
        raw = json.loads(file.read_text(encoding="utf-8"))
        version = raw.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise DataError(
                f"{path} has format {version}, this trm reads up to {FORMAT_VERSION}. "
                "Upgrade trm, or build the data again."
            )
        return DatasetMeta.model_validate(raw)
    except ValidationError as error:
        reason = first_problem(error)
        raise DataError(f"{file} is damaged: {reason}. Build the data again.") from error
    except (ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file} is damaged: {reason}. Build the data again.") from error


def open_dataset(
    path: Path, augmentation: Callable[[str], Augmentation | None] = lambda split: None
) -> Dataset:
    """Open a data folder; the arrays stay on disk until they are used.

    Args:
        path: the folder.
        augmentation: maps the name of a split to its augmentation.

    Raises:
        DataError: if the folder is not a dataset, is incomplete, or has a newer format.
    """
    meta = read_meta(path)
    names = _open_names(path, meta)
    splits = {
        name: _open_split(path / name, counts, names, augmentation(name))
        for name, counts in meta.splits.items()
    }
    return Dataset(path, meta, splits)


def _open_names(path: Path, meta: DatasetMeta) -> NDArray[np.bytes_] | None:
    if meta.num_puzzle_identifiers == 1:
        return None
    names = open_array(path / NAMES_FILE)
    if len(names) != meta.num_puzzle_identifiers:
        raise DataError(
            f"{path / NAMES_FILE} has {len(names)} names, but {META_FILE} says "
            f"{meta.num_puzzle_identifiers}. Build it again."
        )
    return names


def _open_split(
    folder: Path,
    counts: SplitCounts,
    names: NDArray[np.bytes_] | None,
    augmentation: Augmentation | None,
) -> Split:
    arrays = {array: open_array(folder / f"{array}.npy") for array in counts.arrays}
    lengths = {
        "inputs": counts.examples,
        "labels": counts.examples,
        "example_offsets": counts.groups + 1,
        "puzzle_offsets": counts.groups + 1,
        **dict.fromkeys(OPTIONAL, counts.puzzles),
    }
    for array_name in REQUIRED:
        if array_name not in arrays:
            raise DataError(f"{folder} is incomplete: {array_name} is missing. Build it again.")
    for array_name, array in arrays.items():
        rows, expected = sum(array.shape[:1]), lengths.get(array_name, counts.groups)
        if rows != expected:
            raise DataError(
                f"{folder / array_name}.npy has {rows} rows, but {META_FILE} says {expected}. "
                "Build it again."
            )
    info = {n.removeprefix("info_"): a for n, a in arrays.items() if n.startswith("info_")}
    fields = {n: a for n, a in arrays.items() if not n.startswith("info_")}
    return Split(**fields, info=info, names=names, augmentation=augmentation)


def open_array(file: Path) -> NDArray[Any]:
    """Open a ``.npy`` file, which stays on disk until it is used.

    Raises:
        DataError: if it is missing or damaged.
    """
    if not file.is_file():
        raise DataError(f"{file.parent} is incomplete: {file.name} is missing. Build it again.")
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{file} is damaged: {reason}. Build the data again.") from error
    return array
