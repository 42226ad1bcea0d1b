"""The commands of leaderboards: ``leaderboard show``, ``add`` and ``verify``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from trm.commands import completion
from trm.commands import options as opt
from trm.commands.help import Command, Group
from trm.errors import InputError
from trm.show.text import notes, out

app = typer.Typer()

EXAMPLES = """
trm leaderboard                                   # with leaderboard/
trm eval --json > eval.json
trm leaderboard add eval.json --name "my model"
trm leaderboard verify                            # evaluate again
"""
SHOW_EXAMPLES = """
trm leaderboard show
trm leaderboard show results --no-shipped --markdown
"""
ADD_EXAMPLES = """
trm eval --json > eval.json
trm leaderboard add eval.json --name "my model" --data-name "Sudoku 6x6"
"""
VERIFY_EXAMPLES = """
trm leaderboard verify
trm leaderboard verify results --no-shipped --data data/sudoku
trm leaderboard verify --model "my model" --ckpt runs/sudoku/a
"""
_SHOW = "show"


class _Leaderboard(Group):
    """``trm leaderboard`` is ``trm leaderboard show``, also with its arguments."""

    def command_panels(self, ctx: Any) -> dict[str, list[str]]:
        return {"Commands": [_SHOW, "add", "verify"]}

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, *ctx.help_option_names):
            args = [_SHOW, *args]
        return super().parse_args(ctx, args)


_group = typer.Typer(
    cls=_Leaderboard, subcommand_metavar="COMMAND|FOLDER [OPTIONS]", epilog=EXAMPLES
)
app.add_typer(_group, name="leaderboard")

Folder = Annotated[
    Path | None,
    typer.Argument(
        metavar="FOLDER",
        help="Results files. Default: leaderboard, if there is one.",
        rich_help_panel=opt.BASICS,
    ),
]
Shipped = Annotated[
    bool,
    opt.option(
        opt.BASICS, "--shipped/--no-shipped", "Also the figures that come with trm.",
        show_default=False,
    ),
]  # fmt: skip


@_group.callback()
def _options() -> None:
    """Show, add and verify figures of trained models.

    Each figure has its puzzles, weights, command, commit, seeds and way of thinking. Only figures
    on the same puzzles stand in one table, and each way of thinking has its own column.
    """


@_group.command(cls=Command, epilog=SHOW_EXAMPLES)
@opt.with_verbosity
def show(
    folder: Folder = None,
    shipped: Shipped = True,
    as_json: opt.AsJson = False,
    as_markdown: opt.AsMarkdown = False,
) -> None:
    """Show the figures of a folder, and those that come with trm."""
    from trm.leaderboard.folder import read_leaderboard
    from trm.leaderboard.table import group_table, heading, leaderboard_page

    found = read_leaderboard(folder, shipped=shipped)
    if as_json:
        out.print_json(data=found.as_json())
    elif as_markdown:
        for line in leaderboard_page(found).splitlines():
            out.print(line)
    else:
        for number, group in enumerate(found.groups):
            if number:
                out.print("")
            out.print_parts(*heading(group))
            out.print(group_table(group))


@_group.command(cls=Command, epilog=ADD_EXAMPLES)
@opt.with_verbosity
def add(
    evaluation: Annotated[
        Path,
        typer.Argument(
            metavar="EVAL.json", help="A file of trm eval --json.", rich_help_panel=opt.BASICS
        ),
    ],
    folder: Annotated[
        Path, opt.option(opt.OUTPUT, "--folder DIR", "Where to write the results file.")
    ] = Path("leaderboard"),
    name: Annotated[
        str | None,
        opt.option(opt.BASICS, "--name TEXT", "Name of the model. Default: its checkpoint."),
    ] = None,
    data_name: Annotated[
        str | None,
        opt.option(opt.BASICS, "--data-name TEXT", "Name of the puzzles. Default: their folder."),
    ] = None,
    metric: Annotated[
        str | None, opt.option(opt.BASICS, "--metric NAME", "Default: the task's headline metric.")
    ] = None,
    full_training_split: Annotated[
        bool,
        opt.option(
            opt.BASICS,
            "--full-training-split",
            "The model was trained on a whole split; others use a part.",
        ),
    ] = False,
    note: Annotated[
        str | None, opt.option(opt.BASICS, "--note TEXT", "Anything else to know.")
    ] = None,
    overwrite: Annotated[
        bool, opt.option(opt.OUTPUT, "--overwrite", "Replace a results file of the same figure.")
    ] = False,
) -> None:
    """Make a results file of an evaluation."""
    from trm.leaderboard.add import add_to_leaderboard

    files = add_to_leaderboard(
        evaluation, folder=folder, name=name, data_name=data_name, metric=metric,
        full_training_split=full_training_split, note=note, overwrite=overwrite,
    )  # fmt: skip
    for file in files:
        out.print_parts("wrote", str(file))


@_group.command(cls=Command, epilog=VERIFY_EXAMPLES)
@opt.with_verbosity
def verify(
    folder: Folder = None,
    shipped: Shipped = True,
    model: Annotated[
        str | None, opt.option(opt.BASICS, "--model NAME", "Only the figures of this model.")
    ] = None,
    ckpt: Annotated[
        list[str] | None,
        opt.option(
            opt.BASICS,
            "--ckpt MODEL",
            "Where else to look for weights. Repeatable.",
            autocompletion=completion.runs,
        ),
    ] = None,
    data: opt.Data = None,
    device: opt.Device = None,
    as_json: opt.AsJson = False,
) -> None:
    """Evaluate again the figures whose weights are at hand, and say which hold.

    On a machine like that of the figure the same puzzles have to be solved. On another one, the
    figure has to be within the 95% interval. The exit code is 1 if a figure does not hold, or none
    could be checked.
    """
    from trm.leaderboard.table import verdicts_table
    from trm.leaderboard.verify import verify_leaderboard
    from trm.show.progress import EvaluationView

    with EvaluationView(notes) as progress:
        verdicts = verify_leaderboard(
            folder, shipped=shipped, model=model, checkpoint=ckpt or (), data=data or (),
            device=device or "auto", on_progress=progress,
        )  # fmt: skip
    if as_json:
        out.print_json(data=[verdict.as_json() for verdict in verdicts])
    else:
        out.print(verdicts_table(verdicts))
    for verdict in verdicts:
        if verdict.state == "differs":
            raise InputError(
                f"{verdict.file}: {verdict.entry.label}: {verdict.text}. Correct the figure, or "
                "remove it."
            )
    if not any(verdict.holds for verdict in verdicts):
        raise InputError(
            f"none of {len(verdicts)} measured figures could be checked. Name their weights with "
            "--ckpt and their data with --data."
        )
