"""How answers to puzzles stand in a file: as a CSV table or as JSON lines."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

from trm.inference.solution import Solution
from trm.tasks.base import Puzzle, Task


@dataclass(frozen=True)
class Line:
    """What counts of an answer that is in the file: its puzzle, and what was found."""

    puzzle: str
    valid: bool | None
    correct: bool | None


class _Csv:
    """Answers as a table."""

    _FIELDS = ("puzzle", "answer", "valid", "halt_step", "halt_probability")
    _VALUES = {"true": True, "false": False, "": None}
    _NAMES = {value: name for name, value in _VALUES.items()}

    def __init__(self, labelled: bool, until_valid: bool) -> None:
        more = {"correct": labelled, "valid_step": until_valid, "valid_rollouts": until_valid}
        self._columns = (*self._FIELDS, *(name for name, wanted in more.items() if wanted))
        self.header = ",".join(self._columns) + "\n"

    def puzzle(self, task: Task, puzzle: Puzzle) -> str:
        return task.format_puzzle(puzzle)

    def line(self, solution: Solution, correct: bool | None) -> str:
        found = {
            "puzzle": self.puzzle(solution.task, solution.puzzle),
            "answer": solution.answer,
            "valid": self._NAMES[solution.valid],
            "halt_step": solution.halt_step,
            "halt_probability": round(solution.thoughts[-1].halt_probability, 6),
            "correct": self._NAMES[correct],
            "valid_step": solution.valid_step,
            "valid_rollouts": solution.thoughts[-1].num_valid,
        }
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(found[name] for name in self._columns)
        return text.getvalue()

    def read(self, lines: Iterator[str]) -> Iterator[Line]:
        """The answers in a file behind its header; ValueError for what is none."""
        for fields in csv.reader(lines, strict=True):
            found = dict(zip(self._columns, fields, strict=True))
            try:
                valid, correct = (self._VALUES[found.get(n, "")] for n in ("valid", "correct"))
            except KeyError as error:
                raise ValueError from error
            yield Line(found["puzzle"], valid, correct)


class _JsonLines:
    """Answers as :meth:`~trm.inference.model.Solution.as_json` gives them, one a line."""

    header = ""

    def __init__(self, labelled: bool, _until_valid: bool) -> None:
        self._labelled = labelled

    def puzzle(self, task: Task, puzzle: Puzzle) -> str:
        return json.dumps([puzzle.name, task.format(puzzle.tokens)])

    def line(self, solution: Solution, correct: bool | None) -> str:
        found = solution.as_json() | ({"correct": correct} if self._labelled else {})
        return json.dumps(found) + "\n"

    def read(self, lines: Iterator[str]) -> Iterator[Line]:
        """See :meth:`_Csv.read`."""
        for line in lines:
            try:
                found = json.loads(line)
                key = json.dumps([found.get("name", ""), found["puzzle"]])
                if ("correct" in found) != self._labelled:
                    raise ValueError
                yield Line(key, found["valid"], found.get("correct"))
            except (KeyError, TypeError, AttributeError, RecursionError) as error:
                raise ValueError from error


#: By the ending of a file's name.
FORMATS: dict[str, type[_Csv] | type[_JsonLines]] = {".csv": _Csv, ".jsonl": _JsonLines}
