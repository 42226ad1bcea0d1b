"""What a shell completes after ``trm``: tasks, presets, settings, runs, data and devices.

Nothing here imports torch, so that an answer comes while people type. Where nothing fits, the shell
completes the names of files.
"""

from collections.abc import Iterable
from pathlib import Path

import typer

from trm.config import setting_names
from trm.data.dataset import META_FILE
from trm.runs.layout import CONFIG_FILE
from trm.tasks.registry import get_task, list_tasks
from trm.trackers.registry import list_trackers


def tasks() -> Iterable[tuple[str, str]]:
    """The installed tasks, with their summaries."""
    return [(name, entry.task.summary) for name, entry in list_tasks().items()]


def presets(ctx: typer.Context) -> Iterable[tuple[str, str]]:
    """The presets of the task that is typed already, with their summaries."""
    return [(name, preset.summary) for name, preset in get_task(_task(ctx)).presets.items()]


def kinds() -> Iterable[tuple[str, str]]:
    """The kinds of models, with their summaries."""
    from trm.models import list_model_kinds  # imports torch

    return [(name, kind.model.summary) for name, kind in list_model_kinds().items()]


def settings(incomplete: str) -> Iterable[str]:
    """The beginnings of assignments: ``model.hidden_size=``."""
    names = [name for name in setting_names() if name.startswith(incomplete)]
    endings = ("=",) if len(names) > 1 else ("=", "=VALUE")  # after a single one comes a space
    return [f"{name}{ending}" for name in names for ending in endings]


def runs() -> Iterable[str]:
    """The runs in ``runs``: ``runs/sudoku/a``."""
    return [str(file.parent) for file in sorted(Path("runs").glob(f"*/*/{CONFIG_FILE}"))]


def resume() -> Iterable[str]:
    """The values of ``--resume``."""
    return ["auto", "never", *runs()]


def run_names(ctx: typer.Context) -> Iterable[str]:
    """The names of the runs of the task that is typed already, to resume one."""
    folder = Path(str(ctx.params.get("runs") or "runs")) / _task(ctx)
    return [file.parent.name for file in sorted(folder.glob(f"*/{CONFIG_FILE}"))]


def data_folders() -> Iterable[str]:
    """The datasets in ``data``: ``data/sudoku``."""
    return [str(file.parent) for file in sorted(Path("data").glob(f"*/{META_FILE}"))]


def devices() -> Iterable[str]:
    """Names of devices. Which of them are here, only torch knows."""
    return ["auto", "cpu", "cuda", "mps"]


def trackers() -> Iterable[str]:
    """The installed trackers."""
    return list_trackers()


def augmentation() -> Iterable[str]:
    """The values of ``--augment``."""
    return ["stored", "online"]


def _task(ctx: typer.Context) -> str:
    """The argument TASK. It is still among the words if the option has no value yet."""
    return str(ctx.params.get("task") or (ctx.args or [""])[0])
