"""From settings to a run: its data, its folder, its length and the checkpoint it resumes from."""

import dataclasses
import datetime
import json
import shlex
import socket
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from trm.config import RunConfig
from trm.data import Dataset, with_validation_split
from trm.errors import CheckpointError, ConfigError, TrmWarning
from trm.runs import checkpoint
from trm.runs.best_and_last import check_pointers, checkpoints
from trm.runs.layout import CONFIG_FILE
from trm.runs.lock import check_not_locked
from trm.runs.run_folder import (
    claim_run_folder,
    damaged_path,
    find_run,
    new_run_name,
    newest_intact_checkpoint,
)
from trm.runtime.device import pick_device, resolve_dtype
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.base import Task
from trm.tasks.registry import get_task
from trm.trackers import check_trackers
from trm.training.clock import now
from trm.training.model_init import check_initial_weights
from trm.training.schedule import Schedule, is_out_of_patience, total_steps

#: Settings of ``train`` that may change when a run resumes: how long it is, where it runs, and what
#: it writes.
_FREE_TO_CHANGE = (
    "max_steps", "max_minutes", "epochs", "device", "compile", "accumulate", "log_every_steps",
    "eval_every_steps", "save_every_steps", "save_every_minutes", "keep_checkpoints",
    "skip_nonfinite", "shard_puzzle_embedding", "log_to", "patience",
)  # fmt: skip


@dataclass(frozen=True)
class RunPlan:
    """A run that is about to start.

    Attributes:
        dataset: with the split that ``config.eval_split`` names.
        folder: the run folder.
        checkpoint: the newest intact checkpoint, from which the run resumes. None for a new run.
        damaged: newer checkpoints, and what is wrong with each.
        began: when the run began, by :func:`trm.training.clock.now`; earlier for one that resumes,
            by its time before.
    """

    task: Task
    config: RunConfig
    dataset: Dataset
    total_steps: int
    folder: Path
    checkpoint: Path | None
    damaged: Mapping[Path, str]
    began: float = dataclasses.field(default_factory=now)

    @property
    def schedule(self) -> Schedule:
        """The steps at which it evaluates, saves and logs."""
        return Schedule.from_config(
            self.config,
            self.total_steps,
            can_measure=_can_measure(self.task, self.config, self.dataset),
        )

    @property
    def no_evaluation(self) -> str | None:
        """Why the run has no evaluations, None if it has some."""
        if self.config.train.eval_every_steps == 0:
            return "train.eval_every_steps is 0"
        known = _can_measure(self.task, self.config, self.dataset)
        return None if known else f"the {self.config.eval_split} split has no known outputs"

    @property
    def is_current(self) -> bool:
        """Whether the folder has no newer checkpoint than those that the plan knows."""
        newest = next(reversed(checkpoints(self.folder)), None)
        return newest == next(iter(self.damaged), self.checkpoint)

    @property
    def warnings(self) -> list[str]:
        """What the user should know before the run starts."""
        return [
            f"{reason} It is set aside as {damaged_path(path).name}; the one before it is used."
            for path, reason in self.damaged.items()
        ]

    def to_json(self) -> str:
        """The decisions of the plan, for a process that opens the data itself."""
        return json.dumps(
            {
                "config": self.config.model_dump(mode="json"),
                "folder": str(self.folder),
                "checkpoint": None if self.checkpoint is None else str(self.checkpoint),
                "damaged": {str(path): reason for path, reason in self.damaged.items()},
                "began": self.began,
            }
        )

    @classmethod
    def from_json(cls, text: str) -> "RunPlan":
        """The inverse of :meth:`to_json`.

        Raises:
            DataError, PluginError: if the data or the task is not there.
        """
        found = json.loads(text)
        config = RunConfig.model_validate(found["config"])
        task = get_task(config.task)
        dataset = open_run_data(config, task)
        return cls(
            task,
            config,
            dataset,
            total_steps(config, dataset.split("train")),
            Path(found["folder"]),
            None if found["checkpoint"] is None else Path(found["checkpoint"]),
            {Path(path): reason for path, reason in found["damaged"].items()},
            found["began"],
        )


