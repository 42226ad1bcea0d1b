"""Read any number of puzzles from text: CSV, JSON lines, or puzzles as the task writes them."""

import contextlib
import csv
import itertools
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from trm.errors import InputError
from trm.reading import parse_json
from trm.tasks.puzzle_csv import ANSWER_COLUMNS, QUESTION_COLUMNS

#: The most characters of a line, or of a row of CSV. It bounds the memory that a file needs.
MAX_LINE = 1_000_000
#: A puzzle, the number of its solutions, and the solution if there is one.
_COUNTED = re.compile(r"([^:]+):(\d{1,9})(?::([^:]*))?")
_TOO_LONG = f"more than {MAX_LINE:,} characters. Shorten the line."
_NOT_TEXT = "not UTF-8 text. Give a text file."
#: See :meth:`trm.tasks.base.Task.divide`.
Divide = Callable[[Iterable[tuple[int, str]]], Iterable[tuple[int, str]]]
_COMMENT = re.compile(r"^[ \t]*#.*$", re.MULTILINE)


@dataclass(frozen=True)
class PuzzleRecord:
    """A puzzle as text.

    Attributes:
        line: the number of its line, from 1; the last one if it has several.
        puzzle: the puzzle in the task's notation; if there is a problem, the text of the line.
        label: the known solution, empty if unknown.
        problem: what is wrong with the line, empty if nothing is.
    """

    line: int
    puzzle: str
    label: str = ""
    problem: str = ""


class PuzzleReader:
    """Iterates over the puzzles of a text. Holds the lines of one puzzle in memory at a time.

    The first line decides the format: CSV if it is a header with one of ``QUESTION_COLUMNS``,
    JSON lines if it is an object with the key ``puzzle``, ``puzzle:count:solution`` if it looks
    like that, otherwise ``divide`` says which lines are a puzzle. Empty lines are left out.

    Args:
        lines: the lines of the text, as text or as UTF-8 bytes. They should be no longer than
            :data:`MAX_LINE`; see :func:`trm.reading.bounded_lines`.
        name: the name of the text in error messages.
        divide: divides the lines, as :meth:`trm.tasks.base.Task.divide` does. Default: one puzzle
            per line.
        comments: whether lines that begin with ``#`` are left out too.

    Attributes:
        has_labels: whether the text has known solutions.
        is_plain: whether the text has puzzles alone, as the task writes them.

    Raises:
        InputError: if the text is empty.
    """

    def __init__(
        self,
        lines: Iterable[str | bytes],
        name: str,
        *,
        divide: Divide | None = None,
        comments: bool = False,
    ) -> None:
        self._lines, self._divide = _Lines(lines, comments), divide
        first = self._lines.next_filled()
        if first is None:
            raise InputError(f"{name} has no puzzle. Give a puzzle a line, or CSV.")
        self._first: str | None = first
        self._header = _csv_header(first)
        if self._header is not None:
            self._first = self._lines.next_filled()
            if self._first is not None and self._is_title(first, self._first):
                self._header, first = None, self._first
        record, counted = _json_record(first), _COUNTED.fullmatch(first.strip())
        self.is_plain = False
        if self._header is not None:
            self._parse = self._parse_csv
            names: Iterable[str] = self._header
        elif record is not None:
            self._parse, names = self._parse_json, record
        elif counted is not None:
            self._parse, names = self._parse_counted, ANSWER_COLUMNS if counted[3] else ()
        else:
            names, self.is_plain = (), True
        self.has_labels = not set(ANSWER_COLUMNS).isdisjoint(names)

    def _is_title(self, line: str, following: str) -> bool:
        """Whether a line that might be the header of CSV is the title of a drawn board instead."""
        if "," in line or '"' in following or self._divide is None:
            return False
        return len(list(self._divide([(1, line.strip()), (2, following.rstrip("\r\n"))]))) == 1

    def __iter__(self) -> Iterator[PuzzleRecord]:
        return self._plain_records() if self.is_plain else self._records()

    def _plain_records(self) -> Iterator[PuzzleRecord]:
        """The puzzles of a text that has nothing else."""
        problems: dict[int, str] = {}  # by line
        last = 0
        lines = self._numbered(problems)
        for number, text in self._divide(lines) if self._divide else lines:
            own = [problems.pop(line) for line in sorted(problems) if last < line <= number]
            last = number
            if own:
                text = text.encode(errors="backslashreplace").decode()
            if text.strip():
                yield PuzzleRecord(number, text, problem=own[0] if own else "")

    def _numbered(self, problems: dict[int, str]) -> Iterator[tuple[int, str]]:
        """The lines and their numbers. The problem of a line that cannot be read is noted."""
        line = self._first
        while line is not None:
            if self._lines.is_too_long:
                problems[self._lines.number] = _TOO_LONG
            elif not _is_text(line):
                problems[self._lines.number] = _NOT_TEXT
            yield self._lines.number, line.rstrip("\r\n")
            line = self._lines.next_without_comment()

    def _records(self) -> Iterator[PuzzleRecord]:
        """The puzzles of a text of another format, one per line."""
        line, self._first = self._first or self._lines.next_filled(), None
        while line is not None:
            try:
                if self._lines.is_too_long:
                    raise ValueError(_TOO_LONG)
                puzzle, label = self._parse(line)
                if not (_is_text(puzzle) and _is_text(label)):
                    raise ValueError(_NOT_TEXT)
                yield PuzzleRecord(self._lines.number, puzzle, label)
            except ValueError as error:
                text = line.rstrip("\r\n").encode(errors="backslashreplace").decode()
                yield PuzzleRecord(self._lines.number, text, problem=str(error))
            line = self._lines.next_filled()

    def _parse_counted(self, line: str) -> tuple[str, str]:
        found = _COUNTED.fullmatch(line.strip())
        if found is None:
            raise ValueError("not puzzle:count:solution, as the first line. Correct the line.")
        return found[1], (found[3] or "") if int(found[2]) == 1 else ""

    def _parse_json(self, line: str) -> tuple[str, str]:
        record = _json_record(line)
        if record is None:
            raise ValueError("not a JSON object with a text 'puzzle'. Correct the line.")
        label = next((record[name] for name in ANSWER_COLUMNS if name in record), None)
        if label is None:
            label = ""
        elif not isinstance(label, str):  # such as an ARC grid
            with contextlib.suppress(RecursionError):
                label = json.dumps(label)
        return record["puzzle"], str(label)

    def _parse_csv(self, line: str) -> tuple[str, str]:
        """The puzzle and its solution in a row that begins with this line."""
        header = self._header or []
        try:
            fields = next(csv.reader(self._csv_lines(line), strict=True))
        except csv.Error as error:
            raise ValueError(f"not CSV: {error}. Correct the line.") from error
        if len(fields) != len(header):
            raise ValueError(
                f"{len(fields)} fields, but the header has {len(header)}. Correct the line."
            )
        values = dict(zip(header, fields, strict=True))
        label = next((values[name] for name in ANSWER_COLUMNS if name in values), "")
        return next(values[name] for name in QUESTION_COLUMNS if name in values), label

    def _csv_lines(self, first: str) -> Iterator[str]:
        """A line, and the lines after it: a quoted field may have several."""
        length = 0
        for line in itertools.chain([first], self._lines):
            length += len(line)
            if self._lines.is_too_long or length > MAX_LINE:
                raise ValueError(f"a row of more than {MAX_LINE:,} characters. Correct the line.")
            yield line


