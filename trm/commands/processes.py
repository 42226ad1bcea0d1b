"""Starting the processes of ``trm train``, and showing what they say."""

import contextlib
import os
import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from trm.errors import ConfigError, TrainingError
from trm.runs.layout import BEST, METRICS_FILE
from trm.runtime.worker import is_elastic_worker
from trm.tasks.registry import get_task

if TYPE_CHECKING:
    from trm.runs.metrics_file import Listener, Record
    from trm.runtime.launcher import LaunchOptions
    from trm.runtime.process_group import ProcessGroup
    from trm.settings import ResolvedSettings
    from trm.training.footprint import Footprint
    from trm.training.loop import Outcome
    from trm.training.plan import Plan

out = Console()


def processes_to_start(
    device: str,
    num_processes: int | None,
    num_nodes: int | None = None,
    node_rank: int = 0,
    endpoint: str | None = None,
    max_restarts: int | None = None,
) -> "LaunchOptions | None":
    """The processes that this command has to start, None if this process does the work itself.

    It does so alone, or as one of the processes of a launcher (torchrun, srun or trm's own).

    Args:
        device: the device by its name, see :func:`trm.runtime.device.pick_device`.
        num_processes: as for :class:`LaunchOptions`, like the others; None for one per GPU.

    Raises:
        ConfigError: if the options contradict each other, the devices or the launcher.
    """
    from trm.runtime import device as devices
    from trm.runtime.launcher import LaunchOptions
    from trm.runtime.process_group import process_group_from_env

    group = process_group_from_env(os.environ)
    several = bool(num_nodes or node_rank or endpoint or max_restarts)
    if is_elastic_worker(os.environ) or (group is not None and group.size > 1 and not several):
        started = os.environ.get("LOCAL_WORLD_SIZE")
        if num_processes and started and int(started) != num_processes:
            raise ConfigError(
                f"--nproc {num_processes}, but the launcher started {started} processes here. "
                "Leave --nproc out."
            )
        return None
    count = devices.num_processes(device, num_processes)
    if count == 1 and (num_nodes or 1) == 1 and not several:
        return None
    restarts = 3 if max_restarts is None else max_restarts
    return LaunchOptions(count, num_nodes or 1, node_rank, endpoint, restarts)


def start(
    resolved: "ResolvedSettings",
    runs: Path,
    run_name: str | None,
    resume: str,
    options: "LaunchOptions",
    arguments: list[str],
    dry_run: bool,
) -> int:
    """Start several processes, each of which runs this command line again."""
    from trm.runs.lock import check_not_locked
    from trm.runs.metrics_file import record_crash
    from trm.runs.run_folder import last_checkpoint
    from trm.runtime import launcher
    from trm.training.plan import check_shares, plan_run

    num_processes = options.num_processes * options.num_nodes
    check_shares(resolved.config, num_processes)
    named = run_name is not None or resume not in ("auto", "never")
    if options.num_nodes > 1 and not named:
        raise ConfigError(
            f"--nnodes {options.num_nodes} needs --run-name NAME, the same on all machines."
        )
    task = get_task(resolved.config.task)
    plan = plan_run(resolved.config, task, runs_folder=runs, name=run_name, resume=resume)
    if dry_run:
        return show_needs(resolved, plan, num_processes)
    if options.num_nodes == 1:  # a machine that comes back may find the run still locked
        check_not_locked(plan.folder)
    folder, more = plan.folder, [] if named else ["--run-name", plan.folder.name]
    del plan  # and with it what was read of the data
    if resume == "never":  # that was for this moment; processes may be started again
        more += ["--resume", "auto"]
    if options.num_nodes > 1:
        others = options.num_nodes - 1
        more_machines = f"{others} more machine{'s' if others > 1 else ''}"
        out.print(f"waiting for {more_machines} at {options.endpoint}", highlight=False)

    def hint() -> str:
        if last_checkpoint(folder) is None:
            return "It had saved nothing yet; start it again."
        return f"Go on with --resume {folder}."

    try:
        return launcher.launch([*arguments, *more], options, folder, hint=hint)
    except TrainingError as error:
        record_crash(folder / METRICS_FILE, str(error))
        raise


