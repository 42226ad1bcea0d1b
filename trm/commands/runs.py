"""The commands that look at runs: ``runs`` and ``plot``."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

app = typer.Typer()
out = Console()


@app.command()
def runs(
    folder: Annotated[
        Path, typer.Argument(metavar="RUNS", help="A folder of runs, or that of a task.")
    ] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="The list as JSON.")] = False,
) -> None:
    """List runs, the newest first: how far they came, how they ended, their best."""
    from trm.runs.listing import list_runs
    from trm.show.tables import run_problems, runs_table

    found = list_runs(folder)
    if as_json:
        out.print_json(json.dumps([run.as_json() for run in found]))
    elif found:
        # A row is a line where it is read by a program.
        console = out if out.is_terminal else Console(width=200)
        console.print(runs_table(found))
        for line in (line for run in found for line in run_problems(run)):
            out.print(line, soft_wrap=True, highlight=False, markup=False)
    else:
        out.print(f"no run in {folder}; train one: trm train TASK", soft_wrap=True, markup=False)


@app.command()
def plot(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN|FILE...", help="Runs, or files that trm eval or vote --json wrote."
        ),
    ],
    picture: Annotated[
        Path | None, typer.Option("--out", metavar="F", help="A .png, .svg or .pdf file.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="What to draw over the steps.")] = None,
    pass_at_k: Annotated[
        bool, typer.Option("--pass-at-k", help="Draw pass@k against k instead; ARC only.")
    ] = False,
) -> None:
    """Draw a metric over a run's steps, or pass@k against k."""
    from trm.show import plots

    drawn = plots.plot(paths, out=picture, metric=metric, pass_at_k=pass_at_k)
    out.print(f"wrote {drawn}", soft_wrap=True, highlight=False)
