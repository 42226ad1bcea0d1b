"""The commands that settle what a run is, and run it: ``config`` and ``train``."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from trm.commands import options as opt
from trm.commands.processes import (
    processes_to_start,
    say_how_it_ended,
    show_needs,
    shown,
    start,
)
from trm.errors import ConfigError
from trm.runtime.worker import elastic_worker
from trm.tasks.registry import get_task

if TYPE_CHECKING:
    from trm.settings import ResolvedSettings

app = typer.Typer()
out = Console()


@app.command()
def config(
    task: opt.TaskName = None,
    preset: opt.Preset = None,
    mlp_t: opt.MlpT = False,
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    as_json: Annotated[bool, typer.Option("--json", help="The settings as JSON.")] = False,
) -> None:
    """Print the resolved settings, and where each came from."""
    from trm.recipes import resolve_settings
    from trm.show.tables import settings_table

    opt.check_named(task, config_file)
    resolved = resolve_settings(task, preset, mlp_t, config_file, assignments or ())
    if as_json:
        out.print_json(resolved.config.model_dump_json())
    else:
        out.print(settings_table(resolved))


@app.command()
def train(
    context: typer.Context,
    task: opt.TaskName = None,
    preset: opt.Preset = None,
    mlp_t: opt.MlpT = False,
    data: opt.Data = None,
    runs: Annotated[Path, typer.Option("--out", metavar="RUNS", help="Folder of runs.")] = Path(
        "runs"
    ),
    run_name: Annotated[str | None, typer.Option(help="The run's name, RUNS/TASK/NAME.")] = None,
    seed: opt.Seed = None,
    augment: opt.Augment = None,
    validation_share: opt.ValidationShare = None,
    max_steps: opt.MaxSteps = None,
    epochs: opt.Epochs = None,
    patience: opt.Patience = None,
    batch_size: opt.BatchSize = None,
    accumulate: opt.Accumulate = None,
    device: opt.Device = None,
    compiled: opt.Compile = None,
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
    init_from: opt.InitFrom = None,
    reset_puzzles: opt.ResetPuzzles = False,
    save_every: opt.SaveEvery = None,
    keep: opt.Keep = None,
    skip_nonfinite: opt.SkipNonfinite = None,
    log_to: opt.LogTo = None,
    push_to: opt.PushTo = None,
    profile: opt.Profile = 0,
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes, exit.")] = False,
) -> int:
    """Train a model, on all GPUs; go on with the run if it was interrupted."""
    from trm.recipes import resolve_settings

    opt.check_named(task, config_file)
    flags: dict[str, tuple[Any, str]] = {
        name: (value, flag)
        for name, value, flag in (
            ("data.paths", data or None, "--data"),
            ("data.augment", augment, "--augment"),
            ("data.validation_share", validation_share, "--validation-share"),
            ("train.seed", seed, "--seed"),
            ("train.max_steps", max_steps, "--max-steps"),
            ("train.epochs", epochs, "--epochs"),
            ("train.patience", patience, "--patience"),
            ("train.batch_size", batch_size, "--batch-size"),
            ("train.accumulate", accumulate, "--accumulate"),
            ("train.device", device, "--device"),
            ("train.compile", compiled, "--compile" if compiled else "--no-compile"),
            ("train.shard_puzzle_embedding", shard or None, "--shard-puzzle-embedding"),
            ("train.init_from", init_from, "--init-from"),
            ("train.reset_puzzle_embedding", reset_puzzles or None, "--reset-puzzle-embedding"),
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
    if begun is not None and run_name is not None:
        raise ConfigError(f"--resume {resume} names a run, so does --run-name. Give one of them.")
    resolved = resolve_settings(task, preset, mlp_t, config_file, assignments or (), flags, begun)
    with elastic_worker(os.environ):  # which may end it before anything heavy is imported
        options = processes_to_start(
            resolved.config.train.device,
            num_processes, num_nodes, node_rank, endpoint, max_restarts,
        )  # fmt: skip
        if options is None:
            return _train(resolved, runs, run_name, resume, profile, dry_run, push_to)
    return start(resolved, runs, run_name, resume, options, context.obj or [], dry_run)


def _train(
    resolved: "ResolvedSettings",
    runs: Path,
    run_name: str | None,
    resume: str,
    profile_steps: int,
    dry_run: bool,
    push_to: str | None,
) -> int:
    """Train in this process, alone or as one of a launcher's."""
    from trm.publish.push_during_training import push_best
    from trm.runtime.device import pick_device
    from trm.runtime.process_group import SINGLE_PROCESS, init_process_group, process_group_from_env
    from trm.runtime.stop_signals import stop_requests
    from trm.training.plan import plan_run
    from trm.training.train import train_plan

    task = get_task(resolved.config.task)
    environment = os.environ
    if int(environment.get("TORCHELASTIC_MAX_RESTARTS", "0")) and not run_name and resume == "auto":
        raise ConfigError("processes that may be restarted need --run-name NAME to go on with.")
    with stop_requests() as stop:
        group = process_group_from_env(environment) or SINGLE_PROCESS
        device = pick_device(resolved.config.train.device, group.local_rank)
        with init_process_group(group, device):
            (again,) = group.any_process(environment.get("TORCHELASTIC_RESTART_COUNT", "0") != "0")
            if again and resume == "never":
                resume = "auto"  # with what processes before these began
            plan = plan_run(
                resolved.config, task, runs_folder=runs, name=run_name, resume=resume, group=group
            )
            if dry_run:
                return show_needs(resolved, plan, group.size) if group.is_first else 0
            repo = push_to if group.is_first else None
            with (
                shown(plan, group) as listen,
                push_best(plan.folder, repo, listen) as heard,
            ):
                outcome = train_plan(
                    plan, task, group=group, listen=heard, should_stop=stop,
                    profile_steps=profile_steps,
                )  # fmt: skip
    if group.is_first:
        say_how_it_ended(outcome, task.name)
    return 0 if outcome.finished else stop.exit_code
