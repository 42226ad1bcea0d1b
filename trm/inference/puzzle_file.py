"""Many puzzles in a text, read one by one: a CSV table, JSON a line, or a puzzle a line."""

import contextlib
import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trm.errors import InputError

#: Columns that hold a puzzle, and those that hold the answer known to be right.
PUZZLE_COLUMNS = ("question", "puzzle")
ANSWER_COLUMNS = ("answer", "solution")


@dataclass(frozen=True)
class Row:
    """A puzzle as it stands in a text.

    Attributes:
        where: the text's name and the line's number, from 1 on.
        puzzle: in the task's notation.
        label: the answer known to be right, empty where there is none.
    """

    where: str
    puzzle: str
    label: str = ""


class Rows:
    """The puzzles of a text, one after the other; no more than a line of it is held.

    Its first line tells what it is: CSV with a header that names a column of
    :data:`PUZZLE_COLUMNS`, JSON objects with the key ``puzzle``, or else a puzzle a line.

    Args:
        lines: the text.
        name: what to call it in errors.

    Attributes:
        labelled: whether there are answers known to be right.
        plain: whether it is a puzzle a line.

    Raises:
        InputError: if there is no line.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._name = name
        lines = iter(lines)
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        first = next(numbered, None)
        if first is None:
            raise InputError(f"{name} has no puzzle. Give a puzzle a line, or CSV.")
        self._first_line = first[0]
        text = itertools.chain([first], numbered)
        header, record = _header(first[1]), _record(first[1])
        self.labelled = not set(ANSWER_COLUMNS).isdisjoint(header or record or ())
        self.plain = header is None and record is None
        if header is not None:
            self._rows = self._of_table(header, lines)
        elif record is not None:
            self._rows = self._of_objects(text)
        else:
            self._rows = (Row(self._where(n), line.rstrip("\r\n")) for n, line in text)

    def __iter__(self) -> Iterator[Row]:
        return self._rows

    def _where(self, line: int) -> str:
        return f"{self._name}, line {line}"

    def _of_table(self, header: list[str], lines: Iterable[str]) -> Iterator[Row]:
        puzzle = next(header.index(name) for name in PUZZLE_COLUMNS if name in header)
        label = next((header.index(name) for name in ANSWER_COLUMNS if name in header), None)
        reader = csv.reader(lines, strict=True)  # goes on behind the header
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                where = self._where(self._first_line + reader.line_num)
                raise InputError(f"{where}: not CSV: {error}. Mend the line.") from error
            if fields is None:
                return
            where = self._where(self._first_line + reader.line_num)
            if len(fields) not in (0, len(header)):  # an empty line has none
                raise InputError(
                    f"{where}: {len(fields)} fields, but the header has {len(header)}. "
                    "Mend the line."
                )
            if fields:
                yield Row(where, fields[puzzle], "" if label is None else fields[label])

    def _of_objects(self, lines: Iterable[tuple[int, str]]) -> Iterator[Row]:
        for number, line in lines:
            record = _record(line)
            if record is None:
                raise InputError(
                    f"{self._where(number)} is no JSON object with a text 'puzzle'. Mend the line."
                )
            labels = [record[name] for name in ANSWER_COLUMNS if name in record]
            yield Row(self._where(number), record["puzzle"], _text(labels[0]) if labels else "")


def _header(line: str) -> list[str] | None:
    """The columns of a table with puzzles, None if the line is no header of one."""
    with contextlib.suppress(csv.Error):
        columns = [name.strip() for name in next(csv.reader([line], strict=True))]
        if not set(PUZZLE_COLUMNS).isdisjoint(columns):
            return columns
    return None


def _record(line: str) -> dict[str, Any] | None:
    """A JSON object with a puzzle, None if the line is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or not isinstance(found.get("puzzle"), str):
        return None
    return found


def _text(label: Any) -> str:
    """A label as text; a grid (ARC) may stand there as such."""
    if label is None:
        return ""
    return label if isinstance(label, str) else json.dumps(label)
