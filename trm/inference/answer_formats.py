"""The formats of a file of answers: CSV or JSON lines."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from trm.inference.solution import Solution
from trm.reading import parse_json
from trm.tasks.base import Puzzle, Task


@dataclass(frozen=True)
class SourcePuzzle:
    """A puzzle to solve, and where it comes from.

    Attributes:
        location: the file and line, for error messages.
        puzzle: the puzzle.
        label: the known solution in the task's notation, None if unknown.
    """

    location: str
    puzzle: Puzzle
    label: str | None = None


@dataclass(frozen=True)
class InvalidPuzzle:
    """A line of the source that is no puzzle.

    Attributes:
        location: the file and line, for error messages.
        line: the number of the line, from 1.
        text: the text of the puzzle, or of the line.
        problem: what is wrong with it.
    """

    location: str
    line: int
    text: str
    problem: str


SourceRow = SourcePuzzle | InvalidPuzzle


@dataclass(frozen=True)
class StoredAnswer:
    """What is read back from a line of a file of answers.

    Attributes:
        key: identifies the puzzle, as the format's ``key`` gives it.
        is_invalid: whether the line is of an :class:`InvalidPuzzle`, so that it has no answer.
        valid: whether the answer follows the rules, None if the task cannot tell.
        correct: whether the answer is the known solution, None if that is unknown.
    """

    key: str
    is_invalid: bool
    valid: bool | None
    correct: bool | None


class CsvFormat:
    """Answers as a CSV table.

    Args:
        has_labels: add the column ``correct``.
        until_valid: add the columns of the option ``until_valid``.
    """

    _COLUMNS = ("puzzle", "answer", "valid", "halt_step", "halt_probability")
    #: In the column ``valid``, of a puzzle that is not solved.
    _INVALID = "invalid"
    _PARSED = {"true": True, "false": False, "": None}
    _TEXTS = {value: text for text, value in _PARSED.items()}

    def __init__(self, has_labels: bool, until_valid: bool) -> None:
        optional = {
            "correct": has_labels,
            "valid_step": until_valid,
            "valid_rollouts": until_valid,
        }
        self._columns = (*self._COLUMNS, *(name for name, used in optional.items() if used))
        self.header = ",".join(self._columns) + "\n"

    def key(self, task: Task, row: SourceRow) -> str:
        """The text that identifies a puzzle in the file."""
        return row.text if isinstance(row, InvalidPuzzle) else task.format_puzzle(row.puzzle)

    def format(self, solution: Solution, correct: bool | None) -> str:
        """The line of an answer."""
        values = {
            "puzzle": solution.task.format_puzzle(solution.puzzle),
            "answer": solution.answer,
            "valid": self._TEXTS[solution.valid],
            "halt_step": solution.halt_step,
            "halt_probability": round(solution.steps[-1].halt_probability, 6),
            "correct": self._TEXTS[correct],
            "valid_step": solution.valid_step,
            "valid_rollouts": solution.steps[-1].num_valid,
        }
        return self._row(values)

    def format_invalid(self, row: InvalidPuzzle) -> str:
        """The line of an invalid puzzle: it says so in the column ``valid``."""
        return self._row({"puzzle": row.text, "valid": self._INVALID})

    def _row(self, values: Mapping[str, object]) -> str:
        text = io.StringIO()
        # This end of a line makes the writer quote a carriage return in an invalid puzzle.
        csv.writer(text, lineterminator="\r\n").writerow(
            values.get(name, "") for name in self._columns
        )
        return text.getvalue().removesuffix("\r\n") + "\n"

    def read(self, lines: Iterator[str]) -> Iterator[StoredAnswer]:
        """Read the lines after the header. Raises ValueError or csv.Error for an invalid line."""
        for fields in csv.reader(lines, strict=True):
            values = dict(zip(self._columns, fields, strict=True))
            is_invalid = values["valid"] == self._INVALID
            try:
                valid = None if is_invalid else self._PARSED[values["valid"]]
                correct = self._PARSED[values.get("correct", "")]
            except KeyError as error:
                raise ValueError from error
            yield StoredAnswer(values["puzzle"], is_invalid, valid, correct)


class JsonLinesFormat:
    """Answers as JSON, one :meth:`trm.Solution.as_json` per line.

    Args:
        has_labels: add the key ``correct``.
    """

    header = ""

    def __init__(self, has_labels: bool, _until_valid: bool) -> None:
        self._has_labels = has_labels

    def key(self, task: Task, row: SourceRow) -> str:
        """The text that identifies a puzzle in the file."""
        if isinstance(row, InvalidPuzzle):
            return row.text
        return json.dumps([row.puzzle.name, task.format(row.puzzle.tokens)])

    def format(self, solution: Solution, correct: bool | None) -> str:
        """The line of an answer."""
        return self._row(solution.as_json(), correct)

    def format_invalid(self, row: InvalidPuzzle) -> str:
        """The line of an invalid puzzle: ``error`` says what is wrong with it."""
        values = {"puzzle": row.text, "answer": None, "valid": None, "error": row.problem}
        return self._row(values, None)

    def _row(self, values: Mapping[str, object], correct: bool | None) -> str:
        more = {"correct": correct} if self._has_labels else {}
        return json.dumps({**values, **more}) + "\n"

    def read(self, lines: Iterator[str]) -> Iterator[StoredAnswer]:
        """Read the lines. Raises ValueError for an invalid line."""
        for line in lines:
            values = parse_json(line)
            try:
                is_invalid, puzzle = "error" in values, values["puzzle"]
                key = puzzle if is_invalid else json.dumps([values.get("name", ""), puzzle])
                valid, correct = values["valid"], values.get("correct")
                known = {valid, correct} <= {True, False, None}
            except (KeyError, TypeError, AttributeError) as error:
                raise ValueError from error
            if not known or ("correct" in values) != self._has_labels:
                raise ValueError
            yield StoredAnswer(key, is_invalid, valid, correct)


#: By file extension.
ANSWER_FORMATS: dict[str, type[CsvFormat] | type[JsonLinesFormat]] = {
    ".csv": CsvFormat,
    ".jsonl": JsonLinesFormat,
}
