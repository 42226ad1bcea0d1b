"""The table of a comparison."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from trm.comparison.report import Comparison, PairedTest, RowResult
from trm.show.fitted_table import Column, FittedTable, markdown

if TYPE_CHECKING:
    from trm.comparison.compare import OpenedComparison


def comparison_table(comparison: Comparison) -> FittedTable:
    """One row for each row of the grid. A row that is not finished says so."""
    table = FittedTable(
        Column("row", is_name=True),
        f">{comparison.metric.replace('_', ' ')}",
        Column("95% interval", leave_out=1),
        ">vs. first", ">p", ">steps", ">time",
        Column("training FLOP", right=True, leave_out=2),
        Column("GFLOP a puzzle", right=True, leave_out=3),
        Column("parameters", right=True, leave_out=4),
    )  # fmt: skip
    for row in comparison.rows:
        table.add_row(
            _name(row, comparison),
            _mean(row),
            "-" if row.interval is None else "{:.3f}-{:.3f}".format(*row.interval),
            *_test(comparison.tests.get(row.name)),
            *_cost(row),
            f"{row.gflop_per_puzzle:.3g}",
            f"{row.num_parameters:,}",
        )
    return table


def plan_table(opened: "OpenedComparison") -> FittedTable:
    """What ``trm compare --dry-run`` shows: the runs of each row."""
    table = FittedTable(
        Column("row", is_name=True), ">finished", ">steps", ">GFLOP a puzzle", ">parameters"
    )
    seeds = len(opened.plan.grid.seeds)
    for planned, row in zip(opened.plan.rows, opened.comparison.rows, strict=True):
        train = planned.runs[0].config.train
        table.add_row(
            row.name, f"{len(row.runs)} of {seeds}",
            "-" if train.max_minutes else f"{train.max_steps:,}",
            f"{row.gflop_per_puzzle:.3g}", f"{row.num_parameters:,}",
        )  # fmt: skip
    return table


def _name(row: RowResult, comparison: Comparison) -> str:
    count, all_seeds = len(row.runs), len(comparison.seeds)
    return row.name if count == all_seeds else f"{row.name} ({count} of {all_seeds} seeds)"


def _mean(row: RowResult) -> str:
    if row.mean is None:
        return "-"
    return f"{row.mean:.4f}" + ("" if row.spread is None else f" ± {row.spread:.4f}")


def _test(test: PairedTest | None) -> tuple[str, str]:
    return ("-", "-") if test is None else (f"{test.difference:+.4f}", p_text(test.p_holm))


def _cost(row: RowResult) -> tuple[str, str, str]:
    if not row.runs:
        return "-", "-", "-"
    return (
        f"{row.mean_of('steps'):,.0f}",
        duration_text(row.mean_of("seconds")),
        flops_text(row.mean_of("training_flops")),
    )


def p_text(p: float) -> str:
    """A p-value.

    >>> p_text(0.0004), p_text(0.0123), p_text(1.0)
    ('<0.001', '0.012', '1.000')
    """
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def duration_text(seconds: float) -> str:
    """A duration.

    >>> duration_text(9.3), duration_text(71), duration_text(600), duration_text(9000)
    ('9.3 s', '71 s', '10.0 min', '2.5 h')
    """
    if seconds < 120:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.1f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def flops_text(flops: float) -> str:
    """A number of operations.

    >>> flops_text(2.17e10), flops_text(1.5e15), flops_text(3e19)
    ('21.7 G', '1.5 P', '3e+04 P')
    """
    factor, unit = flops_unit(flops)
    return f"{flops / factor:.3g} {unit}"


def flops_unit(flops: float) -> tuple[float, str]:
    """The factor and the prefix in which to write a number of operations."""
    large = ((1e15, "P"), (1e12, "T"))
    return next((pair for pair in large if flops >= pair[0]), (1e9, "G"))


def headline(comparison: Comparison) -> str:
    """What was compared, and whether all of it is finished."""
    data = ", ".join(comparison.data)
    return (
        f"{comparison.grid.stem}: {comparison.budget.text} a run, on the test puzzles of {data}; "
        f"{comparison.progress_text}"
    )


def remarks(comparison: Comparison) -> Iterator[str]:
    """What the columns mean, and what failed."""
    several = len(comparison.seeds) > 1
    how = "mean ± standard deviation over the seeds" if several else "of one seed"
    interval = "the seeds and the puzzles" if several else "the puzzles"
    yield f"{comparison.metric.replace('_', ' ')}: {how}; 95% interval over {interval}"
    if any(row.runs for row in comparison.rows):
        puzzles = next(len(run.scores) for row in comparison.rows for run in row.runs)
        yield (
            f"p: paired test on the same {puzzles:,} puzzles against {comparison.rows[0].name!r}, "
            "corrected for the number of rows (Holm)"
        )
    for label, reason in comparison.failures.items():
        yield f"{label} failed: {' '.join(reason.split())}"


def table_page(comparison: Comparison) -> str:
    """The table as a page of Markdown."""
    lines = [f"**{headline(comparison)}**", "", markdown(comparison_table(comparison)), ""]
    lines += [f"- {line}" for line in remarks(comparison)]
    return "\n".join(lines) + "\n"
