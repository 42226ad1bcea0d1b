"""Building and opening datasets: the data half of the Python API."""

import contextlib
import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trm.errors import DataError, InputError, TrmWarning
from trm.storage import Paths, as_paths, replacing
from trm.tasks.build_command import build_command, preset_flags
from trm.tasks.registry import get_task, list_tasks

if TYPE_CHECKING:
    from trm.data import Dataset, DatasetMeta
    from trm.tasks.base import DataOptions, Task

Layout = Literal["native", "published"]


def build_data(
    task: str,
    *,
    out: str | Path | None = None,
    preset: str | None = None,
    layout: Layout = "native",
    overwrite: bool = False,
    **options: Any,
) -> "DatasetMeta":
    """Build a dataset, completely or not at all: ``trm build-data``.

    Args:
        task: the name of the task.
        out: the data folder; default: ``data/TASK``.
        preset: a named set of options.
        layout: ``published`` writes all augmented examples, in the format of the published trainer.
        overwrite: replace an existing dataset.
        options: options of the task, such as ``num_train=1000`` or ``source="hub"``.

    Raises:
        ConfigError: for an unknown option or a value out of range.
        InputError: if ``out`` exists, or a source cannot be used.
        StorageError: if the disk is full or the folder cannot be written.
    """
    chosen = get_task(task)
    folder = Path(out) if out is not None else Path("data") / chosen.name
    return build_with_options(chosen, folder, layout, overwrite, chosen.options(preset, **options))


def build_with_options(
    task: "Task", folder: Path, layout: Layout, overwrite: bool, options: "DataOptions"
) -> "DatasetMeta":
    """Build a dataset with validated options; see :func:`build_data`."""
    import numpy as np

    from trm import data

    if folder.exists():
        is_dataset = (folder / "dataset.json").is_file() or data.is_published(folder)
        if not (overwrite and is_dataset):
            advice = ", or replace it with --overwrite." if is_dataset else "."
            raise InputError(f"{folder} exists already. Name another --out{advice}")
    build = task.build_data if layout == "native" else task.build_published
    with replacing(folder) if overwrite else contextlib.nullcontext():
        meta = build(folder, options, np.random.default_rng(options.seed))
    for warning in task.build_warnings(meta):
        warnings.warn(warning, TrmWarning, stacklevel=4)
    return meta


def open_data(folder: Paths, *more: str | Path, task: str | None = None) -> "Dataset":
    """Open a dataset, or several datasets of one task as one.

    Args:
        folder: a data folder, or several of one task in a list.
        more: other data folders of the same task.
        task: the name of the task; default: the task of the first folder.

    Raises:
        DataError: if a folder is not a dataset, is incomplete or damaged, has changed since it was
            built, or belongs to another task.
    """
    folders = [*as_paths(folder), *more]
    if not folders:
        raise DataError("no data folder was given. Give one or more.")
    chosen = task_of(Path(folders[0])) if task is None else get_task(task)
    return chosen.open_data(folders)


def task_of(folder: Path) -> "Task":
    """The task that a data folder belongs to.

    Raises:
        DataError, InputError: if it is not a data folder, or of a task that is not installed.
    """
    from trm import data

    if not os.path.lexists(folder):
        likely = folder.name if folder.name in list_tasks() else "sudoku"
        task = get_task(likely)
        flags = preset_flags(task, "mini" if "mini" in task.presets else None)
        command = build_command(task, folder, flags)
        raise DataError(f"{folder}: no such data folder. Build one, such as: {command}")
    if not data.is_published(folder):
        return get_task(data.read_meta(folder).task)
    published = data.read_published_meta(folder)
    if published.task is not None:
        return get_task(published.task)
    for installed in list_tasks().values():
        if installed.task.published_data_meta(published.vocab_size, published.seq_len) is not None:
            return installed.task
    raise InputError(
        f"{folder} (published layout) has puzzles of {published.seq_len} tokens of "
        f"{published.vocab_size} kinds, which no installed task has. See trm tasks."
    )
