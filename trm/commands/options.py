"""The arguments and options that several commands share."""

import functools
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_origin

import typer

from trm import __version__
from trm.commands import completion as complete
from trm.commands.once import each_setting_once
from trm.config import MOST_EXAMPLES, MOST_STEPS
from trm.show.text import Terminal
from trm.tasks.registry import list_tasks

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from trm.inference.options import InferenceOptions


def _print_version(given: bool) -> None:
    if given:
        typer.echo(f"trm {__version__}")
        raise typer.Exit


#: What ``trm export`` writes.
Format = Literal["published", "onnx", "torch-export", "web"]

# The panels of a --help page, in their order. An option without a panel is in the last one.
BASICS = "Basics"
DATA = "Data"
OPTIMISATION = "Optimisation"
INFERENCE = "Inference"
DEVICES = "Devices and machines"
CHECKPOINTS = "Checkpoints"
OUTPUT = "Output"
LOGGING = "Logging"
PANELS = (BASICS, DATA, OPTIMISATION, INFERENCE, DEVICES, CHECKPOINTS, OUTPUT, LOGGING)


def option(panel: str | None, usage: str, text: str, **more: Any) -> Any:
    """An option of a command, for an ``Annotated`` type.

    Args:
        panel: where its page shows it; None for the last panel.
        usage: as the page shows it: ``--data DIR``, ``--verbose/-v``, ``--compile/--no-compile``.
        text: what it means, on one line of 80 columns if possible.
        more: as for :func:`typer.Option`.
    """
    flags, _, metavar = usage.partition(" ")
    names = [flags] if "/--" in flags else flags.split("/")
    return typer.Option(*names, metavar=metavar or None, help=text, rich_help_panel=panel, **more)


Version = Annotated[
    bool, option(None, "--version", "Print the version.", callback=_print_version, is_eager=True)
]
Debug = Annotated[bool, option(None, "--debug", "Show the traceback of an error.")]
Verbose = Annotated[bool, option(None, "--verbose/-v", "Print more: times and speeds.")]
Quiet = Annotated[bool, option(None, "--quiet/-q", "No progress and no remarks.")]

TaskName = Annotated[
    str | None,
    typer.Argument(
        metavar="TASK",
        help="A task from `trm tasks`, or --config names it.",
        autocompletion=complete.tasks,
        rich_help_panel=BASICS,
    ),
]
Preset = Annotated[
    str | None,
    option(BASICS, "--preset NAME", "A named set of settings.", autocompletion=complete.presets),
]
ModelKind = Annotated[
    str | None,
    option(BASICS, "--model KIND", "Kind of model. Default: trm.", autocompletion=complete.kinds),
]
MlpT = Annotated[
    bool | None,
    option(BASICS, "--mlp-t/--no-mlp-t", "Mix tokens with an MLP, or with attention."),
]
ConfigFile = Annotated[
    Path | None,
    option(BASICS, "--config FILE", "TOML file with settings. A recipe names its task."),
]
Assignments = Annotated[
    list[str] | None,
    option(
        BASICS,
        "--set KEY=VALUE",
        "A setting: model.hidden_size=384. Repeatable.",
        autocompletion=complete.settings,
        callback=each_setting_once,
    ),
]
_CHECKPOINT = option(
    BASICS,
    "--ckpt MODEL",
    "A run, a checkpoint, or USER/NAME on the Hub. Default: the newest run's best.",
    autocompletion=complete.runs,
)
Checkpoint = Annotated[str | None, _CHECKPOINT]
Checkpoints = Annotated[list[str] | None, _CHECKPOINT]
PublishedTask = Annotated[
    str | None,
    option(
        BASICS,
        "--task TASK",
        "The task, if a published checkpoint names none.",
        autocompletion=complete.tasks,
    ),
]

Data = Annotated[
    list[str] | None,
    option(DATA, "--data DIR", "Data folder. Repeatable.", autocompletion=complete.data_folders),
]
Split = Annotated[
    Literal["test", "validation"] | None,
    option(DATA, "--split NAME", "test, or validation: what training held out."),
]
MaxExamples = Annotated[
    int | None,
    option(DATA, "--max-examples N", "Only N examples, always the same.", min=1, max=MOST_STEPS),
]
Copies = Annotated[
    int | None,
    option(
        DATA,
        "--copies N",
        "Only N copies of each puzzle, itself included (ARC).",
        min=1,
        max=MOST_STEPS,
    ),
]
Augment = Annotated[
    str | None,
    option(
        DATA,
        "--augment HOW",
        "stored, or online: new copies in each pass.",
        autocompletion=complete.augmentation,
    ),
]
MaxPairs = Annotated[
    int | None, option(DATA, "--max-pairs N", "At most N examples of a puzzle in each pass.")
]
ValidationShare = Annotated[
    float | None,
    option(DATA, "--validation-share S", "Share to hold out, to choose the best checkpoint."),
]
ResetPuzzles = Annotated[
    bool, option(DATA, "--reset-puzzle-embedding", "Give every puzzle the mean of the embeddings.")
]

Seed = Annotated[
    int | None, option(OPTIMISATION, "--seed N", "Decides weights, data order and exploration.")
]
MaxSteps = Annotated[
    int | None, option(OPTIMISATION, "--max-steps N", "Length of the run in steps.")
]
MaxMinutes = Annotated[
    float | None,
    option(OPTIMISATION, "--max-minutes M", "End in M minutes, with a checkpoint."),
]
Epochs = Annotated[
    int | None, option(OPTIMISATION, "--epochs N", "Length of the run in passes over the puzzles.")
]
Patience = Annotated[
    int | None,
    option(OPTIMISATION, "--patience N", "End after N evaluations without a new best."),
]
BatchSize = Annotated[
    int | None, option(OPTIMISATION, "--batch-size N", "Examples per step, over all devices.")
]
Accumulate = Annotated[
    int | None, option(OPTIMISATION, "--accumulate K", "Split each batch into K, to save memory.")
]
SkipNonfinite = Annotated[
    int | None,
    option(OPTIMISATION, "--skip-nonfinite N", "Skip up to N steps that are not finite."),
]

