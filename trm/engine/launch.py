"""From settings to a run: where it goes, whether it goes on, and what it starts with."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from trm.config import RunConfig
from trm.data import Dataset
from trm.engine import checkpoint, runs
from trm.engine.device import device_errors, pick_device
from trm.engine.memory import Footprint, footprint
from trm.engine.track import Listener
from trm.engine.train import Outcome, Run, total_steps
from trm.errors import CheckpointError, ConfigError
from trm.storage import write_text
from trm.tasks.base import Task

#: Settings that may differ when a run goes on: they change how long and where, not what.
_FREE_TO_CHANGE = (
    "max_steps", "epochs", "device", "compile", "log_every_steps", "eval_every_steps",
    "save_every_steps", "keep_checkpoints",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A run that is about to start.

    Attributes:
        resume_from: the checkpoint it goes on from, None for a new run.
    """

    folder: Path
    config: RunConfig
    dataset: Dataset
    resume_from: Path | None
    total_steps: int

    def footprint(self) -> Footprint:
        """What it will take."""
        return footprint(self.config, checkpoint.puzzle_spec(self.dataset.meta))


def plan(
    config: RunConfig,
    task: Task,
    *,
    runs_folder: Path = Path("runs"),
    name: str | None = None,
    resume: str = "auto",
) -> Plan:
    """Decide what a run is; nothing is written.

    Args:
        config: the settings.
        task: the task they name.
        runs_folder: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` goes on with a run of that name, ``never`` refuses to, anything else is
            the run folder to go on with.

    Raises:
        ConfigError, DataError, CheckpointError: if it cannot start.
    """
    pick_device(config.train.device)
    dataset = task.open_data(config.data_paths)
    dataset.split("test")
    _check_augment(config, dataset)
    steps = total_steps(config, dataset.split("train"))
    folder, resume_from = _folder(config, runs_folder, name, resume)
    if resume_from is not None:
        _check_resumable(resume_from, config, dataset, steps)
    return Plan(folder, config, dataset, resume_from, steps)


def train(
    planned: Plan,
    task: Task,
    *,
    listen: Listener = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train as planned."""
    device = pick_device(planned.config.train.device)
    write_text(planned.folder / "config.json", planned.config.model_dump_json(indent=2) + "\n")
    run = Run(planned.folder, planned.config, task, planned.dataset, device, listen, should_stop)
    with device_errors():
        return run.fit(planned.resume_from)


def _check_augment(config: RunConfig, dataset: Dataset) -> None:
    if config.data.augment == "stored":
        return
    split = dataset.split("train")
    if split.augmentation is None:
        raise ConfigError(f"data.augment = online: task {config.task} has no symmetries. Unset it.")
    if split.identifiers is not None or len(split.example_offsets) != split.num_groups + 1:
        raise ConfigError(
            f"data.augment = online: {dataset.path} has an identifier for each stored copy, or "
            "only copies that are augmented already. Train on the stored ones."
        )


def _folder(
    config: RunConfig, runs_folder: Path, name: str | None, resume: str
) -> tuple[Path, Path | None]:
    if resume not in ("auto", "never"):
        folder = Path(resume)
        found = runs.last_checkpoint(folder)
        if found is None:
            raise CheckpointError(
                f"--resume {resume}: no run with a checkpoint. Name a run folder."
            )
        return folder, found
    if name is None:
        name = runs.new_run_name(runs_folder, config, datetime.datetime.now())
    if not name or Path(name).name != name or name == "..":
        raise ConfigError(f"--run-name {name!r} is no name for a folder. Give one without '/'.")
    folder = runs_folder / config.task / name
    found = runs.last_checkpoint(folder)
    if found is not None and resume == "never":
        raise ConfigError(f"run {folder} exists. Choose another --run-name, or --resume auto.")
    return folder, found


def _check_resumable(found: Path, config: RunConfig, dataset: Dataset, total: int) -> None:
    saved = checkpoint.read_config(found)
    if saved.data.digest != dataset.meta.digest:
        raise ConfigError(
            f"{found} was trained on data of digest {saved.data.digest[:12]}, {dataset.path} has "
            f"{dataset.meta.digest[:12]}. Give the data it began with, or start a new run."
        )
    for group in ("model", "optim", "train"):
        then, now = getattr(saved.run, group), getattr(config, group)
        for field in type(now).model_fields:
            old, new = getattr(then, field), getattr(now, field)
            if old != new and not (group == "train" and field in _FREE_TO_CHANGE):
                raise ConfigError(
                    f"{found} was trained with {group}.{field} = {old!r}, now it is {new!r}. "
                    "Give the settings it began with, or start a new run."
                )
    if saved.run.data.augment != config.data.augment:
        raise ConfigError(
            f"{found} was trained with data.augment = {saved.run.data.augment}, now it is "
            f"{config.data.augment}. Give what it began with, or start a new run."
        )
    if saved.run.task != config.task:
        raise ConfigError(f"{found} is a run of task {saved.run.task!r}, not {config.task!r}.")
    evaluated = checkpoint.read_progress(found).evaluated_step == saved.step
    if saved.step > total or (saved.step == total and evaluated):
        raise ConfigError(
            f"{found} has reached step {saved.step} of {total} already. "
            "Ask for more with --max-steps or --epochs, or start a new run with --run-name."
        )
