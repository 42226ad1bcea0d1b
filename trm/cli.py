"""The command line: parses, calls, prints. Nothing else in trm prints.

``trm --help`` has to answer at once, so whatever needs torch is imported inside its command.
"""

import json
import os
import sys
import traceback
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from trm import cli_data, cli_eval, cli_runs, cli_train
from trm import cli_options as opt
from trm.engine.worker import TOLD_BY_LAUNCHER
from trm.errors import InputError, TrmError
from trm.plugins import PluginWarning, installed_tasks


class _InOrderOfUse(TyperGroup):
    """Lists the commands in the order in which they are used."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [
            "tasks",
            "config",
            "build-data",
            "inspect-data",
            "train",
            "runs",
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
app.add_typer(cli_train.app)
app.add_typer(cli_data.app)
app.add_typer(cli_eval.app)
app.add_typer(cli_runs.app)
out = Console()
# Typer's copy of click is private; its exception classes are reached through a public one.
UsageError: type[Any] = typer.BadParameter.__mro__[1]


def main() -> None:
    """The ``trm`` command."""
    # How processes look for each other is said in our own words, or not at all.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    try:
        code = run(sys.argv[1:])
    except Exception:
        if "torch.distributed" not in sys.modules:
            raise
        traceback.print_exc()
        code = 1
    if "torch.distributed" in sys.modules:
        from trm.engine.distributed import leave

        leave(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code. An error is one line on stderr."""
    errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)
    with warnings.catch_warnings():
        warnings.simplefilter("always", PluginWarning)
        warnings.showwarning = lambda message, *_, **__: errors.print(f"trm: warning: {message}")
        try:
            code = app(arguments, standalone_mode=False, obj=arguments)
        except TrmError as error:
            if "--debug" in arguments:
                raise
            if TOLD_BY_LAUNCHER not in os.environ:
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
