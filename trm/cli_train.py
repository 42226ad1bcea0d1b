"""The commands that settle what a run is, and run it: ``config`` and ``train``."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from trm import cli_options as opt
from trm.engine.worker import as_worker, is_started_by_elastic
from trm.errors import ConfigError
from trm.plugins import get_task

if TYPE_CHECKING:
    from trm.engine.distributed import Group
    from trm.engine.elastic import Machines
    from trm.engine.launch import Plan
    from trm.engine.track import Listener
    from trm.engine.train import Outcome
    from trm.settings import Resolved

app = typer.Typer()
out = Console()


@app.command()
def config(
    task: opt.TaskName,
    preset: opt.Preset = None,
    mlp_t: opt.MlpT = False,
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    as_json: Annotated[bool, typer.Option("--json", help="The settings as JSON.")] = False,
) -> None:
    """Print the resolved settings, and where each came from."""
    from trm.show.tables import settings_table

    resolved = resolve(task, preset, mlp_t, config_file, assignments)
    if as_json:
        out.print_json(resolved.config.model_dump_json())
    else:
        out.print(settings_table(resolved))


@app.command()
def train(
    context: typer.Context,
    task: opt.TaskName,
    preset: opt.Preset = None,
    mlp_t: opt.MlpT = False,
    data: opt.Data = None,
    runs: Annotated[Path, typer.Option("--out", metavar="RUNS", help="Folder of runs.")] = Path(
        "runs"
    ),
    run_name: Annotated[str | None, typer.Option(help="The run's name, RUNS/TASK/NAME.")] = None,
    seed: opt.Seed = None,
    augment: opt.Augment = None,
    max_steps: opt.MaxSteps = None,
    epochs: opt.Epochs = None,
    batch_size: opt.BatchSize = None,
    accumulate: opt.Accumulate = None,
    device: opt.Device = None,
    no_compile: opt.NoCompile = False,
    num_processes: opt.NumProcesses = None,
    num_nodes: opt.NumNodes = None,
    node_rank: opt.NodeRank = 0,
    endpoint: opt.Endpoint = None,
    max_restarts: opt.MaxRestarts = None,
    shard: opt.Shard = False,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|never|RUN",
            help="auto goes on with a run of that --run-name; RUN with that run, by its settings.",
        ),
    ] = "auto",
    save_every: opt.SaveEvery = None,
    keep: opt.Keep = None,
    skip_nonfinite: opt.SkipNonfinite = None,
    log_to: opt.LogTo = None,
    profile: opt.Profile = 0,
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes, exit.")] = False,
) -> int:
    """Train a model, on all GPUs; go on with the run if it was interrupted."""
    flags: dict[str, tuple[Any, str]] = {
        name: (value, flag)
        for name, value, flag in (
            ("data.paths", data or None, "--data"),
            ("data.augment", augment, "--augment"),
            ("train.seed", seed, "--seed"),
            ("train.max_steps", max_steps, "--max-steps"),
            ("train.epochs", epochs, "--epochs"),
            ("train.batch_size", batch_size, "--batch-size"),
            ("train.accumulate", accumulate, "--accumulate"),
            ("train.device", device, "--device"),
            ("train.compile", False if no_compile else None, "--no-compile"),
            ("train.shard_puzzle_embedding", shard or None, "--shard-puzzle-embedding"),
            ("train.keep_checkpoints", keep, "--keep"),
            ("train.skip_nonfinite", skip_nonfinite, "--skip-nonfinite"),
            ("train.log_to", log_to, "--log-to"),
        )
        if value is not None
    }
    if epochs is not None and max_steps is None:
        flags["train.max_steps"] = (None, "--epochs")  # a preset's number of steps gives way
    if save_every is not None:
        flags |= opt.save_every(save_every)
    begun = Path(resume) if resume not in ("auto", "never") else None
    resolved = resolve(task, preset, mlp_t, config_file, assignments, flags, begun)
    with as_worker(os.environ):  # which may end it before anything heavy is imported
        machines = _machines(resolved, num_processes, num_nodes, node_rank, endpoint, max_restarts)
        if machines is None:
            return _train(resolved, runs, run_name, resume, profile, dry_run)
    return _launch(resolved, runs, run_name, resume, machines, context.obj or [], dry_run)


def _machines(
    resolved: "Resolved",
    num_processes: int | None,
    num_nodes: int | None,
    node_rank: int,
    endpoint: str | None,
    max_restarts: int | None,
) -> "Machines | None":
    """The processes to start; None where this process trains, alone or as a launcher's."""
    from trm.engine import device
    from trm.engine.distributed import group_of
    from trm.engine.elastic import Machines

    given = num_processes or num_nodes or node_rank or endpoint or max_restarts
    started = is_started_by_elastic(os.environ)
    group = group_of(os.environ)
    if started or (not given and group is not None and group.size > 1):
        there = os.environ.get("LOCAL_WORLD_SIZE", "1")
        if num_processes and int(there) != num_processes:
            raise ConfigError(
                f"--nproc {num_processes}, but the launcher started {there} processes here. "
                "Leave --nproc out."
            )
        return None
    count = device.num_processes(resolved.config.train.device, num_processes)
    if count == 1 and (num_nodes or 1) == 1 and not (node_rank or endpoint or max_restarts):
        return None
    restarts = 3 if max_restarts is None else max_restarts
    return Machines(count, num_nodes or 1, node_rank, endpoint, restarts)


