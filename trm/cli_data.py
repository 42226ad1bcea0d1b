"""The commands on data: ``build-data``, whose flags come from each task's options, and
``inspect-data``."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from trm.errors import InputError
from trm.plugins import get_task, installed_tasks

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from trm.tasks.base import Task

app = typer.Typer()
out = Console()


class _Tasks(TyperGroup):
    """One command a task; plugins are loaded when one is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(installed_tasks())

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        single = typer.Typer(add_completion=False)
        task = get_task(cmd_name)
        single.command(cmd_name, help=f"Build data. {escape(task.summary)}")(_builder(task))
        return typer.main.get_command(single)


_build = typer.Typer(
    cls=_Tasks, no_args_is_help=True, subcommand_metavar="TASK [OPTIONS]", help="Build a data set."
)
app.add_typer(_build, name="build-data")


@_build.callback()
def _options() -> None:
    """Build a task's data set: puzzles to train on, and others to test on."""


def _builder(task: "Task") -> Callable[..., None]:
    """A function whose signature has the task's options, for Typer to read."""
    fields = task.data_options.model_fields

    def build(preset: str | None, out_folder: Path | None, overwrite: bool, **given: Any) -> None:
        chosen = {name: value for name, value in given.items() if value is not None}
        _build_data(task, preset, out_folder or Path("data") / task.name, overwrite, chosen)

    parameters = [
        _parameter("preset", str | None, None, "A named set of options: "
                   + (", ".join(task.presets) or "this task has none") + "."),
        _parameter("out_folder", Path | None, None, f"Data folder (default: data/{task.name})",
                   "--out"),
        _parameter("overwrite", bool, False, "Replace a data set that is there.", "--overwrite"),
        *(
            _parameter(name, field.annotation | None, None,  # type: ignore[operator]
                       _help(name, field))
            for name, field in fields.items()
        ),
    ]  # fmt: skip
    build.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return build


def _parameter(name: str, kind: Any, default: Any, text: str, *flags: str) -> inspect.Parameter:
    return inspect.Parameter(
        name,
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[kind, typer.Option(*flags, help=text, show_default=False)],
    )


def _help(name: str, field: "FieldInfo") -> str:
    if field.is_required():
        default = "required"
    else:
        value = field.get_default(call_default_factory=True)
        default = "default: " + ("unset" if value is None else str(value))
    return escape(f"{field.description or name} ({default})")


def _build_data(
    task: "Task", preset: str | None, folder: Path, overwrite: bool, given: dict[str, Any]
) -> None:
    import numpy as np

    options = task.options(preset, **given)
    if folder.exists() and not (overwrite and (folder / "dataset.json").is_file()):
        way_out = "Name another --out" + (
            ", or replace it with --overwrite." if (folder / "dataset.json").is_file() else "."
        )
        raise InputError(f"{folder} exists already. {way_out}")
    meta = task.build_data(folder, options, np.random.default_rng(options.seed))
    counts = ", ".join(
        f"{name} {split.groups:,} puzzles ({split.puzzles:,} with augmentations)"
        for name, split in meta.splits.items()
    )
    out.print(f"{folder}: {counts}, digest {meta.digest[:12]}", highlight=False, soft_wrap=True)


@app.command("inspect-data")
def inspect_data(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A data folder.")],
    split: Annotated[str | None, typer.Option(help="Show boards of this split only.")] = None,
    boards: Annotated[int, typer.Option(min=0, help="Boards to show of a split.")] = 2,
    as_text: Annotated[
        bool, typer.Option("--text", help="Only the boards, one a line, for trm solve.")
    ] = False,
) -> None:
    """Show what a data set holds: counts, digest and a few boards."""
    import numpy as np

    from trm import data
    from trm.show.tables import dataset_table

    meta = data.read_meta(folder)
    task = get_task(meta.task)
    dataset = task.open_data([folder])
    names = [split] if split else list(dataset.splits)
    shown = {name: dataset.split(name) for name in names}
    if as_text:
        for found in shown.values():
            for row in found.inputs[:boards]:
                out.print(task.format(row), highlight=False, soft_wrap=True)
        return
    whole = data.digest(meta, dataset.splits) == meta.digest
    out.print(f"task     {meta.task}\nsource   {meta.source}, seed {meta.seed}", highlight=False)
    out.print(f"tokens   {meta.seq_len} of {meta.vocab_size} kinds", highlight=False)
    digest_says = "as built" if whole else "[bold red]the files have changed since[/]"
    out.print(f"digest   {meta.digest[:16]}, {digest_says}", highlight=False)
    facts = {name: task.describe(meta, found) for name, found in dataset.splits.items()}
    out.print(dataset_table(meta, facts))
    for name, found in shown.items():
        for row in range(min(boards, len(found.inputs))):
            puzzle, solution = np.asarray(found.inputs[row]), np.asarray(found.labels[row])
            out.print(f"{name} {row}: {task.format(puzzle)}", highlight=False, soft_wrap=True)
            out.print(task.render(solution, given=puzzle))
