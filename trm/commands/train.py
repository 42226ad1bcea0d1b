"""The commands ``config`` and ``train``."""

import os
import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trm.commands import completion
from trm.commands import options as opt
from trm.commands.help import Command
from trm.commands.processes import (
    acknowledge_interrupt,
    join_processes,
    launch_training,
    plan_from_launcher,
    print_dry_run,
    print_result,
    processes_to_start,
    training_view,
)
from trm.errors import ConfigError
from trm.runtime.worker import allowed_restarts, elastic_worker
from trm.settings import read_run_config
from trm.show.text import out

if TYPE_CHECKING:
    from trm.config import RunConfig
    from trm.settings import ResolvedSettings

app = typer.Typer()

EXAMPLES = """
trm train sudoku --preset mini                    # minutes on a CPU
trm train maze --run-name a --set model.hidden_size=384
trm train --resume runs/sudoku/a --max-steps 20000
"""


@app.command(cls=Command)
def config(
    task: opt.TaskName = None,
    preset: opt.Preset = None,
    model: opt.ModelKind = None,
    mlp_t: opt.MlpT = None,
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    as_json: opt.AsJson = False,
) -> None:
    """Print the resolved settings, and where each came from."""
    from trm.recipes import resolve_settings, settings_of
    from trm.show.tables import settings_table

    opt.check_named(task, config_file)
    flags = settings_of({"model": model})
    resolved = resolve_settings(task, preset, mlp_t, config_file, assignments or (), flags)
    if as_json:
        out.print_json(data=resolved.config.model_dump(mode="json"))
    else:
        out.print(settings_table(resolved))


