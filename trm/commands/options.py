"""The arguments and options that several commands share."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from trm import __version__
from trm.config import MOST_EXAMPLES, MOST_STEPS
from trm.errors import ConfigError
from trm.show.text import Terminal

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from trm.inference.options import InferenceOptions


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"trm {__version__}")
        raise typer.Exit


#: What ``trm export`` writes.
Kind = Literal["published", "onnx", "torch-export"]
Version = Annotated[
    bool,
    typer.Option(
        "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
    ),
]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print more: times and speeds.")]
Quiet = Annotated[
    bool,
    typer.Option("--quiet", "-q", help="No progress and no remarks: warnings and results only."),
]
TaskName = Annotated[
    str | None,
    typer.Argument(
        metavar="[TASK]", help="A task from `trm tasks`. Optional if --config names one."
    ),
]
Preset = Annotated[str | None, typer.Option(help="A named set of settings for the task.")]
MlpT = Annotated[
    bool | None,
    typer.Option(
        "--mlp-t/--no-mlp-t",
        help="Mix tokens with an MLP, or with attention and rotary positions.",
    ),
]
Seed = Annotated[int | None, typer.Option(help="Decides weights, data order and exploration.")]
Data = Annotated[
    list[str] | None,
    typer.Option(
        "--data", metavar="DIR", help="Data folder. Repeat the option for several folders."
    ),
]
Split = Annotated[
    Literal["test", "validation"] | None,
    typer.Option(help="validation: the training puzzles that the run held out. Default: test."),
]
Augment = Annotated[
    str | None,
    typer.Option(metavar="stored|online", help="online: a new copy of each puzzle in every pass."),
]
ValidationShare = Annotated[
    float | None,
    typer.Option(metavar="S", help="Choose the best checkpoint on this share of the train split."),
]
MaxSteps = Annotated[int | None, typer.Option(help="Length of the run in steps.")]
Epochs = Annotated[int | None, typer.Option(help="Length of the run in passes over the puzzles.")]
BatchSize = Annotated[int | None, typer.Option(help="Examples per step, over all devices.")]
Accumulate = Annotated[
    int | None, typer.Option(metavar="K", help="Split each batch into K parts, to save memory.")
]
NumProcesses = Annotated[
    int | None,
    typer.Option(
        "--nproc", min=1, metavar="N", help="Processes on this machine. Default: one per GPU."
    ),
]
Oversubscribe = Annotated[
    bool, typer.Option("--oversubscribe", help="Allow more processes than CPU cores.")
]
NumNodes = Annotated[
    int | None,
    typer.Option(
        "--nnodes", min=1, max=MOST_EXAMPLES, metavar="N", help="Machines that train together."
    ),
]
NodeRank = Annotated[
    int,
    typer.Option(min=0, max=MOST_EXAMPLES, metavar="R", help="The number of this machine, from 0."),
]
Endpoint = Annotated[
    str | None,
    typer.Option(
        "--rdzv-endpoint", metavar="HOST:PORT", help="Where they connect: an address of machine 0."
    ),
]
MaxRestarts = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=MOST_STEPS,
        metavar="N",
        help="Restarts after a process died. Default: 3 if there are several.",
    ),
]
Shard = Annotated[
    bool,
    typer.Option(
        "--shard-puzzle-embedding", help="Divide the puzzle embedding over the processes."
    ),
]
InitFrom = Annotated[
    str | None,
    typer.Option(
        "--init-from", metavar="CHECKPOINT", help="Start from the weights of a checkpoint."
    ),
]
ResetPuzzles = Annotated[
    bool,
    typer.Option(
        "--reset-puzzle-embedding", help="Give every puzzle the mean of the puzzle embeddings."
    ),
]
Patience = Annotated[
    int | None,
    typer.Option(metavar="N", help="End after N evaluations without a new best."),
]
SaveEvery = Annotated[
    str | None, typer.Option(metavar="STEPS|10m", help="Steps or minutes between checkpoints.")
]
Keep = Annotated[
    int | None, typer.Option(metavar="N", help="Number of newest checkpoints to keep.")
]
SkipNonfinite = Annotated[
    int | None,
    typer.Option(metavar="N", help="Skip at most N steps whose loss or gradient is not finite."),
]
LogTo = Annotated[
    str | None,
    typer.Option(metavar="NAMES", help="Also log to these trackers: tensorboard,wandb,trackio."),
]
PushTo = Annotated[
    str | None,
    typer.Option(
        "--push-to", metavar="USER/NAME", help="Push each new best checkpoint to the Hub."
    ),
]
Profile = Annotated[
    int,
    typer.Option(min=0, max=MOST_STEPS, metavar="N", help="Write a profiler trace of N steps."),
]
Device = Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Compile = Annotated[
    bool | None,
    typer.Option("--compile/--no-compile", help="Use torch.compile. Default: on CUDA."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", help="TOML file with settings. A recipe also names its task."
    ),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="A setting, such as model.hidden_size=384. Repeatable."
    ),
]
_CHECKPOINT_OPTION = typer.Option(
    "--ckpt",
    metavar="RUN|CHECKPOINT|USER/NAME",
    help="A local folder or file, or a repository, file or address on the Hub. Default: the best "
    "checkpoint of the newest run.",
)
Checkpoint = Annotated[str | None, _CHECKPOINT_OPTION]
Checkpoints = Annotated[list[str] | None, _CHECKPOINT_OPTION]
PublishedTask = Annotated[
    str | None,
    typer.Option("--task", help="The task of a published checkpoint, if its files do not name it."),
]
Submission = Annotated[
    Path | None,
    typer.Option(metavar="F", help="Write the answers in the format of the competition."),
]
PerTask = Annotated[
    Path | None, typer.Option(metavar="F", help="Write the metrics of each task as JSON.")
]
EvalBatchSize = Annotated[
    int | None, typer.Option(min=1, max=MOST_EXAMPLES, help="Examples at a time.")
]
MaxExamples = Annotated[
    int | None,
    typer.Option(min=1, max=MOST_STEPS, help="Evaluate only this many, always the same ones."),
]
Save = Annotated[
    Path | None, typer.Option(metavar="F", help="Draw the boards into a .png or .svg file.")
]


def set_verbosity(verbose: bool, quiet: bool) -> None:
    """Set how much is printed. The flags may stand before and after the name of the command."""
    if quiet and Terminal.verbosity != "verbose" and not verbose:
        Terminal.verbosity = "quiet"
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # of huggingface_hub
    elif verbose and Terminal.verbosity != "quiet" and not quiet:
        Terminal.verbosity = "verbose"
    elif verbose or quiet:
        raise typer.BadParameter("--verbose and --quiet exclude each other. Give one of them.")


def with_verbosity(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--verbose`` and ``--quiet`` to a command. See :mod:`trm.show.text`."""

    @functools.wraps(command)
    def run(*, verbose: bool, quiet: bool, **arguments: Any) -> Any:
        set_verbosity(verbose, quiet)
        return command(**arguments)

    keyword = inspect.Parameter.KEYWORD_ONLY
    flags = [
        inspect.Parameter(name, keyword, default=False, annotation=kind)
        for name, kind in (("verbose", Verbose), ("quiet", Quiet))
    ]
    own = inspect.signature(command).parameters.values()
    parameters = [*(parameter.replace(kind=keyword) for parameter in own), *flags]
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return run


