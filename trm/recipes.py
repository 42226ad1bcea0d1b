"""From what a command line or a recipe names to the settings of a run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm import settings
from trm.errors import ConfigError
from trm.plugins import get_task


def resolve(
    task_name: str | None,
    preset: str | None,
    mlp_t: bool,
    config_file: Path | None,
    assignments: Sequence[str] = (),
    flags: Mapping[str, tuple[Any, str]] | None = None,
    begun: Path | None = None,
) -> settings.Resolved:
    """The settings of a run with their sources; those of the run ``begun`` come first."""
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
        run=begun,
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
    for name in settings.HEAD:
        if not isinstance(found.get(name, ""), str):
            raise ConfigError(f"file {path}: {name} = {found[name]!r} is no name. Give one.")
    return found.get("task"), found.get("preset")
