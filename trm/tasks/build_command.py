"""The command that builds a dataset, for messages and model cards."""

import os
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from trm.errors import DataError

if TYPE_CHECKING:
    from trm.data import DatasetMeta
    from trm.tasks.base import Task


def build_command(task: "Task", folder: Path, options: list[str]) -> str:
    """A ``trm build-data`` command, quoted for a shell.

    Args:
        task: the task.
        folder: the data folder to build.
        options: the flags that choose the data.
    """
    out = [] if folder == Path("data") / task.name else ["--out", str(folder)]
    return shlex.join(["trm", "build-data", task.name, *options, *out])


def preset_flags(task: "Task", preset: str | None) -> list[str]:
    """The flags for the data of a preset; none if it changes no data."""
    return ["--preset", preset] if preset and task.preset(preset).data else []


def recorded_flags(task: "Task", meta: "DatasetMeta") -> list[str] | None:
    """The fewest flags that build a dataset again; None if trm did not build it, or not as one."""
    if not meta.options or " + " in meta.source:
        return None
    options = {**meta.options, "source": meta.source, "seed": meta.seed}
    try:
        given = task.data_options.model_validate(options).model_dump()
    except ValidationError:
        return None
    found = []
    for preset in (None, *task.presets):
        flags = _flags(task, given, task.preset(preset).data)
        if flags is not None:
            found.append(preset_flags(task, preset) + flags)
    return min(found, key=len)


def _flags(task: "Task", given: Mapping[str, Any], preset: Mapping[str, Any]) -> list[str] | None:
    """The flags for all options that a preset has not; None if a flag cannot undo the preset."""
    flags = []
    for name, field in task.data_options.model_fields.items():
        default = field.get_default(call_default_factory=True)
        value, base = given[name], preset.get(name, default)
        if value == base:
            continue
        flag = name.replace("_", "-")
        if value is None or (value is False and default is False):
            return None
        if isinstance(value, bool):
            negation = "" if value else "no-"
            flags.append(f"--{negation}{flag}")
        elif isinstance(value, tuple):
            flags += [word for one in value for word in (f"--{flag}", one)]
        else:
            flags += [f"--{flag}", str(value)]
    return flags


def check_folders(
    task: "Task",
    folders: Iterable[str | Path],
    *,
    preset: str | None = None,
    built: "DatasetMeta | None" = None,
) -> None:
    """Check that data folders exist.

    Args:
        task: the task.
        folders: the folders.
        preset: the preset of the run that needs them.
        built: the description of the data that was there, if it is known.

    Raises:
        DataError: for the first that is missing; the message has the command that builds it.
    """
    for folder in map(Path, folders):
        if not os.path.lexists(folder):
            flags = recorded_flags(task, built) if built else None
            flags = preset_flags(task, preset) if flags is None else flags
            command = build_command(task, folder, flags)
            raise DataError(f"{folder}: no such data folder. Build it: {command}")
