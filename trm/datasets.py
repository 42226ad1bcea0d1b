"""Building and opening data sets: the data half of the Python API."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from trm.errors import InputError
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
    """Build a data set, whole or not at all: ``trm build-data``.

    Args:
        task: the task's name.
        out: the data folder, ``data/TASK`` if left out.
        preset: a named set of options.
        layout: ``published`` writes every augmented example out, as the published trainer reads it.
        overwrite: replace a data set that is there.
        options: those of the task, such as ``num_train=1000`` or ``source="hub"``.

    Raises:
        ConfigError: for an unknown option or a value out of range.
        InputError: if ``out`` is there, or a source cannot be used.
        StorageError: if the disk is full or the place may not be written.
    """
    found = get_task(task)
    folder = Path(out) if out is not None else Path("data") / found.name
    return build_chosen(found, folder, layout, overwrite, found.options(preset, **options))


def build_chosen(
    task: "Task", folder: Path, layout: Layout, overwrite: bool, options: "DataOptions"
) -> "DatasetMeta":
    """Build a data set with options that are settled; see :func:`build_data`."""
    import numpy as np

    from trm import data

    if folder.exists():
        ours = (folder / "dataset.json").is_file() or data.is_published(folder)
        if not (overwrite and ours):
            way_out = ", or replace it with --overwrite." if ours else "."
            raise InputError(f"{folder} exists already. Name another --out{way_out}")
    build = task.build_data if layout == "native" else task.build_published
    return build(folder, options, np.random.default_rng(options.seed))


def open_data(folder: str | Path, *more: str | Path, task: str | None = None) -> "Dataset":
    """Open a data set, or several, joined: what ``trm inspect-data`` looks at.

    Args:
        folder: a data folder.
        more: others of the same task.
        task: whose they are; told by the first folder if left out.

    Raises:
        DataError: if one is none, incomplete, or of another task.
    """
    found = task_of(Path(folder)) if task is None else get_task(task)
    return found.open_data([folder, *more])


def task_of(folder: Path) -> "Task":
    """The task that a data folder belongs to.

    Raises:
        DataError, InputError: if it is none, or of no installed task.
    """
    from trm import data

    if not data.is_published(folder):
        return get_task(data.read_meta(folder).task)
    stated = data.read_published_meta(folder)
    if stated.task is not None:
        return get_task(stated.task)
    for installed in list_tasks().values():
        if installed.task.published_data_meta(stated.vocab_size, stated.seq_len) is not None:
            return installed.task
    raise InputError(
        f"{folder} (published layout) has puzzles of {stated.seq_len} tokens of "
        f"{stated.vocab_size} kinds, which no installed task has. See trm tasks."
    )
