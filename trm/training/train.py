"""Training a run: what ``trm train`` and ``trm.train`` call."""

import contextlib
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from trm.config import RunConfig
from trm.errors import ConfigError, TrmWarning
from trm.recipes import run_config
from trm.runs.best_and_last import restore_pointers
from trm.runs.checkpoint import puzzle_spec
from trm.runs.layout import CONFIG_FILE
from trm.runs.lock import run_lock
from trm.runs.metrics_file import Listener
from trm.runs.run_folder import rename_damaged
from trm.runtime.device import device_errors, device_memory, is_to_compile, pick_device
from trm.runtime.process_group import SINGLE_PROCESS, init_process_group, process_group_from_env
from trm.runtime.worker import num_restarts
from trm.storage import write_text
from trm.tasks.build_command import check_folders
from trm.tasks.registry import get_task
from trm.training.clock import now
from trm.training.loop import TrainLoop
from trm.training.memory_estimate import check_memory
from trm.training.run_plan import RunPlan, claim_folder, confirm_plan, plan_run
from trm.training.train_result import TrainResult

_LESS_MEMORY = (
    "Take each batch in more parts with --accumulate 2 (4, 8, ...), use more --nproc, or lower "
    "--batch-size."
)


def train(
    config: str | RunConfig,
    *,
    runs: str | Path = "runs",
    name: str | None = None,
    resume: str = "auto",
    push_to: str | None = None,
    listen: Listener | None = None,
    should_stop: Callable[[], bool] | None = None,
    profile_steps: int = 0,
    plan: RunPlan | None = None,
    began: float | None = None,
    **settings: Any,
) -> TrainResult:
    """Train a model in this process: ``trm train``.

    For example ``trm.train("sudoku", preset="mini", max_steps=900, listen=print)``.

    If torchrun or Slurm started this process, it trains together with the others, one GPU each.
    The command ``trm train`` also starts these processes.

    Ctrl-C raises KeyboardInterrupt at once, and what was learned since the last checkpoint is lost.
    To stop with a checkpoint, let ``should_stop`` return True.

    Args:
        config: the name of a task, or all settings from :func:`run_config`.
        runs: run folders are ``RUNS/TASK/NAME``.
        name: the run's name, None for a new one.
        resume: ``auto`` resumes the run of that name if it exists, ``never`` refuses to. Anything
            else is the run folder to resume.
        push_to: push each new best checkpoint to this Hub repository.
        listen: called with every record, in the first process, such as ``print``.
        should_stop: called after each step. True ends the run with a checkpoint.
        profile_steps: write a profiler trace of this many steps.
        plan: the run, if it is planned already by :func:`trm.training.run_plan.plan_run`. Then
            ``runs``, ``name``, ``resume`` and ``began`` have no effect.
        began: the time that ``train.max_minutes`` counts from, by ``time.monotonic()``; None for
            now.
        settings: with the name of a task, what :func:`run_config` takes: ``preset``, ``max_steps``
            and so on.

    Raises:
        ConfigError, DataError, CheckpointError: if the run cannot start, or does not fit into the
            memory.
        TrainingError: if a loss is not finite, or the device is out of memory.
    """
    began = now() if began is None else began
    if isinstance(config, str):
        config = run_config(config, **settings)
        check_folders(get_task(config.task), config.data_paths, preset=settings.get("preset"))
    elif settings:
        names = ", ".join(settings)
        raise ConfigError(f"{names}: the config has all settings. Give them to trm.run_config.")
    listen, should_stop = listen or (lambda record: None), should_stop or (lambda: False)
    group = process_group_from_env(os.environ) or SINGLE_PROCESS
    device = pick_device(config.train.device, group.local_rank)
    with init_process_group(group, device), contextlib.ExitStack() as stack:
        if plan is None:
            (is_restarted,) = group.any_process(num_restarts(os.environ) > 0)
            if is_restarted and resume == "never":
                resume = "auto"  # the processes before these have started the run
            plan = plan_run(
                config, runs=runs, name=name, resume=resume, began=began, device=device, group=group
            )
            makes_folder = name is None and resume in ("auto", "never")
        else:
            plan, makes_folder = confirm_plan(plan, group), False
        here = int(os.environ.get("LOCAL_WORLD_SIZE", group.size))
        checked = (plan, device, group.size, here)
        message = group.run_in_all(lambda: memory_warning(*checked))
        if message and group.is_first:
            warnings.warn(message, TrmWarning, stacklevel=2)
        if makes_folder:
            plan = claim_folder(plan, group)
        folder, config = plan.folder, plan.config
        if push_to is not None and group.is_first:
            from trm.publish.push_during_training import push_best

            listen = stack.enter_context(push_best(folder, push_to, listen))

        def prepare_folder() -> None:
            stack.enter_context(run_lock(folder))
            if not plan.is_current:
                raise ConfigError(
                    f"another process trained {folder} while this run was planned. Start the "
                    "command again."
                )
            for path in plan.damaged:
                rename_damaged(path)
            restore_pointers(folder)
            write_text(folder / CONFIG_FILE, config.model_dump_json(indent=2) + "\n")

        group.broadcast_from_first(prepare_folder)
        loop = TrainLoop(plan, device, group, listen, should_stop, profile_steps)
        with device_errors(_LESS_MEMORY):
            return loop.run()


def memory_warning(
    plan: RunPlan, device: torch.device, num_processes: int, num_here: int
) -> str | None:
    """Check that a run fits into the memory of a device.

    Args:
        plan: the run.
        device: of this process.
        num_processes: that train together.
        num_here: those of them on this machine, which share its memory if they train on its CPU.

    Returns:
        A warning if it may not fit.

    Raises:
        ConfigError: if it cannot fit.
    """
    memory = device_memory(device)
    if memory is not None and device.type == "cpu":
        memory = memory.share(num_here)
    return check_memory(
        plan.config,
        puzzle_spec(plan.dataset.meta, plan.config.model),
        num_processes,
        memory,
        compiled=is_to_compile(device, plan.config.train.compile),
        small_presets=[name for name, preset in plan.task.presets.items() if preset.for_cpu],
    )
