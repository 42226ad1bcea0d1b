"""Load the settings of a run from all sources. Later sources win, and each value keeps its source.

field defaults < the task's defaults < the preset < ``--config FILE`` < ``TRM_*`` < flags, ``--set``

The settings of a resumed run come between the task's defaults and the preset.

Each source is read and checked for unknown names before it is merged, so that an error can name the
source of a bad value.
"""

import json
import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError, create_model
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from trm.config import (
    DEFAULT_KIND,
    GROUPS,
    RunConfig,
    groups_of,
    has_task_defaults,
    setting_names,
)
from trm.errors import ConfigError, PluginError, did_you_mean
from trm.reading import FileReader, parse_toml

ENV_PREFIX = "TRM_"
#: Environment variables that are not settings: they change how the model computes, not the result.
_OTHER_VARIABLES = ("TRM_KERNELS",)
#: The keys of a settings file that are not settings: its task and the preset that it changes.
FILE_HEADER = ("task", "preset")
#: The settings of ``--mlp-t`` and of ``--no-mlp-t``. Presets with an MLP have them too.
MIXERS: Mapping[bool, Mapping[str, Any]] = {
    True: {"mlp_t": True, "pos_encodings": "none"},
    False: {"mlp_t": False, "pos_encodings": "rope"},
}
#: Name, value and source of a setting.
Setting = tuple[str, Any, str]
_KIND = "model.kind"
#: Settings by group and name, such as ``{"optim": {"lr": 1e-4}}``.
Settings = Mapping[str, Mapping[str, Any]]
_FILES = FileReader(ConfigError, "Name a TOML file with settings.", "cannot be used")
_RUNS = FileReader(ConfigError, "Name a run folder.")


class _Sources(BaseSettings):
    """Tells pydantic-settings the names of the environment variables.

    It is never instantiated, because arguments would silently override the environment.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__")


class _Environment(EnvSettingsSource):
    """The environment variables as text, which is parsed as that of ``--set``."""

    def decode_complex_value(self, field_name: str, field: Any, value: Any) -> Any:
        """Leave a list as text, instead of parsing JSON."""
        return value


@dataclass(frozen=True)
class ResolvedSettings:
    """The settings of a run and the source of each.

    Attributes:
        config: the settings.
        sources: the source of each setting that is not a field default, by dotted name.
        preset: the name of the preset, empty for none.
    """

    config: RunConfig
    sources: dict[str, str] = field(default_factory=dict)
    preset: str = ""

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Name, value and source of every setting, in the order of the fields."""
        for name, value in self.config.by_name().items():
            yield name, value, self.sources.get(name, "default")


def load(
    task: str,
    *,
    defaults: Settings | None = None,
    run: Path | None = None,
    preset: Settings | None = None,
    preset_name: str = "",
    config_file: Path | None = None,
    flags: Mapping[str, tuple[Any, str]] | None = None,
    assignments: Sequence[str] = (),
) -> ResolvedSettings:
    """Load the settings of a run from all sources.

    In every source, ``none`` or ``null`` unsets an optional setting.

    Args:
        task: the name of the task.
        defaults: the defaults of the task, such as ``{"optim": {"lr": 1e-4}}``.
        run: the folder of a run to resume.
        preset: the settings of the preset.
        preset_name: the name of the preset.
        config_file: a TOML file with one table for each group.
        flags: (value, flag on the command line) by dotted name.
        assignments: ``KEY=VALUE`` from ``--set``; VALUE is TOML, or text without quotes.

    Raises:
        ConfigError: for an unknown name or an invalid value; the message names the source.
    """
    from_file = read_file(config_file) if config_file else {}
    for name in FILE_HEADER:
        from_file.pop(name, None)
    of_run = list(_from_run(run, task)) if run else []
    of_preset = list(_flatten(preset or {}, f"preset {preset_name}"))
    of_file = list(_flatten(from_file, f"file {config_file}"))
    given = [
        *((name, value, flag) for name, (value, flag) in (flags or {}).items()),
        *map(_parse_assignment, assignments),
    ]
    kind = _kind([*of_run, *of_preset, *of_file, *_kind_in_environment(), *given])
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value, source in (
        *_of_task(_flatten(defaults or {}, f"task {task}"), kind),
        *of_run,
        *_of_preset(of_preset, kind),
        *of_file,
        *_from_environment(kind),
        *given,
    ):
        _check_name(name, source, kind)
        values[name] = None if _is_none(name, value, kind) else value
        sources[name] = source
    return ResolvedSettings(_validate(task, values, sources), sources, preset_name)


