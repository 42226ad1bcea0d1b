"""From what a command line or a recipe names to the settings of a run."""

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
    mlp_t: bool,
    config_file: Path | None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, tuple[Any, str]] | None = None,
    run: Path | None = None,
) -> settings.ResolvedSettings:
    """The settings of a run with their sources; a resumed ``run`` brings its own."""
    if config_file is not None:
        its_task, its_preset = task_and_preset(config_file)
        if task_name and its_task and task_name != its_task:
            raise ConfigError(
                f"file {config_file} has settings of task {its_task}, not {task_name}. Leave the "
                "task out, or give another file."
            )
        task_name, preset = task_name or its_task, preset or its_preset
    if task_name is None:
        raise ConfigError("no task was named. Name one, or settings in a file that does.")
    task = get_task(task_name)
    if mlp_t:
        mixer = {"model.mlp_t": (True, "--mlp-t"), "model.pos_encodings": ("none", "--mlp-t")}
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
    """What a file of settings is for: the values of ``task`` and ``preset``, if it has them.

    Raises:
        ConfigError: if there is no such file, it is not TOML, or one of them is no text.
    """
    found = settings.read_file(path)
    for name in settings.FILE_HEADER:
        if not isinstance(found.get(name, ""), str):
            raise ConfigError(f"file {path}: {name} = {found[name]!r} is no name. Give one.")
    return found.get("task"), found.get("preset")


def run_config(
    task: str | None = None,
    *,
    preset: str | None = None,
    mlp_t: bool = False,
    config_file: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
) -> RunConfig:
    """The settings of a run, from all their sources: ``trm config``.

    Args:
        task: the task's name; that in ``config_file`` if left out.
        preset: a named set of settings; that in ``config_file`` if left out.
        mlp_t: mix tokens with an MLP, without positions.
        config_file: a TOML file, such as a recipe.
        settings: by dotted name, such as ``{"train.max_steps": 1000}``; these win.

    Raises:
        ConfigError: for an unknown name or a value out of range, naming its source.
    """
    flags = {name: (value, "settings") for name, value in (settings or {}).items()}
    file = None if config_file is None else Path(config_file)
    return resolve_settings(task, preset, mlp_t, file, flags=flags).config
