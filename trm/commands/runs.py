"""The commands ``runs`` and ``plot``, which show runs, and ``models``."""

from pathlib import Path
from typing import Annotated

import typer

from trm.commands import completion
from trm.commands import options as opt
from trm.commands.help import Command
from trm.show.text import out

app = typer.Typer()

MODELS_EXAMPLES = """
trm models
trm models --kinds
trm solve --ckpt sudoku-6x6 6.1523.326..4....2...15.3.....1542..
trm train sudoku --model candidates --init-from sudoku-9x9
"""
EXAMPLES = """
trm plot runs/sudoku/a runs/sudoku/b
trm plot runs/sudoku/a --metric cell_accuracy --out cells.svg
"""


@app.command(cls=Command)
def runs(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="RUNS",
            help="All runs, the runs of one task, or one run.",
            rich_help_panel=opt.BASICS,
        ),
    ] = Path("runs"),
    as_json: opt.AsJson = False,
) -> None:
    """List runs, the newest first: state, step and best result."""
    from trm.runs.listing import list_runs
    from trm.runs.run_folder import TRAIN_ONE
    from trm.show.tables import run_problems, runs_table

    summaries = list_runs(folder)
    if as_json:
        out.print_json(data=[run.as_json() for run in summaries])
    elif summaries:
        out.print(runs_table(summaries))
        for problem in (line for run in summaries for line in run_problems(run)):
            out.print(problem)
    else:
        out.print(f"no run in {folder}. Train one, such as: {TRAIN_ONE}")


@app.command(cls=Command, epilog=MODELS_EXAMPLES)
def models(
    kinds: Annotated[
        bool, opt.option(opt.BASICS, "--kinds", "List the kinds of models to train instead.")
    ] = False,
    as_json: opt.AsJson = False,
) -> None:
    """List the trained models that come with trm, or the kinds of models."""
    from trm.checkpoints.shipped import list_models
    from trm.show.tables import kinds_table, models_table

    if kinds:
        from trm.models import list_model_kinds

        installed = list_model_kinds()
        if as_json:
            out.print_json(data=[kind.as_json() for kind in installed.values()])
        else:
            out.print(kinds_table(installed))
        return
    found = list_models()
    if as_json:
        out.print_json(data=[model.as_json() for model in found])
    else:
        out.print(models_table(found))


@app.command(cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
def plot(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RUN|FILE...",
            help="Runs, or files of trm eval or vote --json. Default: the newest run.",
            rich_help_panel=opt.BASICS,
            autocompletion=completion.runs,
        ),
    ] = None,
    picture: Annotated[
        Path | None,
        opt.option(opt.OUTPUT, "--out F", "A .png, .svg or .pdf file. Default: METRIC.png."),
    ] = None,
    metric: Annotated[
        str | None,
        opt.option(opt.BASICS, "--metric NAME", "Default: exact_accuracy, or pass@2 for ARC."),
    ] = None,
    pass_at_k: Annotated[
        bool, opt.option(opt.BASICS, "--pass-at-k", "Draw pass@k against k instead (ARC only).")
    ] = False,
) -> None:
    """Draw a metric over the steps of runs, or pass@k against k."""
    from trm.show import plots

    file = plots.plot(paths or None, out=picture, metric=metric, pass_at_k=pass_at_k)
    out.remark(f"wrote {file}")
