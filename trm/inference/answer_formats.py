"""The formats of a file of answers: CSV or JSON lines."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from trm.inference.solution import Solution
from trm.tasks.base import Puzzle, Task


@dataclass(frozen=True)
class StoredAnswer:
    """What is read back from an answer in a file.

    Attributes:
        puzzle_key: identifies the puzzle, as the format's ``puzzle_key`` gives it.
        valid: whether the answer follows the rules, None if the task cannot tell.
        correct: whether the answer is the known solution, None if that is unknown.
    """

    puzzle_key: str
    valid: bool | None
    correct: bool | None


class CsvFormat:
    """Answers as a CSV table.

    Args:
        has_labels: add the column ``correct``.
        until_valid: add the columns of the option ``until_valid``.
    """

    _COLUMNS = ("puzzle", "answer", "valid", "halt_step", "halt_probability")
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

    def puzzle_key(self, task: Task, puzzle: Puzzle) -> str:
        """The text that identifies a puzzle in the file."""
        return task.format_puzzle(puzzle)

    def format(self, solution: Solution, correct: bool | None) -> str:
        """The line of an answer."""
        values = {
            "puzzle": self.puzzle_key(solution.task, solution.puzzle),
            "answer": solution.answer,
            "valid": self._TEXTS[solution.valid],
            "halt_step": solution.halt_step,
            "halt_probability": round(solution.steps[-1].halt_probability, 6),
            "correct": self._TEXTS[correct],
            "valid_step": solution.valid_step,
            "valid_rollouts": solution.steps[-1].num_valid,
        }
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(values[name] for name in self._columns)
        return text.getvalue()

    def read(self, lines: Iterator[str]) -> Iterator[StoredAnswer]:
        """Read the lines after the header. Raises ValueError or csv.Error for an invalid line."""
        for fields in csv.reader(lines, strict=True):
            values = dict(zip(self._columns, fields, strict=True))
            try:
                valid, correct = (self._PARSED[values.get(n, "")] for n in ("valid", "correct"))
            except KeyError as error:
                raise ValueError from error
            yield StoredAnswer(values["puzzle"], valid, correct)


class JsonLinesFormat:
    """Answers as JSON, one :meth:`trm.Solution.as_json` per line.

    Args:
        has_labels: add the key ``correct``.
    """

    header = ""

    def __init__(self, has_labels: bool, _until_valid: bool) -> None:
        self._has_labels = has_labels

    def puzzle_key(self, task: Task, puzzle: Puzzle) -> str:
        """The text that identifies a puzzle in the file."""
        return json.dumps([puzzle.name, task.format(puzzle.tokens)])

    def format(self, solution: Solution, correct: bool | None) -> str:
        """The line of an answer."""
        values = solution.as_json() | ({"correct": correct} if self._has_labels else {})
        return json.dumps(values) + "\n"

    def read(self, lines: Iterator[str]) -> Iterator[StoredAnswer]:
        """Read the lines. Raises ValueError for an invalid line."""
        for line in lines:
            try:
                values = json.loads(line)
                key = json.dumps([values.get("name", ""), values["puzzle"]])
                if ("correct" in values) != self._has_labels:
                    raise ValueError
                yield StoredAnswer(key, values["valid"], values.get("correct"))
            except (KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError from error


#: By file extension.
ANSWER_FORMATS: dict[str, type[CsvFormat] | type[JsonLinesFormat]] = {
    ".csv": CsvFormat,
    ".jsonl": JsonLinesFormat,
}