Device = Annotated[
    str | None,
    option(
        DEVICES,
        "--device NAME",
        "auto, cpu, cuda, cuda:1 or mps. Default: auto.",
        autocompletion=complete.devices,
    ),
]
Compile = Annotated[
    bool | None,
    option(DEVICES, "--compile/--no-compile", "Use torch.compile. Default: on CUDA."),
]
EvalBatchSize = Annotated[
    int | None, option(DEVICES, "--batch-size N", "Examples at a time.", min=1, max=MOST_EXAMPLES)
]
NumProcesses = Annotated[
    int | None,
    option(DEVICES, "--nproc N", "Processes on this machine. Default: one per GPU.", min=1),
]
Oversubscribe = Annotated[
    bool, option(DEVICES, "--oversubscribe", "Allow more processes than CPU cores.")
]
NumNodes = Annotated[
    int | None,
    option(DEVICES, "--nnodes N", "Machines that train together.", min=1, max=MOST_EXAMPLES),
]
NodeRank = Annotated[
    int,
    option(DEVICES, "--node-rank R", "This machine's number, from 0.", min=0, max=MOST_EXAMPLES),
]
Endpoint = Annotated[
    str | None,
    option(DEVICES, "--rdzv-endpoint HOST:PORT", "Where they connect: an address of machine 0."),
]
MaxRestarts = Annotated[
    int | None,
    option(DEVICES, "--max-restarts N", "Restarts when a process dies. Default: 3.",
           min=0, max=MOST_STEPS),
]  # fmt: skip
Shard = Annotated[
    bool, option(DEVICES, "--shard-puzzle-embedding", "Divide the puzzle embedding over processes.")
]

InitFrom = Annotated[
    str | None,
    option(
        CHECKPOINTS,
        "--init-from CHECKPOINT",
        "Start from the weights of a checkpoint.",
        autocompletion=complete.runs,
    ),
]
SaveEvery = Annotated[
    str | None,
    option(CHECKPOINTS, "--save-every STEPS|10m", "Steps or minutes between checkpoints."),
]
Keep = Annotated[
    int | None, option(CHECKPOINTS, "--keep N", "How many newest checkpoints to keep.")
]
PushTo = Annotated[
    str | None,
    option(CHECKPOINTS, "--push-to USER/NAME", "Push each new best checkpoint to the Hub."),
]

AsJson = Annotated[bool, option(OUTPUT, "--json", "Print the result as JSON.")]
AsMarkdown = Annotated[bool, option(OUTPUT, "--markdown", "Print the result as a Markdown table.")]
Save = Annotated[
    Path | None, option(OUTPUT, "--save F", "Draw the boards into a .png or .svg file.")
]
SaveSolutions = Annotated[
    Path | None,
    option(OUTPUT, "--save F", "Draw the answers (.png, .svg) or their steps (.gif, .apng, .mp4)."),
]
Submission = Annotated[
    Path | None, option(OUTPUT, "--submission F", "Write the format of the competition (ARC).")
]
PerTask = Annotated[
    Path | None,
    option(OUTPUT, "--per-task F", "Write scores and votes by task as JSON (ARC)."),
]
Report = Annotated[
    Path | None,
    option(OUTPUT, "--report DIR", "Write a page to look at all votes (ARC)."),
]

LogTo = Annotated[
    str | None,
    option(
        LOGGING,
        "--log-to NAMES",
        "Log to these too: tensorboard,wandb,trackio.",
        autocompletion=complete.trackers,
    ),
]
Profile = Annotated[
    int,
    option(LOGGING, "--profile N", "Write a profiler trace of N steps.", min=0, max=MOST_STEPS),
]


def set_verbosity(verbose: bool, quiet: bool) -> None:
    """Set how much is printed. The flags may stand before a command, or after if it has them."""
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
        tasks = ", ".join(list_tasks())
        raise typer.BadParameter(f"Missing argument 'TASK': {tasks}; or a --config that names one.")


def metavar_of(kind: Any) -> str:
    """What stands for a value of this type.

    >>> metavar_of(int | None), metavar_of(Literal["a", "b"]), metavar_of(bool)
    ('N', 'a|b', '')
    """
    kinds = [one for one in get_args(kind) if one is not type(None)]
    if get_origin(kind) is Literal:
        return "|".join(map(str, kinds))
    if kinds:
        return metavar_of(kinds[0])
    return {int: "N", float: "X", bool: "", Path: "PATH"}.get(kind, "TEXT")


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
    value: Any = field.annotation
    usage = f"{_flag_name(name)} {extra.get('metavar', metavar_of(value))}".strip()
    flag = option(INFERENCE, usage, field.description or "", show_default=False, **bounds)
    kind = Annotated[value | None, flag]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _text_flag(name: str, field: "FieldInfo") -> inspect.Parameter:
    """The flag of several values of a field."""
    (example,) = field.examples or [""]
    text = f"{field.description} Values such as {example}."
    kind = Annotated[str | None, option(INFERENCE, f"{_flag_name(name)} A,B,...", text)]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)


def _flag_name(name: str) -> str:
    return "--" + name.replace("_", "-")