class _Lines(Iterator[str]):
    """The lines of a text, one at a time.

    Attributes:
        number: the number of the last line, from 1.
        is_too_long: whether the last line has more than :data:`MAX_LINE` characters. Only its
            beginning is kept.
    """

    def __init__(self, lines: Iterable[str | bytes], comments: bool) -> None:
        self._lines, self._comments = iter(lines), comments
        self.number, self.is_too_long = 0, False

    def __next__(self) -> str:
        line = next(self._lines)
        self.number += 1
        self.is_too_long = len(line) > MAX_LINE
        line = line[:100] if self.is_too_long else line
        # Bytes that are not UTF-8 become lone surrogates, which no text has.
        text = line.decode(errors="surrogateescape") if isinstance(line, bytes) else line
        return text.removeprefix("\ufeff") if self.number == 1 else text

    def next_filled(self) -> str | None:
        """The next line that is neither empty nor a comment; None at the end."""
        line = self.next_without_comment()
        while line is not None and not line.strip():
            line = self.next_without_comment()
        return line

    def next_without_comment(self) -> str | None:
        """The next line that is no comment; None at the end."""
        for line in self:
            if not (self._comments and _COMMENT.match(line)):
                return line
        return None


def without_comments(text: str) -> str:
    """The text with empty lines in place of those that begin with ``#``."""
    return _COMMENT.sub("", text) if "#" in text else text


def _csv_header(line: str) -> list[str] | None:
    """The column names, or None if the line is not a CSV header with a puzzle column."""
    with contextlib.suppress(csv.Error):
        columns = [name.strip().lower() for name in next(csv.reader([line], strict=True))]
        if not set(QUESTION_COLUMNS).isdisjoint(columns):
            return columns
    return None


def _json_record(line: str) -> dict[str, Any] | None:
    """The JSON object, or None if the line is not an object with a text ``puzzle``."""
    try:
        record = parse_json(line)
    except ValueError:
        return None
    if not isinstance(record, dict) or not isinstance(record.get("puzzle"), str):
        return None
    return record


def _is_text(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)
