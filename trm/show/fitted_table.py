"""A table that fits the terminal. What people copy from it, such as a name, is never broken.

In a pipe or a file, each row is one line with all its columns, at least two spaces apart:
``trm runs | awk -F '  +' '{print $1}'``.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from trm.show.text import printable

_GAP = 2
#: The width of a column whose cells have lines of their own.
_INDENT = 2
#: Below the header; in a pipe, the rows themselves may be longer.
_LONGEST_RULE = 200


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: its header.
        right: align it to the right, as numbers are.
        wraps: it is text whose words may go onto further lines. Other cells have one line.
        is_name: a name or path that people copy. Where it does not fit, the row continues below
            it. A path that is longer than a line is shortened; see :func:`shorten_path`.
        leave_out: columns that have a number are left out where the terminal is too narrow, the
            highest number first.
    """

    name: str
    right: bool = False
    wraps: bool = False
    is_name: bool = False
    leave_out: int = 0


class FittedTable:
    """Rows of text in columns.

    Where a row does not fit the terminal, text is wrapped at words, then columns are left out. If
    that is not enough, the column of the longest cells becomes narrower, and a row whose cell is
    longer than that continues on the next line.

    Args:
        columns: from left to right. A ``str`` is the name of a column of one line; with ``>`` in
            front of it, the column is aligned to the right. There is a header if one has a name.
    """

    def __init__(self, *columns: Column | str) -> None:
        self.columns = [
            Column(name.removeprefix(">"), right=name.startswith(">"))
            if isinstance(name, str) else name
            for name in columns
        ]  # fmt: skip
        self.rows: list[tuple[str, ...]] = []
        self._styles: list[str] = []

    def add_row(self, *cells: str, style: str = "") -> None:
        """Add a row of one cell for each column."""
        self.rows.append(tuple(cell for _, cell in zip(self.columns, cells, strict=True)))
        self._styles.append(style)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        room = options.max_width if console.is_terminal else sys.maxsize
        fitted = [_FittedColumn(column, [row[i] for row in self.rows], room)
                  for i, column in enumerate(self.columns)]  # fmt: skip
        shown = _fit(fitted, room)
        header = [column.header() for column in shown]
        rows = [
            _place([column.cell(number) for column in shown], shown, room)
            for number in range(len(self.rows))
        ]
        if any(column.name for column in self.columns):
            height = max(len(lines) for lines in header)
            for column, lines in zip(shown, header, strict=True):
                if _width(lines) <= column.width:
                    lines[:0] = [""] * (height - len(lines))
            names = _place(header, shown, room)
            yield _lines(names, "bold")
            longest = max(_width(lines) for lines in (names, *rows))
            yield _lines(["─" * min(longest, room, _LONGEST_RULE)], "")
        for lines, style in zip(rows, self._styles, strict=True):
            yield _lines(lines, style)
        if left_out := [column.name for column in fitted if column not in shown]:
            yield Text(f"not shown in {room} columns: {', '.join(left_out)}", style="dim")


class _FittedColumn:
    """A column with its cells, and the width that it gets.

    Attributes:
        least: the width below which a cell would be broken.
        most: the width of the longest cell.
        width: chosen by :func:`_fit`.
    """

    def __init__(self, column: Column, cells: Sequence[str], room: int) -> None:
        self._cells = [printable(cell) for cell in cells]
        if column.is_name:
            self._cells = [shorten_path(cell, room) for cell in self._cells]
        self._wraps = column.wraps and room < sys.maxsize
        self.name, self.right, self.leave_out = column.name, column.right, column.leave_out
        #: Whether its cells may be longer than the column; names rather than text.
        self.may_narrow = 2 * column.is_name + column.wraps
        words = column.name.split()
        words += [
            word for cell in self._cells for word in (cell.split() if self._wraps else [cell])
        ]
        self.least = _width(words)
        self.most = _width([column.name, *self._cells])
        self.width = self.most

    def narrowed(self, width: int) -> int:
        """A width below ``least``: ``width`` if the header and some cells fit into it."""
        fits = any(cell_len(cell) <= width for cell in self._cells)
        return width if fits and cell_len(self.name) <= width else _INDENT

    def header(self) -> list[str]:
        return self._wrapped(self.name)

    def cell(self, row: int) -> list[str]:
        cell = self._cells[row]
        return self._wrapped(cell) if self._wraps else [cell]

    def _wrapped(self, text: str) -> list[str]:
        """The lines of a text. A word that is longer than the column is not broken."""
        lines = [""]
        for word in text.split():
            longer = f"{lines[-1]} {word}".lstrip()
            if cell_len(longer) <= self.width or not lines[-1]:
                lines[-1] = longer
            else:
                lines.append(word)
        return lines


