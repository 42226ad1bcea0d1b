"""Starting the processes of ``trm train`` and ``trm eval``, and what ``trm train`` prints."""

import contextlib
import os
import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trm.errors import ConfigError, TrainingError, TrmWarning
from trm.runs.layout import METRICS_FILE
from trm.runtime.stop_signals import on_interrupt
from trm.runtime.worker import (
    allowed_restarts,
    handle_interrupts,
    is_elastic_worker,
    num_restarts,
)
from trm.show.text import Terminal, notes, out
from trm.storage import size_text

if TYPE_CHECKING:
    import torch

    from trm.config import RunConfig
    from trm.runs.metrics_file import Listener, Record
    from trm.runtime.launcher import LaunchOptions
    from trm.runtime.process_group import ProcessGroup
    from trm.settings import ResolvedSettings
    from trm.training.memory_estimate import MemoryEstimate
    from trm.training.run_plan import RunPlan
    from trm.training.train_result import TrainResult

#: The environment variable in which the launching process hands its plan to the workers.
_PLAN = "LAUNCHER_RUN_PLAN"


def processes_to_start(
    device: str,
    num_processes: int | None,
    num_nodes: int | None = None,
    node_rank: int = 0,
    endpoint: str | None = None,
    max_restarts: int | None = None,
    oversubscribe: bool = False,
) -> "LaunchOptions | None":
    """The processes that this command has to start, None if this process does the work itself.

    It does so alone, or as one of the processes of a launcher (torchrun, srun or trm's own).

    Args:
        device: the device by its name, see :func:`trm.runtime.device.pick_device`.
        num_processes: as for :class:`LaunchOptions`, like the others; None for one per GPU.
        oversubscribe: allow more processes than CPU cores.

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
    count = devices.num_processes(device, num_processes, oversubscribe)
    if count == 1 and (num_nodes or 1) == 1 and not several:
        return None
    restarts = 3 if max_restarts is None else max_restarts
    return LaunchOptions(count, num_nodes or 1, node_rank, endpoint, restarts)


def launch_training(
    config: "RunConfig", options: "LaunchOptions", arguments: list[str], **where: Any
) -> int:
    """Plan a run, and start the processes that train it: each runs this command line again.

    Args:
        config: the settings.
        options: how many processes, and on which machines.
        arguments: the command line.
        where: ``runs``, ``name`` and ``resume`` of :func:`trm.training.run_plan.plan_run`.
    """
    from trm.runs.best_and_last import last_checkpoint
    from trm.runs.lock import check_not_locked
    from trm.runs.metrics_file import record_crash
    from trm.runtime.launcher import launch
    from trm.training.run_plan import claim_folder, plan_run

    plan = plan_run(config, num_processes=options.total_processes, **where)
    if where["name"] is None and where["resume"] in ("auto", "never"):
        plan = claim_folder(plan)
    folder, environment = plan.folder, {_PLAN: plan.to_json()}
    del plan  # and its data
    if options.num_nodes == 1:  # a machine that comes back may find the run still locked
        check_not_locked(folder)
    else:
        others = options.num_nodes - 1
        machines = f"{others} more machine{'s' if others > 1 else ''}"
        out.remark(f"waiting for {machines} at {options.endpoint}")

    def hint() -> str:
        if last_checkpoint(folder) is None:
            return "It had saved nothing yet; start it again."
        command = shlex.join(["trm", "train", config.task, "--resume", str(folder)])
        return f"Resume it: {command}"

    try:
        with on_interrupt(acknowledge_interrupt):
            return launch(arguments, options, folder, hint=hint, environment=environment)
    except TrainingError as error:
        record_crash(folder / METRICS_FILE, str(error))
        raise


@contextlib.contextmanager
def join_processes(device: str) -> "Iterator[tuple[torch.device, ProcessGroup]]":
    """Join the processes that work together; gives the device of this process, and the group.

    Handle stop signals inside only. A process that is still waiting for the others has to end at
    once, and no handler runs while it waits.
    """
    from trm.runtime.device import pick_device
    from trm.runtime.process_group import SINGLE_PROCESS, init_process_group, process_group_from_env

    group = process_group_from_env(os.environ) or SINGLE_PROCESS
    own_device = pick_device(device, group.local_rank)
    with init_process_group(group, own_device):
        handle_interrupts()
        yield own_device, group


def acknowledge_interrupt() -> None:
    """Say that training will stop. In a terminal, the line goes above the bar of this process."""
    console = out if out.is_terminal else notes
    with _output_may_fail(console):
        console.print("stopping after this step; Ctrl-C again to quit now")


def plan_from_launcher(environment: Mapping[str, str]) -> "RunPlan | None":
    """The plan of the process that started this one, None if this is not a worker of ``trm``."""
    if _PLAN not in environment or not is_elastic_worker(environment):
        return None
    from trm.training.run_plan import RunPlan

    return RunPlan.from_json(environment[_PLAN])


def print_dry_run(
    resolved: "ResolvedSettings", options: "LaunchOptions | None", **where: Any
) -> int:
    """Print the settings of a run and what it would need; see :func:`launch_training`."""
    from trm.runs.checkpoint import puzzle_spec, read_config
    from trm.runtime.device import pick_device
    from trm.runtime.process_group import SINGLE_PROCESS, process_group_from_env
    from trm.show.tables import settings_table
    from trm.training.clock import now
    from trm.training.memory_estimate import estimate_memory
    from trm.training.run_plan import plan_run
    from trm.training.time_estimate import estimate_run
    from trm.training.train import memory_warning

    group = process_group_from_env(os.environ) or SINGLE_PROCESS
    if options is None and not group.is_first:
        return 0
    size = group.size if options is None else options.total_processes
    plan = plan_run(resolved.config, num_processes=size, **where)
    device = pick_device(plan.config.train.device)
    needs = estimate_memory(plan.config, puzzle_spec(plan.dataset.meta, plan.config.model), size)
    start = 0 if plan.checkpoint is None else read_config(plan.checkpoint).step
    time = estimate_run(plan, device, size, start, measures_alone=True)
    out.print(settings_table(resolved, with_defaults=out.verbosity == "verbose"))
    if out.verbosity != "verbose":
        out.print("All other settings have their defaults; -v shows them.")
    for line in memory_lines(needs, plan.total_steps, size):
        out.print_parts(line)
    out.print_parts(f"time              {time.text}")
    if (minutes := plan.config.train.max_minutes) is not None:
        used = (now() - plan.began) / 60 if plan.checkpoint is not None else 0
        before = f", {used:.2g} of them used" if used else ""
        out.print_parts(f"time limit        {minutes:g} minutes{before}")
    here = size if options is None else options.num_processes
    try:
        memory = memory_warning(plan, device, size, here)
    except ConfigError as error:  # the run may be meant for another machine
        memory = str(error)
    for message in (time.warning(device.type, plan.task.presets), memory):
        if message:
            warnings.warn(message, TrmWarning, stacklevel=2)
    return 0


@contextlib.contextmanager
def training_view() -> Iterator["Listener"]:
    """Show the records of a run on the terminal, from its ``start`` on."""
    from trm.show.progress import TrainingView, record_line

    with contextlib.ExitStack() as stack:
        listen: Listener | None = None

        def show(record: "Record") -> None:
            nonlocal listen
            with _output_may_fail():
                if record["event"] == "start":
                    if restarts := num_restarts(os.environ):
                        out.print(
                            "warning: a process died: all are started again, "
                            f"{restarts} of {allowed_restarts(os.environ)} times; "
                            f"see {record['run']}/logs",
                        )  # fmt: skip
                    view = TrainingView(out, record["total_steps"], record["step"])
                    listen = stack.enter_context(view)
                if listen is not None:
                    listen(record)
                else:  # a warning before the start
                    out.print(record_line(record, 0))

        yield show


@contextlib.contextmanager
def _output_may_fail(console: Terminal = out) -> Iterator[None]:
    """Training continues without its output: on a full disk, or if nobody reads it (`| head`)."""
    try:
        yield
    except (SystemExit, BrokenPipeError):
        pass  # rich has replaced stdout by /dev/null
    except OSError:
        console.quiet = True
        with Path(os.devnull).open("w") as nowhere:  # otherwise Python fails at exit, too
            os.dup2(nowhere.fileno(), console.file.fileno())


def print_result(result: "TrainResult", task: str) -> None:
    """Print how a run ended, and what to type next."""
    with _output_may_fail():
        _print_result(result, task)


def _print_result(result: "TrainResult", task: str) -> None:
    if not result.finished:
        hint = shlex.join(["trm", "train", task, "--resume", str(result.run)])
        if int(os.environ.get("GROUP_WORLD_SIZE", "1")) > 1:
            hint = "the same command on all machines"
        elif "LOCAL_WORLD_SIZE" in os.environ:
            hint += f" --nproc {os.environ['LOCAL_WORLD_SIZE']}"
        out.print(f"stopped at step {result.step} of {result.total_steps}")
        out.print(f"resume with: {hint}")
        return
    best = ""
    if result.best is not None:
        where = " on held-out training puzzles" if result.split == "validation" else ""
        best = f" best {result.headline} {result.best:.4f}{where} at step {result.best_step}"
    if result.ended_early:
        ended = f"ended early at step {result.step}"
        out.print(f"{ended}: no evaluation since step {result.best_step} was as good")
    if result.out_of_time:
        out.print(f"time is up at step {result.step} of {result.total_steps}")
    out.print(f"done:{best}".removesuffix(":"))
    out.remark(f"next: {shlex.join(['trm', 'eval', '--ckpt', str(result.run)])}")


def memory_lines(found: "MemoryEstimate", total_steps: int, num_processes: int) -> Iterable[str]:
    """What a run would need, for ``--dry-run``."""
    yield f"parameters        {found.num_parameters:,}"
    yield f"puzzle embedding  {found.num_puzzle_numbers:,} numbers"
    batch = found.batch_size * num_processes
    shards = f", {found.batch_size:,} on each of {num_processes} devices"
    yield f"steps             {total_steps:,} of {batch:,} examples" + shards * (num_processes > 1)
    kept, compiled = size_text(found.activation_bytes), size_text(found.compiled_bytes)
    yield (
        f"memory a device   {size_text(found.total_bytes)} ({size_text(found.state_bytes)} weights "
        f"and optimizer, {size_text(found.carry_bytes)} carried over, {kept} activations)"
    )
    total = size_text(found.total(compiled=True))
    yield f"if compiled       {total} ({compiled} activations)"
