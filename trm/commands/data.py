"""The commands ``build-data``, with flags from the options of each task, and ``inspect-data``."""

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

import typer

from trm import datasets
from trm.commands import completion
from trm.commands import options as opt
from trm.commands.help import Command, Group
from trm.datasets import Layout
from trm.errors import InputError
from trm.show.text import notes, out
from trm.tasks.registry import get_task, list_tasks

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from trm.data import Dataset
    from trm.tasks.base import Task
    from trm.tasks.metrics import Evaluator

app = typer.Typer()

EXAMPLES = """
trm build-data sudoku --preset mini               # 6x6 boards in seconds
trm build-data sudoku --out data/extreme          # the published 9x9 set
trm build-data maze --source generate --size 12 --out data/small
"""
INSPECT_EXAMPLES = """
trm inspect-data data/sudoku
trm inspect-data data/sudoku --split test --boards 10 --text > puzzles.txt
trm inspect-data data/arc1 --task 00576224 --predictions a.npz
"""


class _Tasks(Group):
    """One command per task; plugins are loaded on demand."""

    def command_panels(self, ctx: Any) -> dict[str, list[str]]:
        return {"Tasks": self.list_commands(ctx)}

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(list_tasks())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        single = typer.Typer(add_completion=False)
        task = get_task(cmd_name)
        single.command(cmd_name, cls=Command, help=task.summary)(_builder(task))
        return typer.main.get_command(single)


_build = typer.Typer(
    cls=_Tasks, no_args_is_help=True, subcommand_metavar="TASK [OPTIONS]", epilog=EXAMPLES
)
app.add_typer(_build, name="build-data")


@_build.callback()
def _options() -> None:
    """Build the dataset of a task: training and test puzzles."""


def _builder(task: "Task") -> Callable[..., None]:
    """The command of a task: a function with the task's options in its signature, for Typer."""
    fields = task.data_options.model_fields
    presets = {name: preset.summary for name, preset in task.presets.items() if preset.data}

    def build(
        preset: str | None, out_folder: Path | None, overwrite: bool, layout: Layout, **given: Any
    ) -> None:
        chosen = {name: value for name, value in given.items() if value is not None}
        options = task.options(preset, **chosen)
        folder = out_folder or Path("data") / task.name
        meta = datasets.build_with_options(task, folder, layout, overwrite, options)
        counts = ", ".join(
            f"{name} {split.groups:,} puzzles ({split.puzzles:,} with augmentations)"
            for name, split in meta.splits.items()
        )
        out.print_parts(f"{folder}:", f"{counts}, digest {meta.digest[:12]}")

    parameters = [
        _parameter("preset", str | None, None, opt.option(
            opt.BASICS, "--preset NAME",
            f"A named set of options: {', '.join(presets) or 'this task has none'}.",
            autocompletion=lambda: list(presets.items()))),
        _parameter("out_folder", Path | None, None, opt.option(
            opt.BASICS, "--out DIR", f"Data folder. Default: data/{task.name}.")),
        _parameter("overwrite", bool, False, opt.option(
            opt.BASICS, "--overwrite", "Replace an existing dataset.")),
        _parameter("layout", Layout, "native", opt.option(
            opt.BASICS, "--layout NAME",
            "native, or published: the files of the published trainer.")),
        *(
            _parameter(name, _kind(field) | None, None, _option(name, field))
            for name, field in fields.items()
        ),
    ]  # fmt: skip
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return opt.with_verbosity(build)


def _parameter(name: str, kind: Any, default: Any, option: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )


def _kind(field: "FieldInfo") -> Any:
    """The type of an option's value. An option of several values is repeatable."""
    kind: Any = field.annotation
    return list[get_args(kind)[0]] if get_origin(kind) is tuple else kind  # type: ignore[misc]