def _fit(columns: "Sequence[_FittedColumn]", room: int) -> "list[_FittedColumn]":
    """The columns to show, from left to right, whose widths are set."""
    shown = _without_less_important(columns, room)
    name = max(columns, key=lambda column: (column.may_narrow, column.least))
    if _spare(shown, room) < 0 and name.may_narrow:
        needed, name.least = name.least, _INDENT
        shown = _without_less_important(columns, room)
        rest = _INDENT + _spare(shown, room)
        name.least = name.most = name.narrowed(min(needed, rest))
    left = max(0, _spare(shown, room))
    for number, column in enumerate(sorted(shown, key=lambda column: column.most - column.least)):
        more = min(column.most - column.least, left // (len(shown) - number))
        column.width = column.least + more
        left -= more
    return shown


def _spare(columns: "Sequence[_FittedColumn]", room: int) -> int:
    """The width that is left; negative if the columns do not fit."""
    return room - sum(column.least for column in columns) - _GAP * (len(columns) - 1)


def _without_less_important(columns: "Sequence[_FittedColumn]", room: int) -> "list[_FittedColumn]":
    """The columns without those that have to be left out to fit; the first one stays."""
    shown = list(columns)
    while _spare(shown, room) < 0 and any(column.leave_out for column in shown[1:]):
        shown.remove(max(shown[1:], key=lambda column: column.leave_out))
    return shown


def _place(
    cells: Sequence[Sequence[str]], columns: "Sequence[_FittedColumn]", room: int
) -> list[str]:
    """The lines of a row. After a cell that is wider than its column, the next line begins."""
    lines: list[str] = []
    top = left = 0
    for texts, column in zip(cells, columns, strict=True):
        width, start = _width(texts), left
        if start + width > room:
            start, top = max(0, room - width), len(lines)
        for number, text in enumerate(texts, top):
            lines += [""] * (number + 1 - len(lines))
            indent = start - cell_len(lines[number])
            if column.right:
                indent += max(0, min(column.width, room - start) - cell_len(text))
            lines[number] += " " * indent + text if text else ""
        if width > column.width:
            top = len(lines)
        left += column.width + _GAP
    return lines


def _lines(lines: Sequence[str], style: str) -> Text:
    """Lines that are not wrapped; the terminal wraps one that is longer, and copies it whole."""
    return Text("\n".join(lines), style=style, no_wrap=True, overflow="ignore")


def _width(texts: Sequence[str]) -> int:
    return max(map(cell_len, texts), default=0)


def shorten_path(path: str, width: int) -> str:
    """A path that is longer than ``width``, without its first folders; whole if that is too short.

    The name of a run stays in the path of its checkpoint.

    >>> shorten_path("/a/folder/runs/sudoku/one/checkpoints/step-000900", 40)
    '…/sudoku/one/checkpoints/step-000900'
    >>> shorten_path("/a/folder/runs/sudoku/one/checkpoints/step-000900", 20)
    '/a/folder/runs/sudoku/one/checkpoints/step-000900'
    """
    if cell_len(path) <= width:
        return path
    parts = path.split("/")
    kept = 3 if "checkpoints" in parts[-2:-1] else 1
    for start in range(1, len(parts) - kept + 1):
        shorter = "/".join(["…", *parts[start:]])
        if cell_len(shorter) <= width:
            return shorter
    return path


def markdown(table: FittedTable) -> str:
    """A table in Markdown, with all its columns.

    >>> table = FittedTable("task", ">value")
    >>> table.add_row("maze", "0.7870")
    >>> print(markdown(table))
    | task | value |
    | --- | ---: |
    | maze | 0.7870 |
    """
    lines = [
        [column.name for column in table.columns],
        ["---:" if column.right else "---" for column in table.columns],
        *table.rows,
    ]
    cells = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    return "\n".join("| " + " | ".join(line) + " |" for line in cells)
