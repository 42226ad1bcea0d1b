"""Load the settings of a run: find its task and preset, then all sources of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm import settings
from trm.config import RunConfig
from trm.errors import ConfigError
from trm.tasks.registry import get_task


def resolve_settings(
    task_name: str | None,
    preset: str | None,
    mlp_t: bool | None,
    config_file: Path | None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, tuple[Any, str]] | None = None,
    run: Path | None = None,
) -> settings.ResolvedSettings:
    """The settings of a run with their sources.

    Args:
        task_name: the name of the task; None for the task of ``config_file``.
        preset: the name of the preset; None for the preset of ``config_file``, if any.
        mlp_t: True: mix tokens with an MLP, without position encodings; False: with attention
            and rotary positions; None: as the task, the preset or the file says.
        config_file, assignments, flags, run: see :func:`trm.settings.load`.

    Raises:
        ConfigError: for an unknown name or an invalid value; the message names the source.
    """
    if config_file is not None:
        file_task, file_preset = task_and_preset(config_file)
        if task_name and file_task and task_name != file_task:
            raise ConfigError(
                f"file {config_file} has settings for task {file_task}, not {task_name}. Leave the "
                "task out, or give another file."
            )
        task_name, preset = task_name or file_task, preset or file_preset
    if task_name is None:
        raise ConfigError("no task given. Name a task, or a settings file that names one.")
    task = get_task(task_name)
    if mlp_t is not None:
        flag = "--mlp-t" if mlp_t else "--no-mlp-t"
        mixer = {f"model.{key}": (value, flag) for key, value in settings.MIXERS[mlp_t].items()}
        flags = {**mixer, **(flags or {})}
    return settings.load(
        task.name,
        defaults=task.defaults,
        run=run,
        preset=task.preset(preset).settings,
        preset_name=preset or "",
        config_file=config_file,
        flags=flags,
        assignments=assignments,
    )


def task_and_preset(path: Path) -> tuple[str | None, str | None]:
    """The values of ``task`` and ``preset`` in a settings file, None if missing.

    Raises:
        ConfigError: if the file is missing or not TOML, or if a value is not text.
    """
    values = settings.read_file(path)
    for name in settings.FILE_HEADER:
        if not isinstance(values.get(name, ""), str):
            raise ConfigError(f"file {path}: {name} = {values[name]!r} is not a name. Give a name.")
    return values.get("task"), values.get("preset")


def run_config(
    task: str | None = None,
    *,
    preset: str | None = None,
    mlp_t: bool | None = None,
    config_file: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The settings of a run from all sources, as ``trm config`` shows them.

    Args:
        task: the name of the task; default: the task of ``config_file``.
        preset: the name of a preset; default: the preset of ``config_file``, if any.
        mlp_t: True: mix tokens with an MLP, without position encodings; False: with attention
            and rotary positions; None: as the task, the preset or the file says.
        config_file: a TOML file, such as a recipe.
        settings: values by dotted name, such as ``{"train.max_steps": 1000}``; these win.

    Raises:
        ConfigError: for an unknown name or an invalid value; the message names the source.
    """
    flags = {name: (value, "settings") for name, value in (settings or {}).items()}
    file = None if config_file is None else Path(config_file)
    return resolve_settings(task, preset, mlp_t, file, flags=flags).config