def _kind(settings: Iterable[Setting]) -> str:
    """The kind of model that the last of these settings names.

    Raises:
        ConfigError: if there is no such kind; the message names the source.
    """
    kind, source = DEFAULT_KIND, ""
    for name, value, origin in settings:
        if name == _KIND:
            kind, source = value, origin
    try:
        groups_of(str(kind))
    except PluginError as error:
        raise ConfigError(f"{source}: {error}") from error
    return str(kind)


def _of_task(settings: Iterable[Setting], kind: str) -> Iterator[Setting]:
    """The defaults of a task; those of the model may be for other kinds."""
    all_apply = has_task_defaults(kind)
    return (one for one in settings if all_apply or not one[0].startswith("model."))


def _of_preset(settings: Iterable[Setting], kind: str) -> Iterator[Setting]:
    """The settings of a preset; those of the model that this kind does not have do not apply."""
    names = setting_names(kind)
    return (one for one in settings if one[0] in names or not one[0].startswith("model."))


def train_command(
    config: RunConfig, defaults: Settings, presets: Mapping[str, Settings]
) -> list[str]:
    """The shortest ``trm train`` command that gives these settings.

    Args:
        config: the settings.
        defaults: the defaults of the task.
        presets: the settings of the task's presets, by name.
    """
    commands = []
    kind, names = config.model.kind, setting_names(config.model.kind)
    for preset, chosen in {"": {}, **presets}.items():
        for flag, mixer in (([], {}), (["--mlp-t"], MIXERS[True]), (["--no-mlp-t"], MIXERS[False])):
            if not {f"model.{name}" for name in mixer} <= set(names):
                continue
            values = {
                name: value
                for source in (
                    _of_task(_flatten(defaults, ""), kind),
                    _of_preset(_flatten(chosen, ""), kind),
                    _flatten({"model": mixer}, ""),
                )
                for name, value, _ in source
            }
            commands.append(
                ["trm", "train", config.task]
                + (["--model", kind] if kind != DEFAULT_KIND else [])
                + (["--preset", preset] if preset else [])
                + flag
                + assignments(config, _validate(config.task, {**values, _KIND: kind}, {}))
            )
    return min(commands, key=len)


def assignments(config: RunConfig, base: RunConfig) -> list[str]:
    """``--set NAME=VALUE`` for each setting that differs from a base configuration."""
    others = base.by_name()
    return [
        argument
        for name, value in config.by_name().items()
        if value != others.get(name)
        for argument in ("--set", f"{name}={_format_value(value)}")
    ]


def _format_value(value: Any) -> str:
    """The inverse of :func:`_parse_value`, without quotes where possible."""
    if value is None:
        return "none"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.:/@-]*", value)
    if plain and _parse_value(value) == value:
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")  # TOML needs the escape


def _flatten(settings: Settings, source: str) -> Iterator[Setting]:
    """Dotted name, value and source of each setting."""
    fields: Any
    for group, fields in settings.items():
        if not isinstance(fields, Mapping):
            yield group, fields, source  # an unknown name, since it has no dot: load() rejects it
            continue
        for key, value in fields.items():
            yield f"{group}.{key}", value, source


def _from_run(run: Path, task: str) -> Iterator[Setting]:
    config = read_run_config(run)
    if config.task != task:
        raise ConfigError(
            f"{run} is a run of task {config.task}, not {task}. To resume it: "
            f"{shlex.join(['trm', 'train', config.task, '--resume', str(run)])}"
        )
    return _flatten(config.model_dump(exclude={"task"}), f"run {run}")


