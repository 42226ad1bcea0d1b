"""Grid files: the rows of a comparison, and what is equal in all of them."""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm.config import GROUPS, LARGEST_SEED, MOST_STEPS, RunConfig, setting_names
from trm.errors import ConfigError, PluginError, TrmError, did_you_mean
from trm.reading import FileReader
from trm.recipes import resolve_settings

#: What a budget can be counted in. Steps and examples are whole numbers.
UNITS = ("steps", "examples", "flops", "minutes")
#: Settings that the comparison decides, and by what.
_DECIDED = {
    "train.seed": "seeds",
    "train.max_steps": "budget",
    "train.max_minutes": "budget",
    "train.epochs": "budget",
    "train.device": "--device",
}
_ROW_KEYS = ("name", "preset", *GROUPS)
_KEYS = ("task", "preset", "seeds", "budget", "rows", *GROUPS)
_MOST_ROWS = 1000
_FILES = FileReader(ConfigError, "Name a TOML file with [[rows]].", "cannot be used")
#: A value by the dotted name of its setting.
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Budget:
    """What all runs have equally much of.

    Attributes:
        unit: one of :data:`UNITS`.
        amount: in that unit.
    """

    unit: str
    amount: float

    @property
    def text(self) -> str:
        """For people.

        >>> Budget("steps", 400).text, Budget("flops", 2e15).text, Budget("minutes", 1.5).text
        ('400 steps', '2e+15 flops', '1.5 minutes')
        """
        number = f"{self.amount:g}" if self.unit in ("flops", "minutes") else f"{self.amount:,}"
        return f"{number} {self.unit}"


@dataclass(frozen=True)
class GridRow:
    """One way to train.

    Attributes:
        name: in the table.
        preset: of this row, None for that of the file.
        values: the settings that only this row has.
    """

    name: str
    preset: str | None
    values: Values

    @property
    def slug(self) -> str:
        """The name as a part of the names of its runs.

        >>> GridRow("Muon, normed SwiGLU", None, {}).slug
        'muon-normed-swiglu'
        """
        return re.sub(r"[^a-z0-9.]+", "-", self.name.lower()).strip("-.")


@dataclass(frozen=True)
class Grid:
    """What a grid file says.

    Attributes:
        values: the settings of the file itself, which all rows have.
    """

    path: Path
    task: str
    preset: str | None
    seeds: tuple[int, ...]
    budget: Budget
    values: Values
    rows: tuple[GridRow, ...]

    def preset_of(self, row: GridRow) -> str | None:
        """The preset of a row."""
        return row.preset or self.preset

    def config(self, row: GridRow) -> RunConfig:
        """The settings of a row, without its budget and seed.

        If a row has a kind of model of its own, the file's settings of the model apply to it as far
        as this kind has them.

        A run is evaluated at its end, so there are no evaluations during training unless the grid
        asks for them.

        Raises:
            ConfigError, PluginError: for an unknown name or an invalid value; the message names the
                file, and the row if it is in one.
        """
        where = f"file {self.path}, row {row.name!r}"
        values = self.values
        if "model.kind" in row.values:
            with contextlib.suppress(PluginError):  # said below, with its source
                names = setting_names(str(row.values["model.kind"]))
                values = {
                    n: v for n, v in values.items() if n in names or not n.startswith("model.")
                }
        flags = {"train.eval_every_steps": (0, "trm compare")}
        flags |= {name: (value, f"file {self.path}") for name, value in values.items()}
        flags |= {name: (value, where) for name, value in row.values.items()}
        try:
            config = resolve_settings(
                self.task, self.preset_of(row), None, None, flags=flags
            ).config
        except TrmError as error:
            if str(self.path) not in str(error):  # it is about the task or the preset
                error.args = (f"{where}: {error}",)
            raise
        if config.train.patience is not None:
            raise ConfigError(
                f"{where}: train.patience may end a run before its budget. Leave it out."
            )
        return config

    def check_used(self, configs: Iterable[RunConfig]) -> None:
        """Check that each model setting of the file itself is one of some row's kind of model.

        Raises:
            ConfigError: if it is not, so that it would change nothing.
        """
        known = {name for config in configs for name in setting_names(config.model.kind)}
        for name in self.values:
            if name not in known:
                hint = did_you_mean(name, (n for n in known if n.startswith("model.")))
                raise ConfigError(f"file {self.path}: no row has a setting {name!r}. {hint}")