def _option(name: str, field: "FieldInfo") -> Any:
    """The option of a field. A boolean that is off by default has only a flag to turn it on."""
    flag, text = "--" + name.replace("_", "-"), field.description or name
    if field.annotation is bool:
        usage = flag if field.default is False else f"{flag}/--no-{flag[2:]}"
    else:
        usage = f"{flag} {opt.metavar_of(field.annotation)}"
    if field.is_required():
        text += " Required."
    else:
        default = field.get_default(call_default_factory=True)
        shown = ",".join(default) if isinstance(default, tuple) else default
        text += "" if shown is None or shown is False or shown == "" else f" Default: {shown}."
    return opt.option(opt.DATA, usage, text, show_default=False)


@app.command("inspect-data", cls=Command, epilog=INSPECT_EXAMPLES)
@opt.with_verbosity
def inspect_data(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR",
            help="A data folder.",
            rich_help_panel=opt.BASICS,
            autocompletion=completion.data_folders,
        ),
    ],
    split: Annotated[
        str | None, opt.option(opt.BASICS, "--split NAME", "Show only boards of this split.")
    ] = None,
    boards: Annotated[
        int, opt.option(opt.BASICS, "--boards N", "Boards to show per split.", min=0)
    ] = 2,
    puzzle: Annotated[
        str | None, opt.option(opt.BASICS, "--task ID", "All examples of this puzzle (ARC).")
    ] = None,
    as_text: Annotated[
        bool, opt.option(opt.OUTPUT, "--text", "Only the puzzles, one per line, for trm solve.")
    ] = False,
    predictions: Annotated[
        list[Path] | None,
        opt.option(
            opt.OUTPUT, "--predictions F", "Show the voted answers of trm eval too. Repeatable."
        ),
    ] = None,
    save: opt.Save = None,
) -> None:
    """Show a dataset: counts, digest and a few boards."""
    from trm.pictures.boards import save_pictures
    from trm.show.dataset_examples import DatasetExample, select_examples, show_example

    task = datasets.task_of(folder)
    dataset = task.open_data([folder], allow_changed=True)
    names = [split] if split else list(dataset.splits)
    evaluators = _voted(folder, predictions) if predictions else {}
    shown: list[DatasetExample] = []
    for name in names:
        shown += select_examples(
            task, name, dataset.split(name), boards, puzzle, evaluators.get(name)
        )
    if puzzle is not None and not shown:
        command = shlex.join(["trm", "inspect-data", str(folder)])
        raise InputError(f"{folder} has no puzzle named {puzzle!r}. This shows some: {command}")
    if save is not None:
        save_pictures(save, [picture for example in shown for picture in example.pictures()])
        notes.remark(f"wrote {save}")
    if as_text:
        for example in shown:
            out.print(example.text)
        return
    if puzzle is None:
        _print_summary(task, dataset)
    for example in shown:
        show_example(out, example)


def _voted(folder: Path, predictions: list[Path]) -> "dict[str, Evaluator]":
    """The votes of saved answers to a dataset, by the name of the split."""
    from trm.evaluation.predictions import Predictions
    from trm.evaluation.vote import vote_saved

    files = {str(path): Predictions.load(path) for path in predictions}
    evaluator = vote_saved(files, folder)
    if not evaluator.votes:
        raise InputError("--predictions: answers of this task are not voted on. Leave it out.")
    return {next(iter(files.values())).info.split: evaluator}


def _print_summary(task: "Task", dataset: "Dataset") -> None:
    from trm import data
    from trm.show.tables import dataset_table

    meta = dataset.meta
    native = not data.is_published(dataset.path)
    intact = not native or data.digest(meta, dataset.splits) == meta.digest
    state = ", as built" if intact else ", the files have changed since"
    out.print(f"task     {meta.task}")
    out.print(f"source   {meta.source}, seed {meta.seed}")
    out.print(f"tokens   {meta.seq_len} of {meta.vocab_size} kinds")
    out.print(
        f"digest   {meta.digest[:16]}{state if native else ''}", style="" if intact else "red"
    )
    facts = {name: task.describe(meta, split) for name, split in dataset.splits.items()}
    out.print(dataset_table(meta, facts))
