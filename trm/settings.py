"""The layering of settings: each source in turn, the later wins, and every value keeps its source.

field defaults < the task's defaults < the preset < ``--config FILE`` < ``TRM_*`` < flags, ``--set``

A run that goes on brings its own settings, between the task's defaults and the preset.

A source is read on its own (by pydantic-settings, where it has one for it), checked for names that
do not exist, and only then merged: an error can name the source that the bad value came from.
"""

import json
import os
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from trm.config import (
    GROUPS,
    DataConfig,
    EvalConfig,
    ModelConfig,
    OptimConfig,
    RunConfig,
    TrainConfig,
    setting_names,
)
from trm.errors import ConfigError, did_you_mean

ENV_PREFIX = "TRM_"
#: Read elsewhere: it chooses how something is computed, not what.
_NO_SETTINGS = ("TRM_KERNELS",)
#: What a file says before its settings: for what task they are, and what preset they change.
FILE_HEADER = ("task", "preset")
Settings = Mapping[str, Mapping[str, Any]]


class _Sources(BaseSettings):
    """What pydantic-settings has to know to read the environment and a TOML file.

    Never instantiated: a value from the environment would silently lose to one passed in.
    """

    model_config = SettingsConfigDict(env_prefix=ENV_PREFIX, env_nested_delimiter="__")
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    eval: EvalConfig = EvalConfig()


