"""Read any number of puzzles from text: CSV, JSON lines, or one puzzle per line."""

import contextlib
import csv
import itertools
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trm.errors import InputError

#: Columns that hold a puzzle, and columns that hold its known solution.
PUZZLE_COLUMNS = ("question", "puzzle")
ANSWER_COLUMNS = ("answer", "solution")


@dataclass(frozen=True)
class PuzzleRecord:
    """A puzzle as text.

    Attributes:
        location: the name of the input and the line number, counted from 1.
        puzzle: the puzzle in the task's notation.
        label: the known solution, empty if unknown.
    """

    location: str
    puzzle: str
    label: str = ""


class PuzzleReader:
    """Iterates over the puzzles of a text. Holds one line in memory at a time.

    The first line decides the format: CSV if it is a header with one of :data:`PUZZLE_COLUMNS`,
    JSON lines if it is an object with the key ``puzzle``, otherwise one puzzle per line.

    Args:
        lines: the lines of the text.
        name: the name of the text in error messages.

    Attributes:
        has_labels: whether the text has known solutions.
        is_plain: whether the text has one puzzle per line.

    Raises:
        InputError: if the text is empty. While iterating: if a line is invalid.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._name = name
        lines = iter(lines)
        numbered = ((n, line) for n, line in enumerate(lines, 1) if line.strip())
        first = next(numbered, None)
        if first is None:
            raise InputError(f"{name} has no puzzle. Give a puzzle a line, or CSV.")
        self._first_line = first[0]
        header, record = _csv_header(first[1]), _json_record(first[1])
        self.has_labels = not set(ANSWER_COLUMNS).isdisjoint(header or record or ())
        self.is_plain = header is None and record is None
        text = itertools.chain([first], numbered)
        if header is not None:
            self._records = self._read_csv(header, lines)
        elif record is not None:
            self._records = self._read_json_lines(text)
        else:
            self._records = (
                PuzzleRecord(self._location(n), line.rstrip("\r\n")) for n, line in text
            )

    def __iter__(self) -> Iterator[PuzzleRecord]:
        return self._records

    def _location(self, line: int) -> str:
        return f"{self._name}, line {line}"

    def _read_csv(self, header: list[str], lines: Iterable[str]) -> Iterator[PuzzleRecord]:
        """Read the rows after the header."""
        puzzle = next(header.index(name) for name in PUZZLE_COLUMNS if name in header)
        label = next((header.index(name) for name in ANSWER_COLUMNS if name in header), None)
        reader = csv.reader(lines, strict=True)
        while True:
            try:
                fields = next(reader, None)
            except csv.Error as error:
                location = self._location(self._first_line + reader.line_num)
                raise InputError(f"{location}: not CSV: {error}. Correct the line.") from error
            if fields is None:
                return
            location = self._location(self._first_line + reader.line_num)
            if len(fields) not in (0, len(header)):  # an empty line has 0
                raise InputError(
                    f"{location}: {len(fields)} fields, but the header has {len(header)}. "
                    "Correct the line."
                )
            if fields:
                yield PuzzleRecord(location, fields[puzzle], "" if label is None else fields[label])

    def _read_json_lines(self, lines: Iterable[tuple[int, str]]) -> Iterator[PuzzleRecord]:
        for number, line in lines:
            location, record = self._location(number), _json_record(line)
            if record is None:
                raise InputError(
                    f"{location}: not a JSON object with a text 'puzzle'. Correct the line."
                )
            label = next((record[name] for name in ANSWER_COLUMNS if name in record), None)
            if label is None:
                label = ""
            elif not isinstance(label, str):
                label = json.dumps(label)  # such as an ARC grid
            yield PuzzleRecord(location, record["puzzle"], label)


def _csv_header(line: str) -> list[str] | None:
    """The column names, or None if the line is not a CSV header with a puzzle column."""
    with contextlib.suppress(csv.Error):
        columns = [name.strip() for name in next(csv.reader([line], strict=True))]
        if not set(PUZZLE_COLUMNS).isdisjoint(columns):
            return columns
    return None


def _json_record(line: str) -> dict[str, Any] | None:
    """The JSON object, or None if the line is not an object with a text ``puzzle``."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or not isinstance(record.get("puzzle"), str):
        return None
    return record
