"""Load the settings of a run: find its task and preset, then all sources of settings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm import settings
from trm.config import RunConfig
from trm.errors import ConfigError, did_you_mean
from trm.tasks.registry import get_task

#: The settings that have a flag of ``trm train``, which is also an argument of :func:`run_config`.
SETTING_OF = {
    "model": "model.kind",
    "data": "data.paths",
    "augment": "data.augment",
    "max_pairs": "data.max_pairs",
    "validation_share": "data.validation_share",
    "seed": "train.seed",
    "max_steps": "train.max_steps",
    "max_minutes": "train.max_minutes",
    "epochs": "train.epochs",
    "patience": "train.patience",
    "batch_size": "train.batch_size",
    "accumulate": "train.accumulate",
    "device": "train.device",
    "compile": "train.compile",
    "shard_puzzle_embedding": "train.shard_puzzle_embedding",
    "init_from": "train.init_from",
    "reset_puzzle_embedding": "train.reset_puzzle_embedding",
    "keep": "train.keep_checkpoints",
    "skip_nonfinite": "train.skip_nonfinite",
    "log_to": "train.log_to",
}


def settings_of(arguments: Mapping[str, Any]) -> dict[str, tuple[Any, str]]:
    """The settings that arguments stand for, each with its value and its flag.

    Args:
        arguments: those of :data:`SETTING_OF`, and ``save_every``: steps, or minutes such as
            ``10m``. None stands for nothing.

    Raises:
        ConfigError: for an unknown argument.
    """
    found: dict[str, tuple[Any, str]] = {}
    for name, value in arguments.items():
        flag = "--" + name.replace("_", "-")
        if name not in SETTING_OF and name != "save_every":
            others = ("save_every", "preset", "mlp_t", "config_file", "settings")
            hint = did_you_mean(name, [*SETTING_OF, *others])
            raise ConfigError(f"there is no argument {name!r} of a run. {hint}")
        if value is None:
            continue
        if name == "save_every":
            found |= _save_every(str(value), flag)
        else:
            off = name == "compile" and value is False
            value = str(value) if name == "device" else value  # also of torch
            found[SETTING_OF[name]] = (value, "--no-compile" if off else flag)
    if arguments.get("epochs") is not None and arguments.get("max_steps") is None:
        found["train.max_steps"] = (None, "--epochs")  # replaces a preset's number of steps
    return found


def _save_every(text: str, flag: str) -> dict[str, tuple[Any, str]]:
    """``500`` steps or ``10m`` minutes as settings."""
    number, minutes = text.removesuffix("m"), text.endswith("m")
    try:
        value = float(number) if minutes else int(number)
    except ValueError:
        raise ConfigError(
            f"{flag} {text!r} is neither steps, such as 500, nor minutes, such as 10m. "
            "Give one of them."
        ) from None
    return {"train.save_every_minutes" if minutes else "train.save_every_steps": (value, flag)}


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
    **arguments: Any,
) -> RunConfig:
    """The settings of a run from all sources, as ``trm config`` shows them.

    >>> config = run_config("sudoku", preset="mini", max_steps=100, seed=1)
    >>> config.train.max_steps, config.model.hidden_size
    (100, 96)

    Args:
        task: the name of the task; default: the task of ``config_file``.
        preset: the name of a preset; default: the preset of ``config_file``, if any.
        mlp_t: True: mix tokens with an MLP, without position encodings; False: with attention
            and rotary positions; None: as the task, the preset or the file says.
        config_file: a TOML file, such as a recipe.
        settings: values by dotted name, such as ``{"train.max_steps": 1000}``; these win.
        arguments: the flags of ``trm train`` that are settings, such as ``data="data/mine"``,
            ``max_steps=1000``, ``batch_size=64``, ``seed=1``, ``device="cpu"``. All
            are in :data:`trm.recipes.SETTING_OF`. ``save_every`` takes steps, or minutes as in
            ``"10m"``.

    Raises:
        ConfigError: for an unknown name or an invalid value; the message names the source.
    """
    flags = settings_of(arguments)
    flags |= {name: (value, "settings") for name, value in (settings or {}).items()}
    flags = {name: (_paths_as_text(value), source) for name, (value, source) in flags.items()}
    file = None if config_file is None else Path(config_file)
    return resolve_settings(task, preset, mlp_t, file, flags=flags).config


def _paths_as_text(value: Any) -> Any:
    """A value of a setting. Settings hold paths as text."""
    if isinstance(value, list | tuple):
        return [_paths_as_text(part) for part in value]
    return str(value) if isinstance(value, Path) else value
