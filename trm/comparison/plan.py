"""From a grid to its runs: their settings, their lengths and their folders."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trm.comparison.grid import Budget, Grid, GridRow
from trm.config import MOST_STEPS, RunConfig
from trm.data import Dataset
from trm.errors import ConfigError, InputError
from trm.models import PuzzleSpec
from trm.models.flops import eval_step_flops
from trm.runs.best_and_last import last_checkpoint
from trm.runs.checkpoint import puzzle_spec, read_progress
from trm.runs.layout import CONFIG_FILE
from trm.runtime.device import resolve_dtype
from trm.settings import read_run_config
from trm.tasks.base import Task
from trm.tasks.build_command import check_folders
from trm.tasks.registry import get_task
from trm.training.memory_estimate import estimate_memory
from trm.training.run_plan import open_run_data
from trm.training.time_estimate import estimate_time

#: The mean operations of a step are counted at this many points of a run.
_POINTS = 1000


@dataclass(frozen=True)
class PlannedRun:
    """One row with one seed.

    Attributes:
        label: row and seed, for messages.
        config: all settings, but for the device.
        folder: ``OUT/TASK/ROW-seedN``.
    """

    label: str
    seed: int
    config: RunConfig
    folder: Path

    @property
    def is_trained(self) -> bool:
        """Whether its last checkpoint has used the budget."""
        checkpoint = last_checkpoint(self.folder)
        if checkpoint is None:
            return False
        progress, train = read_progress(checkpoint), self.config.train
        minutes = max(progress.ended_minutes or 0.0, progress.wall_s / 60)
        is_out_of_time = train.max_minutes is not None and minutes >= train.max_minutes
        return is_out_of_time or progress.step >= (train.max_steps or MOST_STEPS)

    def check_unchanged(self) -> None:
        """Check that what is in its folder, if anything, has these settings.

        Raises:
            ConfigError: if it was trained with others.
        """
        if not (self.folder / CONFIG_FILE).is_file():
            return
        before = read_run_config(self.folder).by_name()
        for name, value in self.config.by_name().items():
            is_free = name == "train.device" or (name, value) == ("model.forward_dtype", "auto")
            if value != before[name] and not is_free:
                raise ConfigError(
                    f"row {self.label}, has changed since {self.folder} was trained: {name} is "
                    f"{value}, it was {before[name]}. Name another --out, or remove that folder."
                )


@dataclass(frozen=True)
class PlannedRow:
    """A row and its runs.

    Attributes:
        num_parameters: without the puzzle embedding.
        answer_flops: the operations of one answer with all supervision steps.
    """

    row: GridRow
    preset: str | None
    num_parameters: int
    answer_flops: int
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Plan:
    """All rows, and the test puzzles that all of them are evaluated on.

    Attributes:
        data: the data folders of the first row, whose test puzzles are those of all rows.
        metric: the headline metric of the task.
        by_task: whether one puzzle has many answers that vote, as in ARC.
    """

    grid: Grid
    task: Task
    data: tuple[str, ...]
    digest: str
    metric: str
    by_task: bool
    rows: tuple[PlannedRow, ...]

    @property
    def runs(self) -> list[PlannedRun]:
        """All runs, the first seed of all rows first."""
        return [row.runs[number] for number in range(len(self.grid.seeds)) for row in self.rows]


def plan_rows(grid: Grid, out: Path) -> Plan:
    """Decide the runs of a grid. Nothing is written.

    Raises:
        ConfigError, PluginError: if a setting or a budget is impossible.
        DataError: if there is no such data.
        InputError: if the outputs of the test puzzles are not known.
    """
    configs = [grid.config(row) for row in grid.rows]
    grid.check_used(configs)
    task = get_task(grid.task)
    opened: dict[Any, Dataset] = {}
    rows = []
    for row, config in zip(grid.rows, configs, strict=True):
        check_folders(task, config.data_paths, preset=grid.preset_of(row))
        key = (config.data_paths, config.data.validation_share)
        if key not in opened:
            opened[key] = open_run_data(config, task)
        rows.append(_plan_row(grid, row, config, opened[key], out))
    test = opened[configs[0].data_paths, configs[0].data.validation_share]
    split = test.split("test")
    if not task.can_measure(split):
        raise InputError(
            f"{test.path}: no output of the test puzzles is known, so rows cannot be compared. "
            "Name other data."
        )
    evaluator = type(task.evaluator(test.meta, split))
    return Plan(
        grid=grid,
        task=task,
        data=configs[0].data_paths,
        digest=test.meta.digest,
        metric=evaluator.headline,
        by_task=evaluator.votes,
        rows=tuple(rows),
    )


def _plan_row(grid: Grid, row: GridRow, config: RunConfig, data: Dataset, out: Path) -> PlannedRow:
    spec = puzzle_spec(data.meta, config.model)
    memory = estimate_memory(resolve_dtype(config, torch.device("cpu")), spec)
    cost = _step_cost(grid.budget.unit, config, spec)
    length = run_length(grid.budget, cost, f"file {grid.path}, row {row.name!r}")
    runs = []
    for seed in grid.seeds:
        train = config.train.model_copy(update={**length, "seed": seed, "device": "auto"})
        folder = out / grid.task / f"{row.slug}-seed{seed}"
        runs.append(
            PlannedRun(
                f"{row.name}, seed {seed}", seed,
                config.model_copy(update={"train": train}), folder,
            )
        )  # fmt: skip
    return PlannedRow(
        row=row,
        preset=grid.preset_of(row),
        num_parameters=memory.num_parameters,
        answer_flops=config.model.halt_max_steps * eval_step_flops(config.model, spec),
        runs=tuple(runs),
    )


def _step_cost(unit: str, config: RunConfig, spec: PuzzleSpec) -> float:
    """What a training step uses of a budget; not for minutes."""
    if unit == "flops":  # the mean: with train.depth_curriculum, the steps differ
        return estimate_time(config, spec, 1.0, device="cpu", total=_POINTS).step_flops
    return config.train.batch_size if unit == "examples" else 1


def run_length(budget: Budget, cost: float, where: str) -> Mapping[str, float | int | None]:
    """The settings of the length of a run, in whole steps.

    Args:
        budget: what the run may use.
        cost: what a step uses of it; without meaning for minutes.
        where: for messages.

    Raises:
        ConfigError: if the budget is less than a step, or too many of them.
    """
    if budget.unit == "minutes":
        return {"max_steps": MOST_STEPS, "max_minutes": budget.amount}
    steps = int(budget.amount // cost)
    if not 1 <= steps <= MOST_STEPS:
        raise ConfigError(
            f"{where}: {budget.text} are {steps:,} steps of {cost:g} {budget.unit}, not 1 to "
            f"{MOST_STEPS:,}. Change the budget."
        )
    return {"max_steps": steps, "max_minutes": None}