def plan_run(
    config: RunConfig,
    task: Task | None = None,
    *,
    runs: str | Path = "runs",
    name: str | None = None,
    resume: str = "auto",
    began: float | None = None,
    device: torch.device | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
    num_processes: int | None = None,
) -> RunPlan:
    """Decide what a run is, the same in all processes of the group. Nothing is written.

    Args:
        config: the settings.
        task: None for the installed task that the settings name.
        runs: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` resumes the run of that name if it exists, ``never`` refuses to. Anything
            else is the run folder to resume.
        began: when the command began, by :func:`trm.training.clock.now`; None for now.
        device: of this process, None for the one that the settings name.
        group: the processes that plan together.
        num_processes: the number of processes that will train, None for the size of the group.

    Raises:
        ConfigError, DataError, CheckpointError: if the run cannot start.
    """
    task = task or get_task(config.task)
    began = now() if began is None else began

    def resolve() -> RunConfig:
        if config.model.forward_dtype != "auto":
            return config
        return resolve_dtype(config, device or pick_device(config.train.device, group.local_rank))

    config = group.run_in_all(resolve)
    dataset = group.run_in_all(lambda: _open(config, task, num_processes or group.size))
    steps = total_steps(config, dataset.split("train"))
    _check_same_everywhere(config, dataset, group)

    def find_start() -> tuple[Path, Path | None, Mapping[Path, str]]:
        folder = _run_folder(config, Path(runs), name, resume)
        check_pointers(folder)
        found, damaged = newest_intact_checkpoint(folder)
        if found is None:
            check_not_locked(folder)  # before it is said to have ended
        if found is None and resume not in ("auto", "never"):
            raise CheckpointError(
                f"--resume {resume}: that run has no checkpoint yet. Start it again with "
                f"--run-name {folder.name}."
            )
        if found is None and name is not None and (folder / CONFIG_FILE).is_file():
            warnings.warn(
                f"{folder} ended before its first checkpoint, so it starts again at step 0.",
                TrmWarning,
                stacklevel=2,
            )
        if found is not None and resume == "never":
            raise ConfigError(f"run {folder} exists. Choose another --run-name, or --resume auto.")
        if found is not None:
            _check_resumable(found, RunPlan(task, config, dataset, steps, folder, found, damaged))
        return folder, found, damaged

    folder, found, damaged = group.broadcast_from_first(find_start)
    group.run_in_all(lambda: _check_visible(found))
    if found is None and config.train.init_from is not None:
        messages = group.run_in_all(lambda: check_initial_weights(config, dataset))
        for message in messages if group.is_first else ():
            warnings.warn(message, TrmWarning, stacklevel=2)
    before = 0.0 if found is None else checkpoint.read_progress(found).wall_s
    return RunPlan(task, config, dataset, steps, folder, found, damaged, began - before)


def claim_folder(plan: RunPlan, group: ProcessGroup = SINGLE_PROCESS) -> RunPlan:
    """Make the folder of a run without a name, under another name if that has just been taken.

    Raises:
        StorageError: if it cannot be made.
    """
    folder = group.broadcast_from_first(lambda: claim_run_folder(plan.folder, plan.config))
    return dataclasses.replace(plan, folder=folder)


def confirm_plan(plan: RunPlan, group: ProcessGroup) -> RunPlan:
    """The first process's plan, after checking that all processes have the same and it is current.

    If there is a newer checkpoint since it was made, as in processes that are started again, the
    run resumes from that one.

    Raises:
        ConfigError, CheckpointError: if the run cannot start.
    """
    _check_same_everywhere(plan.config, plan.dataset, group)

    def find_start() -> tuple[Path, Path | None, Mapping[Path, str]]:
        if plan.is_current:
            return plan.folder, plan.checkpoint, plan.damaged
        found, damaged = newest_intact_checkpoint(plan.folder)
        if found is not None:
            _check_resumable(found, plan)
        return plan.folder, found, damaged

    folder, found, damaged = group.broadcast_from_first(find_start)
    group.run_in_all(lambda: _check_visible(found))
    return dataclasses.replace(plan, folder=folder, checkpoint=found, damaged=damaged)


def _can_measure(task: Task, config: RunConfig, dataset: Dataset) -> bool:
    return task.can_measure(dataset.split(config.eval_split))


def open_run_data(config: RunConfig, task: Task) -> Dataset:
    """The data of a run, with the validation split if the run holds puzzles out.

    Raises:
        DataError: if there is no such data.
    """
    dataset, share = task.open_data(config.data_paths), config.data.validation_share
    return with_validation_split(dataset, share) if share else dataset