@app.command(cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
def train(
    context: typer.Context,
    task: opt.TaskName = None,
    preset: opt.Preset = None,
    model: opt.ModelKind = None,
    mlp_t: opt.MlpT = None,
    data: opt.Data = None,
    runs: Annotated[Path, opt.option(opt.BASICS, "--out RUNS", "Folder of runs.")] = Path("runs"),
    run_name: Annotated[
        str | None,
        opt.option(
            opt.BASICS,
            "--run-name NAME",
            "The run's folder is RUNS/TASK/NAME.",
            autocompletion=completion.run_names,
        ),
    ] = None,
    seed: opt.Seed = None,
    augment: opt.Augment = None,
    max_pairs: opt.MaxPairs = None,
    validation_share: opt.ValidationShare = None,
    max_steps: opt.MaxSteps = None,
    max_minutes: opt.MaxMinutes = None,
    epochs: opt.Epochs = None,
    patience: opt.Patience = None,
    batch_size: opt.BatchSize = None,
    accumulate: opt.Accumulate = None,
    device: opt.Device = None,
    compile: opt.Compile = None,
    num_processes: opt.NumProcesses = None,
    oversubscribe: opt.Oversubscribe = False,
    num_nodes: opt.NumNodes = None,
    node_rank: opt.NodeRank = 0,
    endpoint: opt.Endpoint = None,
    max_restarts: opt.MaxRestarts = None,
    shard: opt.Shard = False,
    resume: Annotated[
        str,
        opt.option(
            opt.CHECKPOINTS,
            "--resume auto|never|RUN",
            "auto: the run of that --run-name. RUN: that one, with its settings.",
            autocompletion=completion.resume,
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
    dry_run: Annotated[
        bool, opt.option(opt.BASICS, "--dry-run", "Show settings and memory, and exit.")
    ] = False,
) -> int:
    """Train a model on all GPUs, or resume an interrupted run."""
    began = time.monotonic()
    from trm.recipes import resolve_settings, settings_of, task_and_preset

    old_run = None
    if resume not in ("auto", "never"):
        if run_name is not None:
            raise ConfigError(
                f"--resume {resume} names a run, so does --run-name. Give one of them."
            )
        resume = str(old_run := _existing_run(resume, runs))
        if task is None and (config_file is None or task_and_preset(config_file)[0] is None):
            task = read_run_config(old_run).task
    opt.check_named(task, config_file)
    with elastic_worker(os.environ):  # may raise before anything heavy is imported
        plan = plan_from_launcher(os.environ)
        if plan is not None:
            return _train(plan.config, push_to=push_to, profile_steps=profile, plan=plan)
        flags = settings_of(
            {
                "model": model,
                "data": data or None,
                "augment": augment,
                "max_pairs": max_pairs,
                "validation_share": validation_share,
                "seed": seed,
                "max_steps": max_steps,
                "max_minutes": max_minutes,
                "epochs": epochs,
                "patience": patience,
                "batch_size": batch_size,
                "accumulate": accumulate,
                "device": device,
                "compile": compile,
                "shard_puzzle_embedding": shard or None,
                "init_from": init_from,
                "reset_puzzle_embedding": reset_puzzles or None,
                "keep": keep,
                "skip_nonfinite": skip_nonfinite,
                "log_to": log_to,
                "save_every": save_every,
            }
        )
        resolved = resolve_settings(
            task, preset, mlp_t, config_file, assignments or (), flags, old_run
        )
        config = resolved.config
        options = processes_to_start(
            config.train.device, num_processes, num_nodes, node_rank, endpoint, max_restarts,
            oversubscribe or dry_run,
        )  # fmt: skip
        is_named = run_name is not None or old_run is not None
        if options is not None and options.num_nodes > 1 and not is_named:
            raise ConfigError(
                f"--nnodes {options.num_nodes} needs --run-name NAME, the same on all machines."
            )
        if options is None and allowed_restarts(os.environ) and not is_named and resume == "auto":
            raise ConfigError("processes that may be restarted need --run-name NAME to resume.")
        _check_data(resolved, old_run)
        where: dict[str, Any] = {"runs": runs, "name": run_name, "resume": resume, "began": began}
        if run_name is None and resume == "auto" and "RANK" not in os.environ:
            _remark_unfinished(runs / config.task)
        if dry_run:
            return print_dry_run(resolved, options, **where)
        if options is None:
            return _train(config, push_to=push_to, profile_steps=profile, **where)
    return launch_training(config, options, context.obj or [], **where)


def _existing_run(name: str, runs: Path) -> Path:
    """The run to resume.

    Raises:
        ConfigError: if there is no such folder.
    """
    from trm.runs.run_folder import find_run, runs_hint

    run = find_run(name, runs)
    if not run.is_dir():
        raise ConfigError(f"{run}: no such run. {runs_hint(run, runs)}")
    return run


def _remark_unfinished(runs_of_task: Path) -> None:
    """Say how to resume the newest run of the task, if it is unfinished: a new one starts at 0."""
    from trm.runs.listing import list_runs
    from trm.runs.run_folder import is_run

    found = list_runs(runs_of_task) if runs_of_task.is_dir() else []
    if found and found[0].state in ("stopped", "broken off") and is_run(found[0].folder):
        resume = shlex.join(["trm", "train", "--resume", str(found[0].folder)])
        out.remark(f"this is a new run; to resume the one {found[0].state} before: {resume}")


def _check_data(resolved: "ResolvedSettings", old_run: Path | None) -> None:
    """Check that the data folders exist; the error has the command that builds what is missing."""
    from trm.runs.run_folder import last_data
    from trm.tasks.build_command import check_folders
    from trm.tasks.registry import get_task

    config = resolved.config
    built = None if old_run is None else last_data(old_run)
    check_folders(get_task(config.task), config.data_paths, preset=resolved.preset, built=built)


def _train(config: "RunConfig", **options: Any) -> int:
    """Train in this process, alone or as one of several, and print how the run ended."""
    from trm.runtime.stop_signals import stop_requests
    from trm.training.train import train

    with join_processes(config.train.device) as (_, group):
        says_so = group.is_first and "plan" not in options  # otherwise the launcher does
        with stop_requests(acknowledge_interrupt if says_so else None) as stop:
            with training_view() as listen:
                result = train(config, listen=listen, should_stop=stop, **options)
            if group.is_first:
                print_result(result, config.task)
    return 0 if result.finished else stop.exit_code