def read_run_config(run: Path) -> RunConfig:
    """The settings of a run, from its folder.

    Raises:
        ConfigError: if there are none.
    """
    return _RUNS.model(run / "config.json", RunConfig)


def read_file(path: Path) -> dict[str, Any]:
    """Read a settings file without checking the names in it.

    Raises:
        ConfigError: if the file cannot be read or is not TOML.
    """
    return _FILES.toml(path)


def _kind_in_environment() -> Iterator[Setting]:
    variable = f"{ENV_PREFIX}MODEL__KIND"
    for name, value in os.environ.items():
        if name.upper() == variable:
            yield _KIND, value, f"environment {variable}"


def _from_environment(kind: str) -> Iterator[Setting]:
    names = setting_names(kind)
    known = {ENV_PREFIX + name.replace(".", "__").upper(): name for name in names}
    variables = [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]
    for variable in variables:
        if variable not in _OTHER_VARIABLES and variable.upper() not in known:
            nearest = did_you_mean(variable, known).split(" Known:")[0]
            raise ConfigError(
                f"unknown environment variable {variable}. {nearest} "
                "Unset it; `trm config TASK` lists the settings."
            )
    if not variables:
        return
    fields: dict[str, Any] = {name: (cls, None) for name, cls in groups_of(kind).items()}
    sources = create_model("_Sources", __base__=_Sources, **fields)
    for name, text, _ in _flatten(_Environment(sources)(), ""):
        variable = f"{ENV_PREFIX}{name.replace('.', '__').upper()}"
        yield name, _parse_value(text), f"environment {variable}"


def _parse_assignment(text: str) -> Setting:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: no '='. Write --set model.hidden_size=384.")
    return name.strip(), _parse_value(value), f"--set {name.strip()}"


def _parse_value(value: str) -> Any:
    """Parse TOML; other text is a string."""
    try:
        table = parse_toml(f"value = {value}")
    except ValueError:
        return value.strip()
    return table["value"] if len(table) == 1 else value.strip()


def _is_none(name: str, value: Any, kind: str) -> bool:
    """Whether a value means None, which TOML and the environment cannot express."""
    group, key = name.split(".")
    optional = type(None) in get_args(groups_of(kind)[group].model_fields[key].annotation)
    return optional and value in ("none", "null")


def _check_name(name: str, source: str, kind: str) -> None:
    names = setting_names(kind)
    if name in names:
        return
    group = name.split(".")[0]
    if group == "model" and name in setting_names():
        raise ConfigError(f"{source}: a model of kind {kind} has no setting {name!r}. Remove it.")
    known = [n for n in names if n.startswith(f"{group}.")] if group in GROUPS else names
    hint = did_you_mean(name, known)
    if group not in GROUPS:
        hint = hint.split("Known:")[0] + f"Groups: {', '.join(GROUPS)}."
    raise ConfigError(f"{source}: unknown setting {name!r}. {hint}")


def _is_text(value: Any) -> bool:
    """Whether all text in a value can be written into ``config.json``."""
    try:
        json.dumps(value, ensure_ascii=False, default=str).encode()
    except UnicodeEncodeError:
        return False
    return True


def _validate(task: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> RunConfig:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, key = name.split(".")
        nested.setdefault(group, {})[key] = value
        if not _is_text(value):
            raise ConfigError(f"{sources[name]}: {name} is not UTF-8 text. Give another value.")
    try:
        return RunConfig.model_validate({"task": task, **nested})
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"][:2])
        message = first["msg"].removeprefix("Value error, ")
        if name in values:
            raise ConfigError(
                f"{sources[name]}: {name} = {values[name]!r}: {message}. Give another value."
            ) from error
        involved = [
            f"{sources[n]}: {n} = {v!r}"
            for n, v in values.items()
            if (n.startswith(f"{name}.") if name else n in message)
        ]
        raise ConfigError(f"{message} ({'; '.join(involved)}). Change one of them.") from error