def read_grid(path: Path) -> Grid:
    """Read a grid file. The names of settings and their values are checked by :meth:`Grid.config`.

    Raises:
        ConfigError: if the file is missing, is not TOML, or is not a grid.
    """
    raw = _FILES.toml(path)
    _check_keys(raw, _KEYS, f"file {path}")
    for name in ("task", "seeds", "budget", "rows"):
        if name not in raw:
            raise ConfigError(f"file {path}: {name} is missing. Add it.")
    rows = raw["rows"]
    if not isinstance(rows, list) or not 2 <= len(rows) <= _MOST_ROWS:
        raise ConfigError(
            f"file {path}: rows must be 2 to {_MOST_ROWS} [[rows]] tables, each with a name."
        )
    grid = Grid(
        path=path,
        task=_text(raw, "task", f"file {path}"),
        preset=_text(raw, "preset", f"file {path}") if "preset" in raw else None,
        seeds=_seeds(raw["seeds"], path),
        budget=_budget(raw["budget"], path),
        values=dict(_values(raw, f"file {path}")),
        rows=tuple(_row(row, f"file {path}, row {number}") for number, row in enumerate(rows, 1)),
    )
    slugs: dict[str, str] = {}
    for row in grid.rows:
        if row.slug in slugs:
            raise ConfigError(
                f"file {path}: rows {slugs[row.slug]!r} and {row.name!r} have the same name, or "
                "nearly so. Give another one."
            )
        slugs[row.slug] = row.name
    return grid


def _row(raw: Any, where: str) -> GridRow:
    if not isinstance(raw, dict) or "name" not in raw:
        raise ConfigError(f"{where}: a row needs a name. Add it.")
    name = _text(raw, "name", where)
    where = f"{where} {name!r}"
    _check_keys(raw, _ROW_KEYS, where)
    row = GridRow(
        name, _text(raw, "preset", where) if "preset" in raw else None, dict(_values(raw, where))
    )
    if not row.slug or len(name) > 100 or not name.isprintable():
        raise ConfigError(f"{where}: a name has 1 to 100 characters and a letter. Give another.")
    return row


def _values(raw: Mapping[str, Any], where: str) -> Iterator[tuple[str, Any]]:
    """Dotted name and value of each setting in the tables of a file or a row."""
    for group in GROUPS:
        table = raw.get(group, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {group} = {table!r} is not a table of settings.")
        for key, value in table.items():
            name = f"{group}.{key}"
            if name in _DECIDED:
                raise ConfigError(f"{where}: {name} is decided by {_DECIDED[name]}. Leave it out.")
            yield name, value


def _check_keys(raw: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in raw:
        if name not in known:
            raise ConfigError(f"{where}: unknown name {name!r}. {did_you_mean(name, known)}")


def _text(raw: Mapping[str, Any], name: str, where: str) -> str:
    value = raw[name]
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ConfigError(f"{where}: {name} = {value!r} is not a name. Give a name.")
    return value


def _seeds(raw: Any, path: Path) -> tuple[int, ...]:
    values = raw if isinstance(raw, list) else [raw]
    whole = all(type(seed) is int and 0 <= seed <= LARGEST_SEED for seed in values)
    if not values or not whole or len(set(values)) < len(values):
        raise ConfigError(
            f"file {path}: seeds = {raw!r} must be different whole numbers, such as [0, 1, 2]."
        )
    return tuple(values)


def _budget(raw: Any, path: Path) -> Budget:
    where = f"file {path}: budget = {raw!r}"
    if not isinstance(raw, dict) or len(raw) != 1 or next(iter(raw)) not in UNITS:
        raise ConfigError(f"{where} must have one of {', '.join(UNITS)}: {{ steps = 400 }}.")
    ((unit, amount),) = raw.items()
    is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
    if not is_number or not 0 < amount < math.inf:
        raise ConfigError(f"{where}: give a number above 0.")
    if unit in ("steps", "examples") and amount != int(amount):
        raise ConfigError(f"{where}: give a whole number.")
    if unit in ("steps", "minutes") and amount > MOST_STEPS:
        raise ConfigError(f"{where}: give at most {MOST_STEPS:,}.")
    return Budget(unit, float(amount) if unit in ("flops", "minutes") else int(amount))
