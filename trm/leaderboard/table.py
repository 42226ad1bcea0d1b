"""The tables of a leaderboard: one for each set of puzzles and metric, never mixed."""

from collections.abc import Iterator

from trm.leaderboard.entry import Entry
from trm.leaderboard.folder import Group, Leaderboard
from trm.leaderboard.verify import Verdict
from trm.show.fitted_table import Column, FittedTable, markdown

#: Digits of a digest that are shown.
_DIGITS = 12


def heading(group: Group) -> tuple[str, ...]:
    """Which puzzles the figures of a table are of, in parts."""
    of, metric = group.puzzles, group.metric.replace("_", " ")
    if group.is_reported:
        return (f"{of.name} ({of.task}): {metric} as reported;", "its puzzles were not checked")
    part = f"all {of.examples:,}"
    if of.examples != of.split_examples:
        part = f"{of.examples:,} of {of.split_examples:,}"
    digests = [(digest or "")[:_DIGITS] for digest in (of.digest, of.subset)]
    return (
        f"{of.name} ({of.task}): {metric} on {part} {of.split} puzzles;",
        f"data {digests[0]}, subset {digests[1]}",
    )


def group_table(group: Group) -> FittedTable:
    """One row for each model; ways of thinking of which there is no figure have no column."""
    table = FittedTable(
        Column("model", is_name=True),
        *(Column(column, wraps=True) for column in group.columns),
        Column("parameters", right=True, leave_out=1),
        "from",
    )
    for row in _rows(group):
        first = next(iter(row.values()))
        table.add_row(
            first.model,
            *(_cell(row.get(column)) for column in group.columns),
            _size(first.parameters),
            first.source or "measured",
        )
    return table


def _rows(group: Group) -> Iterator[dict[str, Entry]]:
    """The figures of each model by their columns; another of the same column has its own row."""
    rows: dict[tuple[object, ...], list[dict[str, Entry]]] = {}
    for entry in group.entries:
        weights = entry.provenance and entry.provenance.weights
        found = rows.setdefault((entry.model, entry.source, weights), [])
        free = next((row for row in found if entry.column not in row), None)
        if free is None:
            free = {}
            found.append(free)
        free[entry.column] = entry
    for found in rows.values():
        yield from found


def _cell(entry: Entry | None) -> str:
    if entry is None:
        return "-"
    details = entry.thinking.details
    return entry.figure.text + (f", {details}" if details else "")


def _size(parameters: int | None) -> str:
    if parameters is None:
        return "-"
    return f"{parameters / 1e6:.0f}M" if parameters >= 1e6 else f"{parameters:,}"


def leaderboard_page(leaderboard: Leaderboard) -> str:
    """All tables, as a page of Markdown."""
    parts = [
        f"**{' '.join(heading(one))}**\n\n{markdown(group_table(one))}"
        for one in leaderboard.groups
    ]
    return "\n\n".join(parts)


def verdicts_table(verdicts: list[Verdict]) -> FittedTable:
    """What ``trm leaderboard verify`` found."""
    table = FittedTable(
        Column("figure", is_name=True), "in the file", "now", Column("verdict", wraps=True)
    )
    for verdict in verdicts:
        now = "-" if verdict.found is None else verdict.found.text
        table.add_row(verdict.entry.label, verdict.entry.figure.text, now, verdict.text)
    return table
