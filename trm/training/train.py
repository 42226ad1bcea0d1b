"""Training a run: in this process, as one of several, or as planned before."""

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from trm.config import RunConfig
from trm.publish.push_during_training import push_best
from trm.runs.layout import CONFIG_FILE, LAST
from trm.runs.lock import run_lock
from trm.runs.metrics_file import Listener
from trm.runs.run_folder import rename_damaged
from trm.runtime.device import device_errors, pick_device
from trm.runtime.process_group import (
    SINGLE_PROCESS,
    ProcessGroup,
    init_process_group,
    process_group_from_env,
)
from trm.storage import replace_symlink, write_text
from trm.tasks.base import Task
from trm.tasks.registry import get_task
from trm.training.loop import Outcome, TrainLoop
from trm.training.plan import Plan, plan_run


def train(
    config: RunConfig,
    *,
    runs: str | Path = "runs",
    name: str | None = None,
    resume: str = "auto",
    push_to: str | None = None,
    listen: Listener = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train a model in this process: ``trm train``.

    Started by torchrun or Slurm it is one of several processes that train together, a GPU each;
    ``trm train`` starts them itself.

    Args:
        config: what :func:`run_config` gives.
        runs: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` goes on with a run of that name, ``never`` refuses to, anything else is
            the run folder to go on with.
        push_to: push each new best checkpoint to this repository of the Hub.
        listen: hears every record, in the first process.
        should_stop: asked after each step; true ends the run with a checkpoint.

    Raises:
        ConfigError, DataError, CheckpointError: if it cannot start.
        TrainingError: if it went wrong on the way.
    """
    task = get_task(config.task)
    group = process_group_from_env(os.environ) or SINGLE_PROCESS
    with init_process_group(group, pick_device(config.train.device, group.local_rank)):
        planned = plan_run(
            config, task, runs_folder=Path(runs), name=name, resume=resume, group=group
        )
        with push_best(planned.folder, push_to if group.is_first else None, listen) as heard:
            return train_plan(planned, task, group=group, listen=heard, should_stop=should_stop)


def train_plan(
    planned: Plan,
    task: Task,
    *,
    group: ProcessGroup = SINGLE_PROCESS,
    listen: Listener = lambda record: None,
    should_stop: Callable[[], bool] = lambda: False,
    profile_steps: int = 0,
) -> Outcome:
    """Train as planned.

    Args:
        planned: by :func:`trm.training.plan.plan_run`.
        task: the task.
        group: the processes that train together, of which this is one.
        listen: hears every record, in the first process.
        should_stop: asked after each step; true ends the run with a checkpoint.
        profile_steps: write a profiler trace of so many steps.

    Raises:
        ConfigError: if another process trains in that folder.
        TrainingError: if numbers are not finite, or memory is used up.
    """
    config = planned.config
    device = pick_device(config.train.device, group.local_rank)
    with contextlib.ExitStack() as stack:
        group.broadcast_from_first(lambda: _occupy(planned, stack))
        run = TrainLoop(
            planned.folder, config, task, planned.dataset, device, group, listen, should_stop,
            profile_steps,
        )  # fmt: skip
        with device_errors():
            return run.fit(planned.resume_from)


def _occupy(planned: Plan, stack: contextlib.ExitStack) -> None:
    """Take the run folder, and put damaged checkpoints out of the way."""
    stack.enter_context(run_lock(planned.folder))
    for path in planned.start.damaged:
        rename_damaged(path)
    if planned.start.damaged and planned.resume_from is not None:
        replace_symlink(planned.folder / LAST, planned.resume_from)
    write_text(planned.folder / CONFIG_FILE, planned.config.model_dump_json(indent=2) + "\n")