def show_needs(resolved: "ResolvedSettings", plan: "Plan", num_processes: int) -> int:
    """What ``--dry-run`` prints."""
    from trm.show.tables import settings_table

    out.print(settings_table(resolved))
    for line in footprint_lines(plan.footprint(num_processes), plan.total_steps, num_processes):
        out.print(line, highlight=False, soft_wrap=True)
    return 0


@contextlib.contextmanager
def shown(plan: "Plan", group: "ProcessGroup") -> Iterator["Listener"]:
    """Draw the progress in the first process; the others are silent."""
    from trm.runs import checkpoint
    from trm.show.progress import TrainingView

    if not group.is_first:
        yield lambda record: None
        return
    for warning in plan.warnings:
        out.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    attempt, most = (
        os.environ.get(f"TORCHELASTIC_{name}", "0") for name in ("RESTART_COUNT", "MAX_RESTARTS")
    )
    if attempt != "0":
        what = f"a process died: all are started again, {attempt} of {most} times"
        out.print(f"warning: {what}; see {plan.folder / 'logs'}", highlight=False, soft_wrap=True)
    first = checkpoint.read_config(plan.resume_from).step if plan.resume_from else 0
    with TrainingView(out, plan.total_steps, first) as listen:

        def show(record: "Record") -> None:
            # Nobody reads on, as after `| head`: rich ends the process, but the run goes on.
            with contextlib.suppress(SystemExit, BrokenPipeError):
                listen(record)

        yield show


def say_how_it_ended(outcome: "Outcome", task: str) -> None:
    if not outcome.finished:
        hint = shlex.join(["trm", "train", task, "--resume", str(outcome.run)])
        if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:
            hint = "the same command on all machines"
        elif "LOCAL_WORLD_SIZE" in os.environ:
            hint += f" --nproc {os.environ['LOCAL_WORLD_SIZE']}"
        out.print(f"stopped at step {outcome.step}; go on with: {hint}", soft_wrap=True)
        return
    best = ""
    if outcome.best is not None:
        where = " on held-out training puzzles" if outcome.split == "validation" else ""
        best = f" best {outcome.best:.4f}{where} at step {outcome.best_step};"
    if outcome.ended_early:
        ended = f"ended early at step {outcome.step}: no evaluation since step {outcome.best_step}"
        out.print(f"{ended} was as good; the best is {outcome.run / BEST}", soft_wrap=True)
    hint = shlex.join(["trm", "eval", "--ckpt", str(outcome.run)])
    out.print(f"done:{best} next: {hint}", soft_wrap=True)


def footprint_lines(found: "Footprint", total_steps: int, num_processes: int = 1) -> Iterable[str]:
    """What a run would take, for ``--dry-run``."""
    yield f"parameters        {found.num_parameters:,}"
    yield f"puzzle embedding  {found.num_puzzle_numbers:,} numbers"
    batch = found.batch_size * num_processes
    shares = f", {found.batch_size:,} on each of {num_processes} devices"
    yield f"steps             {total_steps:,} of {batch:,} examples" + shares * (num_processes > 1)
    yield (
        f"memory a device   {size_text(found.total_bytes)} ({size_text(found.state_bytes)} weights "
        f"and optimizer, {size_text(found.rollout_bytes)} carried over, "
        f"{size_text(found.activation_bytes)} activations if not compiled)"
    )


def size_text(num_bytes: float) -> str:
    """Bytes for people.

    >>> size_text(5_300_000)
    '5.1 MiB'
    """
    for unit in ("B", "KiB", "MiB"):
        if num_bytes < 1024:
            return f"{num_bytes:.1f} {unit}" if unit != "B" else f"{num_bytes:.0f} B"
        num_bytes /= 1024
    return f"{num_bytes:.1f} GiB"
