"""The ``trm`` command. Only this module and :mod:`trm.commands` print.

Commands import torch inside their function, so that ``trm --help`` answers at once.
"""

import contextlib
import io
import os
import sys
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

import typer

from trm.commands import (
    compare,
    data,
    doctor,
    evaluate,
    hub,
    leaderboard,
    runs,
    solve,
    sweep,
    train,
    web,
)
from trm.commands import options as opt
from trm.commands.help import Command, Group, usage_hint
from trm.errors import StorageError, TrmError, TrmWarning
from trm.runtime.stop_signals import remember_interrupts
from trm.runtime.worker import LAUNCHER_SHOWS_ERRORS, is_elastic_worker
from trm.show.streams import prepare_streams
from trm.show.text import Terminal, notes, out
from trm.tasks.registry import list_tasks

#: The commands in panels, in the order in which people use them.
PANELS = {
    "Data": ["tasks", "build-data", "inspect-data"],
    "Train": ["train", "compare", "config", "runs", "plot"],
    "Use": ["solve", "web", "models", "eval", "sweep-eval", "vote", "score", "leaderboard"],
    "Share": ["push-hub", "import", "export"],
    "Help": ["doctor"],
}
EXAMPLES = """
trm build-data sudoku --preset mini               # puzzles of 6x6 cells
trm train sudoku --preset mini                    # minutes on a CPU
trm solve 6.1523.326..4....2...15.3.....1542..
"""


class _Commands(Group):
    def command_panels(self, ctx: Any) -> dict[str, list[str]]:
        return PANELS

    def list_commands(self, ctx: Any) -> list[str]:
        return [name for names in PANELS.values() for name in names]


app = typer.Typer(
    name="trm",
    cls=_Commands,
    epilog=EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(train.app)
app.add_typer(compare.app)
app.add_typer(data.app)
app.add_typer(evaluate.app)
app.add_typer(sweep.app)
app.add_typer(leaderboard.app)
app.add_typer(solve.app)
app.add_typer(web.app)
app.add_typer(runs.app)
app.add_typer(hub.app)
app.add_typer(doctor.app)
#: click's UsageError, the base class of BadParameter. Typer does not export it.
UsageError: type[Any] = typer.BadParameter.__bases__[0]
#: The module that connects processes. It is imported only where torch is.
_PROCESS_GROUP = "trm.runtime.process_group"
#: In this variable a shell says that it wants completions.
_COMPLETE = "_TRM_COMPLETE"
#: Characters; the middle of a longer error is left out.
_LONGEST_ERROR = 4000


def main() -> None:
    """The ``trm`` command."""
    # Before torch is imported: hide its messages about connecting processes.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    prepare_streams()
    interrupted = remember_interrupts()
    try:
        code = run(sys.argv[1:])
    except Exception:
        if interrupted():  # compiled code and imports turn KeyboardInterrupt into other exceptions
            code = 130
        elif _PROCESS_GROUP not in sys.modules:
            raise
        else:
            traceback.print_exc()
            code = 1
    try:
        sys.stdout.flush()
    except OSError as error:
        code = code or _fail(_system_problem(error))
    if _PROCESS_GROUP in sys.modules:
        from trm.runtime.process_group import exit_process

        exit_process(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Run a command line and return the exit code. An error is one line on stderr."""
    if _COMPLETE in os.environ:
        return _complete()
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrmWarning)
        warnings.showwarning = lambda message, *_, **__: notes.print_parts(
            f"trm: warning: {' '.join(str(message).split())}"
        )
        try:
            _check_text(arguments)
            Terminal.verbosity = "normal"  # until the flags are read
            started = time.monotonic()
            code = app(arguments, standalone_mode=False, prog_name="trm", obj=arguments)
            if not is_elastic_worker(os.environ):
                notes.detail(f"took {time.monotonic() - started:.1f} s")
        except (TrmError, OSError, MemoryError) as error:
            if "--debug" in arguments:
                raise
            if LAUNCHER_SHOWS_ERRORS not in os.environ:
                _fail(str(error) if isinstance(error, TrmError) else _system_problem(error))
            return 1
        except UsageError as error:
            message = " ".join(error.format_message().split()).replace("Value error, ", "")
            message = message.removeprefix("Invalid value: ") + usage_hint(error, message)
            if message:  # empty if a command without arguments has printed its help
                _fail(message)
            return 2
        except (KeyboardInterrupt, typer.Abort):
            return 130
    return code if isinstance(code, int) else 0


def _complete() -> int:
    """Print what a shell asks for. It would show errors and warnings in the line being typed."""
    with (
        contextlib.redirect_stderr(io.StringIO()),
        contextlib.suppress(Exception),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        app([], prog_name="trm")
    return 0


def _check_text(arguments: list[str]) -> None:
    """Refuse what is not UTF-8 text: it could not be written into the files that name it."""
    if "\0" in "".join(arguments):  # not from a shell
        raise typer.BadParameter("an argument has a NUL character.")
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            raise typer.BadParameter(f"{argument!r} is not UTF-8 text. Rename it.") from None


def _fail(message: str) -> int:
    """Print an error, and give the exit code. What makes it very long is left out."""
    if len(message) > _LONGEST_ERROR:
        message = f"{message[: _LONGEST_ERROR // 2]} ... {message[-_LONGEST_ERROR // 2 :]}"
    notes.print_parts(f"trm: error: {message}")
    return 1


def _system_problem(error: OSError | MemoryError) -> str:
    """What to say about an error of the operating system that nothing else expected."""
    if isinstance(error, MemoryError):
        return (
            f"not enough memory: {str(error) or 'none is left'}. Use less data or a smaller model."
        )
    where = "" if error.filename is None else f"{error.filename}: "
    return f"{where}{error.strerror or error}. trm --debug COMMAND shows more."


@app.callback()
def options(
    version: opt.Version = False,
    debug: opt.Debug = False,
    verbose: opt.Verbose = False,
    quiet: opt.Quiet = False,
) -> None:
    """Tiny Recursive Models: build data, train, evaluate and use them."""
    opt.set_verbosity(verbose, quiet)
    try:
        Path.cwd()
    except FileNotFoundError:
        raise StorageError("the current folder was deleted. Change to another one.") from None


@app.command(cls=Command)
def tasks() -> None:
    """List the installed tasks, their presets and their plugins."""
    from trm.show.tables import tasks_table

    out.print(tasks_table(list_tasks()))