def check_named(task: str | None, config_file: Path | None) -> None:
    """Check that a command line names a task or a configuration file."""
    if task is None and config_file is None:
        raise typer.BadParameter(
            "Missing argument 'TASK'. Give a task, or a --config that names one."
        )


def save_every(text: str) -> dict[str, tuple[Any, str]]:
    """``500`` steps or ``10m`` minutes as settings."""
    number, minutes = text.removesuffix("m"), text.endswith("m")
    try:
        value = float(number) if minutes else int(number)
    except ValueError:
        raise ConfigError(
            f"--save-every {text!r} is neither steps, such as 500, nor minutes, such as 10m. "
            "Give one of them."
        ) from None
    name = "train.save_every_minutes" if minutes else "train.save_every_steps"
    return {name: (value, "--save-every")}


def with_inference_flags(
    model: "type[InferenceOptions]", *, several: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Replace the parameter ``options`` of a command by a flag for each field of ``model``.

    The command gets the flags that were given, by the names of the fields.

    Args:
        model: the options of the command.
        several: whether each flag takes several values, as text with commas between them.
    """

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def run(**arguments: Any) -> Any:
            given = {name: arguments.pop(name) for name in model.model_fields}
            options = {name: value for name, value in given.items() if value is not None}
            return command(options=options, **arguments)

        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "options":
                flag = _text_flag if several else _flag
                parameters += [flag(name, field) for name, field in model.model_fields.items()]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return run

    return decorate


def _flag(name: str, field: "FieldInfo") -> inspect.Parameter:
    """The flag of a field; None if it is not given."""
    extra: Any = field.json_schema_extra or {}
    bounds = {
        flag: getattr(rule, bound)
        for flag, bound in (("min", "ge"), ("max", "le"))
        for rule in field.metadata
        if hasattr(rule, bound)
    }
    flags = [_flag_name(name)] if field.annotation is bool else []  # without a --no- flag
    option = typer.Option(
        *flags, **bounds, metavar=extra.get("metavar"), help=field.description,
        show_default=False,
    )  # fmt: skip
    value: Any = field.annotation
    kind = Annotated[value | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _text_flag(name: str, field: "FieldInfo") -> inspect.Parameter:
    """The flag of several values of a field."""
    (example,) = field.examples or [""]
    text = f"{field.description} Values such as {example}."
    option = typer.Option(_flag_name(name), metavar="A,B,...", help=text)
    kind = Annotated[str | None, option]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")