def _launch(
    resolved: "Resolved",
    runs: Path,
    run_name: str | None,
    resume: str,
    machines: "Machines",
    arguments: list[str],
    dry_run: bool,
) -> int:
    """Start several processes, each of which runs this command line again."""
    from trm.engine import elastic, launch

    num_processes = machines.num_processes * machines.num_nodes
    launch.check_shares(resolved.config, num_processes)
    named = run_name is not None or resume not in ("auto", "never")
    if machines.num_nodes > 1 and not named:
        raise ConfigError(
            f"--nnodes {machines.num_nodes} needs --run-name NAME, the same on all machines."
        )
    task = get_task(resolved.config.task)
    plan = launch.plan(resolved.config, task, runs_folder=runs, name=run_name, resume=resume)
    if dry_run:
        return _show(resolved, plan, num_processes)
    folder, more = plan.folder, [] if named else ["--run-name", plan.folder.name]
    del plan  # and with it what was read of the data
    if resume == "never":  # that was for this moment; processes may be started again
        more += ["--resume", "auto"]
    way_out = f"Go on with --resume {folder}."
    return elastic.launch([*arguments, *more], machines, folder, way_out=way_out)


def _show(resolved: "Resolved", plan: "Plan", num_processes: int) -> int:
    """What ``--dry-run`` prints."""
    from trm.show.tables import footprint_lines, settings_table

    out.print(settings_table(resolved))
    for line in footprint_lines(plan.footprint(num_processes), plan.total_steps, num_processes):
        out.print(line, highlight=False, soft_wrap=True)
    return 0


def _train(
    resolved: "Resolved",
    runs: Path,
    run_name: str | None,
    resume: str,
    profile_steps: int,
    dry_run: bool,
) -> int:
    """Train in this process, alone or as one of a launcher's."""
    from trm.engine import launch
    from trm.engine.device import pick_device
    from trm.engine.distributed import ALONE, group_of, joined
    from trm.engine.interrupt import stop_requests

    task = get_task(resolved.config.task)
    environment = os.environ
    if int(environment.get("TORCHELASTIC_MAX_RESTARTS", "0")) and not run_name and resume == "auto":
        raise ConfigError("processes that may be restarted need --run-name NAME to go on with.")
    with stop_requests() as stop:
        group = group_of(environment) or ALONE
        device = pick_device(resolved.config.train.device, group.local_rank)
        with joined(group, device):
            (again,) = group.any(environment.get("TORCHELASTIC_RESTART_COUNT", "0") != "0")
            if again and resume == "never":
                resume = "auto"  # with what processes before these began
            plan = launch.plan(
                resolved.config, task, runs_folder=runs, name=run_name, resume=resume, group=group
            )
            if dry_run:
                return _show(resolved, plan, group.size) if group.is_first else 0
            with _shown(plan, group) as listen:
                outcome = launch.train(
                    plan, task, group=group, listen=listen, should_stop=stop,
                    profile_steps=profile_steps,
                )  # fmt: skip
    if group.is_first:
        _say_how_it_ended(outcome, task.name)
    return 0 if outcome.finished else stop.exit_code


@contextlib.contextmanager
def _shown(plan: "Plan", group: "Group") -> Iterator["Listener"]:
    """Draw the progress in the first process; the others are silent."""
    from trm.engine import checkpoint
    from trm.show.progress import TrainingView

    if not group.is_first:
        yield lambda record: None
        return
    for warning in plan.warnings:
        out.print(f"warning: {warning}", highlight=False, soft_wrap=True)
    start = checkpoint.read_config(plan.resume_from).step if plan.resume_from else 0
    with TrainingView(out, plan.total_steps, start) as listen:
        yield listen


def _say_how_it_ended(outcome: "Outcome", task: str) -> None:
    if not outcome.finished:
        hint = f"trm train {task} --resume {outcome.run}"
        if "LOCAL_WORLD_SIZE" in os.environ:
            hint += f" --nproc {os.environ['LOCAL_WORLD_SIZE']}"
        out.print(f"stopped at step {outcome.step}; go on with: {hint}", soft_wrap=True)
        return
    best = "" if outcome.best is None else f" best {outcome.best:.4f} at step {outcome.best_step};"
    out.print(f"done:{best} next: trm eval --ckpt {outcome.run}", soft_wrap=True)


def resolve(
    task_name: str,
    preset: str | None,
    mlp_t: bool,
    config_file: Path | None,
    assignments: list[str] | None,
    flags: dict[str, tuple[Any, str]] | None = None,
    begun: Path | None = None,
) -> "Resolved":
    """The settings of a run, from all their sources; those of the run ``begun`` come first."""
    from trm import settings

    task = get_task(task_name)
    if mlp_t:
        mixer = {"model.mlp_t": (True, "--mlp-t"), "model.pos_encodings": ("none", "--mlp-t")}
        flags = {**(flags or {}), **mixer}
    return settings.load(
        task.name,
        defaults=task.defaults,
        run=begun,
        preset=task.preset(preset).settings,
        preset_name=preset or "",
        config_file=config_file,
        flags=flags,
        assignments=assignments or (),
    )