def _open(config: RunConfig, task: Task, num_processes: int) -> Dataset:
    """Check the settings, and open the data."""
    size, accumulate = config.train.batch_size, config.train.accumulate
    if size % (parts := num_processes * accumulate):
        below = size - size % parts
        sizes = f"{below} or {below + parts}" if below else f"{parts}"
        divisor, flag = f"{num_processes} processes", "--nproc"
        if accumulate > 1:
            divisor, flag = f"--accumulate {accumulate} parts", "--accumulate"
            if num_processes > 1:
                divisor = f"{num_processes} processes times --accumulate {accumulate}"
        raise ConfigError(
            f"a batch of {size} does not divide by {divisor}. Use --batch-size {sizes}, or another "
            f"{flag}."
        )
    if config.train.reset_puzzle_embedding and config.train.init_from is None:
        raise ConfigError("--reset-puzzle-embedding needs --init-from CHECKPOINT. Give it too.")
    if config.train.freeze_core_share and config.train.init_from is None:
        raise ConfigError(
            "train.freeze_core_share needs --init-from CHECKPOINT, whose network is kept at first. "
            "Give it too."
        )
    check_trackers(config.train.log_to)
    dataset = open_run_data(config, task)
    if config.train.patience is not None and not _can_measure(task, config, dataset):
        raise ConfigError(
            f"--patience {config.train.patience}: the {config.eval_split} split of {dataset.path} "
            "has no known outputs, so nothing can be evaluated. Leave it out."
        )
    dataset.split(config.eval_split)
    if config.data.augment == "stored":
        return dataset
    split = dataset.split("train")
    if split.augmentation is None:
        raise ConfigError(f"data.augment = online: task {config.task} has no symmetries. Unset it.")
    if split.identifiers is not None or len(split.example_offsets) != split.num_groups + 1:
        raise ConfigError(
            f"data.augment = online: {dataset.path} has an identifier for each stored copy, or "
            "only copies that are augmented already. Train on the stored ones."
        )
    return dataset


def _check_same_everywhere(config: RunConfig, dataset: Dataset, group: ProcessGroup) -> None:
    """Check that all processes have the settings and the data of the first one."""
    if group.size == 1:
        return
    first, digest = group.broadcast_from_first(lambda: (config, dataset.meta.digest))

    def check() -> None:
        host = socket.gethostname()
        all_expected = first.by_name()
        for setting, value in config.by_name().items():
            expected = all_expected[setting]
            if value != expected:
                raise ConfigError(
                    f"{setting} is {value!r} on {host}, {expected!r} in the first process. Give "
                    "all the same."
                )
        if digest != dataset.meta.digest:
            raise ConfigError(
                f"{dataset.path} on {host} has digest {dataset.meta.digest[:12]}, that of the "
                f"first process {digest[:12]}. Give all machines the same data."
            )

    group.run_in_all(check)


def _check_visible(found: Path | None) -> None:
    if found is not None and not found.is_dir():
        raise ConfigError(
            f"{found.absolute()} is missing on {socket.gethostname()}. Put the runs on a disk "
            "that all machines share."
        )


def _run_folder(config: RunConfig, runs: Path, name: str | None, resume: str) -> Path:
    if resume not in ("auto", "never"):
        return find_run(resume, runs)
    if name is None:
        name = new_run_name(runs, config, datetime.datetime.now())
    if not name or Path(name).name != name or name == "..":
        raise ConfigError(f"--run-name {name!r} is not a folder name. Give a name such as 'try-1'.")
    return runs / config.task / name


def _check_resumable(found: Path, plan: RunPlan) -> None:
    """Check that a run may resume from a checkpoint with these settings and data."""
    config, dataset, total = plan.config, plan.dataset, plan.total_steps
    saved = checkpoint.read_config(found)
    resume = shlex.join(["trm", "train", saved.run.task, "--resume", str(found.parents[1])])
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
                    f"To resume it with its own settings: {resume}"
                )
    for field in ("augment", "max_pairs", "validation_share"):
        old, new = getattr(saved.run.data, field), getattr(config.data, field)
        if old != new:
            raise ConfigError(
                f"{found} was trained with data.{field} = {old}, now it is {new}. "
                f"To resume it with its own settings: {resume}"
            )
    if saved.run.task != config.task:
        raise ConfigError(f"{found} is a run of task {saved.run.task!r}, not {config.task!r}.")
    progress = checkpoint.read_progress(found)
    lacks = plan.schedule.evaluates(total) and progress.evaluated_step != total
    if progress.step > total or (progress.step == total and not lacks):
        raise ConfigError(
            f"{found} has reached step {progress.step} of {total} already. "
            "Ask for more with --max-steps or --epochs, or start a new run with --run-name."
        )
    minutes = config.train.max_minutes
    if minutes is not None and minutes <= max(progress.ended_minutes or 0, progress.wall_s / 60):
        raise ConfigError(
            f"{found}: the run has used its time, --max-minutes {minutes:g}. Give more, or start a "
            "new run with --run-name."
        )
    if is_out_of_patience(progress, config.train.patience):
        raise ConfigError(
            f"{found}: the run has ended early, for --patience {config.train.patience}: no "
            f"evaluation since step {progress.best_step} was as good. Give more, or start a new "
            "run with --run-name."
        )
