"""The command that compares settings: ``compare``."""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trm.commands import options as opt
from trm.commands.help import Command
from trm.errors import TrainingError
from trm.show.text import notes, out

if TYPE_CHECKING:
    from trm.comparison.report import Comparison

app = typer.Typer()

EXAMPLES = """
trm compare recipes/compare-parts-6x6.toml        # 25 rows of 3 seeds
trm compare grid.toml --out runs/grid --jobs 2
"""


@app.command(cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
def compare(
    grid: Annotated[
        Path,
        typer.Argument(
            metavar="GRID.toml",
            help="The rows, the seeds and the budget.",
            rich_help_panel=opt.BASICS,
        ),
    ],
    folder: Annotated[
        Path | None,
        opt.option(
            opt.BASICS, "--out FOLDER", "Runs and results; resumed. Default: runs/compare/GRID."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        opt.option(opt.DEVICES, "--jobs N", "Runs at a time. Default: one per GPU, or CPU core."),
    ] = None,
    device: opt.Device = None,
    as_json: opt.AsJson = False,
    dry_run: Annotated[
        bool, opt.option(opt.BASICS, "--dry-run", "Show the runs of the grid, and exit.")
    ] = False,
) -> None:
    """Train several settings with equal budgets and several seeds, and compare them.

    Each run is an ordinary trm train in a process of its own. The same command resumes what was cut
    short. All rows answer the same test puzzles, and are tested in pairs against the first row.
    """
    from trm.comparison.compare import compare as compare_grid
    from trm.comparison.compare import open_comparison

    if dry_run:
        from trm.comparison.table import headline, plan_table

        opened = open_comparison(grid, folder)
        out.print_parts(headline(opened.comparison))
        out.print(plan_table(opened))
        return
    latest: list[Comparison] = []

    def show(found: "Comparison", label: str) -> None:
        latest[:] = [found]
        _print_progress(found, label)

    try:
        found = compare_grid(grid, out=folder, jobs=jobs, device=device or "auto", on_run=show)
    except KeyboardInterrupt:
        if latest:
            _show(latest[0], as_json)
            notes.remark(f"stopped; the same command resumes {latest[0].out}")
        raise
    _show(found, as_json)
    if found.failures:
        label, reason = next(iter(found.failures.items()))
        raise TrainingError(
            f"{len(found.failures)} of {found.num_runs} runs failed: {label}: {reason} The same "
            "command tries again."
        )


def _print_progress(found: "Comparison", label: str) -> None:
    if notes.is_quiet:
        return
    if not label:
        notes.print_parts(
            f"{found.num_runs} runs of {found.budget.text}, {found.num_finished} finished;",
            f"trm runs {found.out} shows their progress",
        )
        return
    count = f"{found.num_finished + len(found.failures)}/{found.num_runs}"
    if label in found.failures:
        notes.print_parts(f"{count} {label} failed: {found.failures[label]}")
        return
    (run,) = (run for row in found.rows for run in row.runs if run.label == label)
    notes.print_parts(f"{count} {label}:", f"{found.metric} {run.value.value:.4f}")


def _show(found: "Comparison", as_json: bool) -> None:
    from trm.comparison.table import comparison_table, headline, remarks

    if as_json:
        out.print_json(data=found.as_json())
        return
    out.print_parts(headline(found))
    out.print(comparison_table(found))
    for line in remarks(found):
        out.print_parts(line)
    if not found.num_finished:
        notes.remark(f"wrote {found.out}/table.md")
    elif importlib.util.find_spec("matplotlib") is None:
        notes.remark(f"wrote {found.out}/table.md; for the picture: pip install matplotlib")
    else:
        notes.remark(f"wrote {found.out}/table.md and accuracy.svg")