@dataclass(frozen=True)
class ResolvedSettings:
    """A run's settings, and where each of them came from.

    Attributes:
        config: the settings.
        sources: dotted name to source, for every name that is not a field default.
    """

    config: RunConfig
    sources: dict[str, str] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[str, Any, str]]:
        """Name, value and source of every setting, in the order of the configuration."""
        for name in setting_names():
            group, key = name.split(".")
            value = getattr(getattr(self.config, group), key)
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
    """Resolve a run's settings from all its sources.

    In every source, ``none`` or ``null`` unsets a setting that need not have a value.

    Args:
        task: the task's name.
        defaults: the task's own defaults, nested (``{"optim": {"lr": 1e-4}}``).
        run: the folder of a run that goes on.
        preset: the chosen preset's settings, nested.
        preset_name: its name, for messages.
        config_file: a TOML file with the groups as tables.
        flags: dotted name to (value, the flag as typed).
        assignments: ``KEY=VALUE`` as given to ``--set``; VALUE as in TOML, quotes may be left out.

    Raises:
        ConfigError: for an unknown name or a value out of range, naming its source.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name, value, source in (
        *_nested(defaults or {}, f"task {task}"),
        *(_from_run(run, task) if run else ()),
        *_nested(preset or {}, f"preset {preset_name}"),
        *(_from_file(config_file) if config_file else ()),
        *_from_environment(),
        *((name, value, flag) for name, (value, flag) in (flags or {}).items()),
        *map(_assignment, assignments),
    ):
        _check_name(name, source)
        values[name], sources[name] = None if _unsets(name, value) else value, source
    return ResolvedSettings(_validate(task, values, sources), sources)


def train_command(
    config: RunConfig, defaults: Settings, presets: Mapping[str, Settings]
) -> list[str]:
    """The shortest command line of ``trm train`` that resolves to these settings.

    Args:
        config: the settings.
        defaults: those of the task.
        presets: of the task, by name.
    """
    lines = []
    for preset, chosen in {"": {}, **presets}.items():
        for mlp_t in (False, True):
            mixer: Settings = {"model": {"mlp_t": True, "pos_encodings": "none"}} if mlp_t else {}
            values = {
                name: value
                for source in (defaults, chosen, mixer)
                for name, value, _ in _nested(source, "")
            }
            lines.append(
                ["trm", "train", config.task]
                + (["--preset", preset] if preset else [])
                + (["--mlp-t"] if mlp_t else [])
                + _assignments(config, _validate(config.task, values, {}))
            )
    return min(lines, key=len)


def _assignments(config: RunConfig, base: RunConfig) -> list[str]:
    """``--set`` for each setting in which a configuration differs from another."""
    found = []
    for name in setting_names():
        group, key = name.split(".")
        value, other = (getattr(getattr(which, group), key) for which in (config, base))
        if value != other:
            found += ["--set", f"{name}={_written(value)}"]
    return found


def _written(value: Any) -> str:
    """A value that :func:`_assignment` reads, without quotes where it needs none."""
    if value is None:
        return "none"
    plain = isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w.:/@-]*", value)
    if plain and _parsed(value) == value:
        return str(value)
    return json.dumps(value, ensure_ascii=False).replace("\x7f", r"\u007f")  # JSON has it bare


def _nested(settings: Settings, source: str) -> Iterator[tuple[str, Any, str]]:
    fields: Any
    for group, fields in settings.items():
        if not isinstance(fields, Mapping):
            yield group, fields, source  # no setting has a name without a dot: refused by name
            continue
        for key, value in fields.items():
            yield f"{group}.{key}", value, source


def _from_run(run: Path, task: str) -> Iterator[tuple[str, Any, str]]:
    if not run.is_dir():
        raise ConfigError(f"{run}: no such run. Name a run folder; see trm runs.")
    try:
        config = RunConfig.model_validate_json((run / "config.json").read_bytes())
    except (OSError, ValidationError) as error:
        raise ConfigError(
            f"{run} is no run to go on with: its config.json cannot be read. Name a run folder."
        ) from error
    if config.task != task:
        raise ConfigError(
            f"{run} is a run of task {config.task}, not {task}. Go on with it: trm train "
            f"{config.task} --resume {run}"
        )
    return _nested(config.model_dump(exclude={"task"}), f"run {run}")


def _from_file(path: Path) -> Iterator[tuple[str, Any, str]]:
    settings = {name: value for name, value in read_file(path).items() if name not in FILE_HEADER}
    return _nested(settings, f"file {path}")


def read_file(path: Path) -> dict[str, Any]:
    """What a file of settings holds, unchecked.

    Raises:
        ConfigError: if there is no such file, or it is not TOML.
    """
    if not path.is_file():
        raise ConfigError(f"--config {path}: no such file. Name a TOML file.")
    try:
        return TomlConfigSettingsSource(_Sources, toml_file=path)()
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"--config {path}: not TOML: {error}. Correct the file.") from error


def _from_environment() -> Iterator[tuple[str, Any, str]]:
    known = {ENV_PREFIX + name.replace(".", "__").upper(): name for name in setting_names()}
    names = [name for name in os.environ if name.upper().startswith(ENV_PREFIX)]
    given = [name for name in names if name not in _NO_SETTINGS]
    for variable in given:
        if variable.upper() not in known:
            nearest = did_you_mean(variable, known).split(" Known:")[0]
            raise ConfigError(
                f"unknown environment variable {variable}. {nearest} "
                "Unset it; `trm config TASK` lists the settings."
            )
    try:
        settings = EnvSettingsSource(_Sources)()
    except SettingsError as error:
        raise ConfigError(f"environment {', '.join(given)}: {error}. Correct it.") from error
    for name, value, _ in _nested(settings, ""):
        yield name, value, f"environment {ENV_PREFIX}{name.replace('.', '__').upper()}"


def _assignment(text: str) -> tuple[str, Any, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ConfigError(f"--set {text}: no '='. Write --set model.hidden_size=384.")
    return name.strip(), _parsed(value), f"--set {name.strip()}"


def _parsed(value: str) -> Any:
    """A value as in TOML, or as it stands."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value.strip()


def _unsets(name: str, value: Any) -> bool:
    """Whether a value stands for None, which neither TOML nor the environment can write."""
    group, key = name.split(".")
    optional = type(None) in get_args(GROUPS[group].model_fields[key].annotation)
    return optional and value in ("none", "null")


def _check_name(name: str, source: str) -> None:
    names = setting_names()
    if name in names:
        return
    group = name.split(".")[0]
    known = [n for n in names if n.startswith(f"{group}.")] if group in GROUPS else names
    hint = did_you_mean(name, known)
    if group not in GROUPS:
        hint = hint.split("Known:")[0] + f"Groups: {', '.join(GROUPS)}."
    raise ConfigError(f"{source}: unknown setting {name!r}. {hint}")


def _validate(task: str, values: Mapping[str, Any], sources: Mapping[str, str]) -> RunConfig:
    nested: dict[str, dict[str, Any]] = {}
    for name, value in values.items():
        group, key = name.split(".")
        nested.setdefault(group, {})[key] = value
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
