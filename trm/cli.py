"""The command line: parses, calls, prints. Nothing else in trm prints.

``trm --help`` has to answer at once, so whatever needs torch is imported inside its command.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from trm import cli_data, cli_eval
from trm import cli_options as opt
from trm.errors import InputError, TrmError
from trm.plugins import PluginWarning, get_task, installed_tasks

if TYPE_CHECKING:
    from trm.settings import Resolved


class _InOrderOfUse(TyperGroup):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [
            "tasks",
            "config",
            "build-data",
            "inspect-data",
            "train",
            "eval",
            "vote",
            "solve",
            "plot",
        ]
        return sorted(super().list_commands(ctx), key=order.index)


app = typer.Typer(
    name="trm",
    cls=_InOrderOfUse,
    help="Tiny Recursive Models: build data, train, evaluate and use them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(cli_data.app)
app.add_typer(cli_eval.app)
out = Console()
# Typer's copy of click is private; its exception classes are reached through a public one.
UsageError: type[Any] = typer.BadParameter.__mro__[1]


def main() -> None:
    """The ``trm`` command."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code. An error is one line on stderr."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always", PluginWarning)
        warnings.showwarning = lambda message, *_, **__: errors.print(f"trm: warning: {message}")
        try:
            code = app(arguments, standalone_mode=False)
        except TrmError as error:
            if "--debug" in arguments:
                raise
            errors.print(f"trm: error: {error}")
            return 1
        except UsageError as error:
            message = " ".join(error.format_message().split())
            if message:  # there is none where a command without arguments has printed its help
                errors.print(f"trm: error: {message}")
            return 2
        except (KeyboardInterrupt, typer.Abort):
            return 130
    return code if isinstance(code, int) else 0


@app.callback()
def options(
    version: opt.Version = False,
    debug: opt.Debug = False,
) -> None:
    """Tiny Recursive Models: build data, train, evaluate and use them."""


@app.command()
def tasks() -> None:
    """List the installed tasks, their presets, and the plugin each comes from."""
    from trm.show.tables import tasks_table

    out.print(tasks_table(installed_tasks()))


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

    resolved = _resolve(task, preset, mlp_t, config_file, assignments)
    if as_json:
        out.print_json(resolved.config.model_dump_json())
    else:
        out.print(settings_table(resolved))


@app.command()
def train(
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
    device: opt.Device = None,
    no_compile: opt.NoCompile = False,
    resume: Annotated[
        str,
        typer.Option(
            metavar="auto|never|RUN",
            help="auto goes on with a run of that --run-name; RUN with that run, by its settings.",
        ),
    ] = "auto",
    config_file: opt.ConfigFile = None,
    assignments: opt.Assignments = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it takes, exit.")] = False,
) -> int:
    """Train a model; go on with the run if it was interrupted."""
    flags: dict[str, tuple[Any, str]] = {
        name: (value, flag)
        for name, value, flag in (
            ("data.paths", data or None, "--data"),
            ("data.augment", augment, "--augment"),
            ("train.seed", seed, "--seed"),
            ("train.max_steps", max_steps, "--max-steps"),
            ("train.epochs", epochs, "--epochs"),
            ("train.batch_size", batch_size, "--batch-size"),
            ("train.device", device, "--device"),
            ("train.compile", False if no_compile else None, "--no-compile"),
        )
        if value is not None
    }
    if epochs is not None and max_steps is None:
        flags["train.max_steps"] = (None, "--epochs")  # a preset's number of steps gives way
    begun = Path(resume) if resume not in ("auto", "never") else None
    resolved = _resolve(task, preset, mlp_t, config_file, assignments, flags, begun)
    return _train(resolved, runs, run_name, resume, dry_run)


def _train(
    resolved: "Resolved", runs: Path, run_name: str | None, resume: str, dry_run: bool
) -> int:
    from trm.engine import checkpoint, launch
    from trm.engine.interrupt import stop_requests
    from trm.show.progress import TrainingView
    from trm.show.tables import footprint_lines, settings_table

    task = get_task(resolved.config.task)
    plan = launch.plan(resolved.config, task, runs_folder=runs, name=run_name, resume=resume)
    lines = footprint_lines(plan.footprint(), plan.total_steps, plan.config.train.batch_size)
    if dry_run:
        out.print(settings_table(resolved))
        for line in lines:
            out.print(line, highlight=False)
        return 0
    start = checkpoint.read_config(plan.resume_from).step if plan.resume_from else 0
    out.print(f"run {plan.folder}" + (f", from step {start}" if start else ""), soft_wrap=True)
    with stop_requests() as stop, TrainingView(out, plan.total_steps, start) as listen:
        outcome = launch.train(plan, task, listen=listen, should_stop=stop)
    if not outcome.finished:
        hint = f"trm train {task.name} --resume {outcome.run}"
        out.print(f"stopped at step {outcome.step}; go on with: {hint}", soft_wrap=True)
        return stop.exit_code
    out.print(
        f"done: best {outcome.best:.4f} at step {outcome.best_step}; next: "
        f"trm eval --ckpt {outcome.run}",
        soft_wrap=True,
    )
    return 0


@app.command()
def solve(
    puzzle: Annotated[str, typer.Argument(metavar="PUZZLE|FILE|-", help="- reads from stdin.")],
    ckpt: opt.Checkpoint = None,
    device: opt.Device = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a puzzle.")] = False,
    save: opt.Save = None,
) -> None:
    """Solve puzzles, and show the board as it changes from step to step."""
    from trm.engine.solve import Solution, load
    from trm.show.pictures import check_picture, save_pictures
    from trm.show.thinking import show_thoughts, verdict

    if save is not None:
        check_picture(save)
    model = load(ckpt, device=device or "auto")
    text, name = _puzzle_text(puzzle)
    solutions = []
    puzzles = model.parse(text, name)
    for given in puzzles:
        model.identifier(given)  # refuse an unknown one before anything is drawn
    for given in puzzles:
        thoughts = model.think(given)
        if as_json:
            solution = Solution(model.task, given, tuple(thoughts))
            print(json.dumps(solution.as_json()))  # noqa: T201
        else:
            solution = show_thoughts(out, model.task, given, thoughts)
            out.print(verdict(solution), highlight=False, soft_wrap=True)
        solutions.append(solution)
    if save is not None:
        save_pictures(save, [drawn for solution in solutions for drawn in solution.pictures()])


def _puzzle_text(argument: str) -> tuple[str, str]:
    """What the argument of ``solve`` means, stdin, a file's text or the puzzle itself.

    And the name of the file without its ending, which may be the puzzle's.
    """
    try:
        if argument == "-":
            return sys.stdin.read(), ""
        return Path(argument).read_text(encoding="utf-8"), Path(argument).stem
    except UnicodeDecodeError:
        raise InputError(f"{argument} is not a text file. Name one with a puzzle a line.") from None
    except OSError as error:
        if isinstance(error, FileNotFoundError) and (
            "/" in argument or Path(argument).suffix[1:].isalpha()
        ):
            raise InputError(f"{argument}: no such file. Name one, or give a puzzle.") from None
        return argument, ""


def _resolve(
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
