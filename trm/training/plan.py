"""From settings to a run: where it goes, whether it goes on, and what it starts with."""

import datetime
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from trm import trackers
from trm.config import RunConfig, setting_names
from trm.data import Dataset, with_validation_split
from trm.errors import CheckpointError, ConfigError
from trm.runs import checkpoint
from trm.runs.run_folder import damaged_path, new_run_name, newest_intact_checkpoint
from trm.runtime.device import pick_device, resolve_dtype
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.base import Task
from trm.training.best import check_not_ended
from trm.training.footprint import Footprint, footprint
from trm.training.initial_model import check_beginning
from trm.training.schedule import total_steps

#: Settings that may differ when a run goes on: they change how long and where, not what.
_FREE_TO_CHANGE = (
    "max_steps", "epochs", "device", "compile", "accumulate", "log_every_steps",
    "eval_every_steps", "save_every_steps", "save_every_minutes", "keep_checkpoints",
    "skip_nonfinite", "shard_puzzle_embedding", "log_to", "patience",
)  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """A run that is about to start.

    Attributes:
        start: the checkpoint it goes on from, and those after it.
    """

    folder: Path
    config: RunConfig
    dataset: Dataset
    start: "Start"
    total_steps: int

    @property
    def resume_from(self) -> Path | None:
        """The checkpoint it goes on from, None for a new run."""
        return self.start.checkpoint

    @property
    def warnings(self) -> list[str]:
        """What the user should know before it starts."""
        return [
            f"{reason} It is set aside as {damaged_path(path).name}; the one before it is used."
            for path, reason in self.start.damaged.items()
        ]

    def footprint(self, num_processes: int = 1) -> Footprint:
        """What it will take of each device."""
        spec = checkpoint.puzzle_spec(self.dataset.meta)
        return footprint(self.config, spec, num_processes)


@dataclass(frozen=True)
class Start:
    """Where a run goes on.

    Attributes:
        checkpoint: the newest whole one, None for a new run.
        damaged: newer ones, and what is wrong with them.
    """

    checkpoint: Path | None
    damaged: Mapping[Path, str]


def plan_run(
    config: RunConfig,
    task: Task,
    *,
    runs_folder: Path = Path("runs"),
    name: str | None = None,
    resume: str = "auto",
    device: torch.device | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Plan:
    """Decide what a run is, the same in all of its processes; nothing is written.

    Args:
        config: the settings.
        task: the task they name.
        runs_folder: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` goes on with a run of that name, ``never`` refuses to, anything else is
            the run folder to go on with.
        group: the processes that will train.

    Raises:
        ConfigError, DataError, CheckpointError: if it cannot start.
    """
    config = group.run_in_all(
        lambda: resolve_dtype(config, device or pick_device(config.train.device, group.local_rank))
    )
    dataset = group.run_in_all(lambda: _open(config, task, group))
    first = group.broadcast_from_first(lambda: (config, dataset.meta.digest))
    group.run_in_all(lambda: _check_same(config, dataset, *first))
    steps = total_steps(config, dataset.split("train"))
    folder, start = group.broadcast_from_first(
        lambda: _start(config, dataset, steps, runs_folder, name, resume)
    )
    group.run_in_all(lambda: _check_visible(start.checkpoint))
    if start.checkpoint is None and config.train.init_from is not None:
        group.run_in_all(lambda: check_beginning(config, dataset))
    return Plan(folder, config, dataset, start, steps)


def _open(config: RunConfig, task: Task, group: ProcessGroup) -> Dataset:
    """The data, once nothing speaks against training on it."""
    check_shares(config, group.size)
    if config.train.reset_puzzle_embedding and config.train.init_from is None:
        raise ConfigError("--reset-puzzle-embedding needs --init-from CHECKPOINT. Give it too.")
    trackers.check_trackers(config.train.log_to)
    dataset = with_validation_split(task.open_data(config.data_paths), config.data.validation_share)
    dataset.split(config.eval_split)
    _check_augment(config, dataset)
    return dataset


def _check_visible(found: Path | None) -> None:
    if found is not None and not found.is_dir():
        raise ConfigError(
            f"{found.absolute()} is not to be seen on {socket.gethostname()}. Put --out on a disk "
            "that all machines share."
        )


def _check_same(config: RunConfig, dataset: Dataset, first: RunConfig, digest: str) -> None:
    """Refuse to train with other settings or data than the first process."""
    host = socket.gethostname()
    for name in setting_names():
        part, field = name.split(".")
        theirs, ours = (getattr(getattr(which, part), field) for which in (first, config))
        if theirs != ours:
            raise ConfigError(
                f"{name} is {ours!r} on {host}, {theirs!r} in the first process. Give all the same."
            )
    if digest != dataset.meta.digest:
        raise ConfigError(
            f"{dataset.path} on {host} has digest {dataset.meta.digest[:12]}, that of the first "
            f"process {digest[:12]}. Give all machines the same data."
        )


def check_shares(config: RunConfig, num_processes: int) -> None:
    """Refuse a batch that cannot be dealt evenly.

    Raises:
        ConfigError: naming sizes that can.
    """
    size, parts = config.train.batch_size, num_processes * config.train.accumulate
    if size % parts:
        below = size - size % parts
        sizes = f"{below} or {below + parts}" if below else f"{parts}"
        dealt, ways = f"{num_processes} processes", "--nproc"
        if config.train.accumulate > 1:
            parts_each = f"--accumulate {config.train.accumulate}"
            dealt = f"{dealt} times {parts_each}" if num_processes > 1 else f"{parts_each} parts"
            ways = "--accumulate"
        raise ConfigError(
            f"a batch of {size} does not divide by {dealt}. Use --batch-size {sizes}, or another "
            f"{ways}."
        )


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


def _start(
    config: RunConfig,
    dataset: Dataset,
    steps: int,
    runs_folder: Path,
    name: str | None,
    resume: str,
) -> tuple[Path, Start]:
    folder = _folder(config, runs_folder, name, resume)
    found, damaged = newest_intact_checkpoint(folder)
    if found is None and resume not in ("auto", "never"):
        raise CheckpointError(
            f"--resume {resume}: that run has no checkpoint yet. Start it again with --run-name "
            f"{folder.name}."
        )
    if found is not None and resume == "never":
        raise ConfigError(f"run {folder} exists. Choose another --run-name, or --resume auto.")
    if found is not None:
        _check_resumable(found, config, dataset, steps)
    return folder, Start(found, damaged)


def _folder(config: RunConfig, runs_folder: Path, name: str | None, resume: str) -> Path:
    """The folder of a run, a new one where no name is given; see :func:`plan`.

    Raises:
        ConfigError: if the name is none for a folder.
    """
    if resume not in ("auto", "never"):
        return Path(resume)
    if name is None:
        name = new_run_name(runs_folder, config, datetime.datetime.now())
    if not name or Path(name).name != name or name == "..":
        raise ConfigError(f"--run-name {name!r} is no name for a folder. Give one such as 'try-1'.")
    return runs_folder / config.task / name


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
    for field in ("augment", "validation_share"):
        old, new = getattr(saved.run.data, field), getattr(config.data, field)
        if old != new:
            raise ConfigError(
                f"{found} was trained with data.{field} = {old}, now it is {new}. "
                "Give what it began with, or start a new run."
            )
    if saved.run.task != config.task:
        raise ConfigError(f"{found} is a run of task {saved.run.task!r}, not {config.task!r}.")
    check_not_ended(found, checkpoint.read_progress(found), total, config.train.patience)
