"""Puzzles and solutions from CSV files in the columns of the Hub's data sets."""

import codecs
import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from trm.errors import DataError, InputError

COLUMNS = ("source", "question", "answer", "rating")


class Table(Protocol):
    """Puzzles with their solutions."""

    def __len__(self) -> int: ...

    def take(self, rows: NDArray[Any]) -> Self:
        """The given rows, or those where a mask is true."""
        ...


AnyTable = TypeVar("AnyTable", bound=Table)


def download(repository: str, split: str) -> Path:
    """Fetch ``train.csv`` or ``test.csv`` of a Hub data set, or take it from the Hub's cache.

    Raises:
        DataError: if the Hub cannot be reached; the message names the other sources.
    """
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(repository, f"{split}.csv", repo_type="dataset"))
    except Exception as error:  # the errors of its HTTP library, which differs between versions
        raise DataError(
            f"cannot download {repository} from the Hub ({type(error).__name__}). Use puzzles "
            "of your own with --source FOLDER (train.csv and test.csv) or generated ones with "
            "--source generate."
        ) from error


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The number and the fields of each line of a CSV file with the columns of :data:`COLUMNS`.

    Raises:
        InputError: if the file is missing, is no CSV, lacks a column or has no line; for a line
            with too few or too many fields, naming it.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file. Name a folder with train.csv and test.csv.")
    with path.open("rb") as file:
        if file.read(3) != codecs.BOM_UTF8:
            file.seek(0)
        reader = csv.DictReader((line.decode() for line in file), strict=True)
        try:
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise InputError(
                    f"{path}, line 1: column {missing[0]!r} is missing. "
                    f"The header must name {', '.join(COLUMNS)}."
                )
            row: dict[Any, Any]
            for row in reader:
                if None in row or None in row.values():
                    few = "few" if None in row.values() else "many"
                    raise InputError(
                        f"{path}, line {reader.line_num}: too {few} fields. Mend the line."
                    )
                yield reader.line_num, row
        except (UnicodeDecodeError, csv.Error) as error:
            raise InputError(
                f"{path}, line {reader.line_num + 1}: not CSV text: {error}. Mend the file."
            ) from error
        if reader.line_num < 2:
            raise InputError(f"{path} has no puzzle. Give a file with some.")


def divide(
    source: str,
    num_train: int,
    num_test: int | None,
    rng: np.random.Generator,
    *,
    repository: str,
    read: Callable[[Path], AnyTable],
    is_copy: Callable[[AnyTable, AnyTable], NDArray[np.bool_]],
) -> tuple[AnyTable, AnyTable]:
    """The puzzles to train on and those to test on, from the Hub or from files.

    Of a folder, or of the Hub, random ones of ``train.csv`` and the first of ``test.csv``; one
    file is divided at random.

    Args:
        source: ``hub``, a folder, or a file.
        num_train: how many to train on.
        num_test: how many to test on at most, None for all.
        rng: what to draw from.
        repository: the Hub's data set.
        read: reads and checks one file.
        is_copy: which rows of its second table (rows,) are copies of some of its first.

    Raises:
        InputError: if there is no such file, or too few puzzles in it.
    """
    path = Path(source)
    if source == "hub":
        files = (download(repository, "train"), download(repository, "test"))
    elif path.is_dir():
        files = (path / "train.csv", path / "test.csv")
    elif path.is_file():
        train, rest = _chosen(read(path), num_train, rng, path)
        test = rest.take(~is_copy(train, rest))
        if not len(test):
            raise InputError(f"{path}: no puzzle is left to test on. Lower --num-train.")
        return train, test.take(np.arange(len(test))[:num_test])
    else:
        raise InputError(
            f"--source {source}: no such file or folder, and not one of hub, generate."
        )
    train, test = map(read, files)
    test = test.take(np.arange(len(test))[:num_test])
    return _chosen(train, num_train, rng, files[0])[0], test


def _chosen(
    table: AnyTable, count: int, rng: np.random.Generator, file: Path
) -> tuple[AnyTable, AnyTable]:
    """``count`` random rows, and the rest; all rows in their order if ``count`` is all of them."""
    if count > len(table):
        raise InputError(
            f"{file} has only {len(table)} such puzzles, not {count}. Lower --num-train."
        )
    rows = np.zeros(len(table), bool)
    rows[rng.choice(len(table), count, replace=False)] = True
    return table.take(rows), table.take(~rows)


def common_num_cells(train: NDArray[Any], test: NDArray[Any]) -> int:
    """The number of cells of training and test boards (puzzles, cells).

    Raises:
        InputError: if they differ.
    """
    if train.shape[1] != test.shape[1]:
        raise InputError(
            f"training boards have {train.shape[1]} cells, test boards {test.shape[1]}. "
            "Give files of one size."
        )
    return int(train.shape[1])
