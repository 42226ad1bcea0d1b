"""A file of answers that grows batch by batch, and is gone on with after an interruption.

``.csv`` or ``.jsonl``, an answer a line. Beside it ``NAME.about.json`` says which weights answered,
so that no file holds the answers of two models.
"""

import csv
import fcntl
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from trm.errors import InputError
from trm.inference.answer_formats import FORMATS, Line
from trm.inference.model import Model, weights_digest
from trm.inference.options import Solving, flags_of
from trm.inference.solution import USUAL, Solution
from trm.storage import storage_errors, write_text
from trm.tasks.base import Puzzle

_WAY_OUT = "Name another --out, or replace it with --overwrite."


@dataclass(frozen=True)
class Given:
    """A puzzle to solve.

    Attributes:
        where: it stands.
        label: the answer known to be right, as the task writes it; None where there is none.
    """

    where: str
    puzzle: Puzzle
    label: str | None = None


@dataclass(frozen=True)
class Tally:
    """Counts of answers.

    Attributes:
        judged: of how many a rule tells whether they are valid.
        labelled: to how many the right answer is known.
    """

    solved: int = 0
    judged: int = 0
    valid: int = 0
    labelled: int = 0
    correct: int = 0

    def plus(self, valid: bool | None, correct: bool | None) -> "Tally":
        """These, and one more."""
        return Tally(
            self.solved + 1,
            self.judged + (valid is not None),
            self.valid + (valid is True),
            self.labelled + (correct is not None),
            self.correct + (correct is True),
        )


def check_name(path: Path) -> None:
    """Find out before anything is loaded whether answers can be written under this name.

    Raises:
        InputError: if it has another ending than ``.csv`` and ``.jsonl``.
    """
    if path.suffix not in FORMATS:
        raise InputError(f"{path} ends in neither of {', '.join(FORMATS)}. Name such a file.")


class AnswerFile:
    """Answers on disk; use it as a context, which keeps other processes from writing there.

    Args:
        path: the file, made if missing.
        model: who answers.
        labelled: whether right answers are known.
        how: they come about.

    Attributes:
        tally: of the answers in it.
    """

    def __init__(self, path: Path, model: Model, labelled: bool, how: Solving = USUAL) -> None:
        check_name(path)
        self.path, self.tally = path, Tally()
        self._format = FORMATS[path.suffix](labelled, how.until_valid)
        self._model = model
        self._how = how.settled.model_dump(exclude_defaults=True)
        self._about = path.with_name(f"{path.name}.about.json")
        #: Where the next answer goes; what stands behind is cut off before it is written.
        self._end = 0

    def __enter__(self) -> "AnswerFile":
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self.path, "ab+")  # makes it, and empties none
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InputError(
                f"{self.path} is being written by another process. Wait for it, or name another "
                "--out."
            ) from None
        except OSError:
            pass  # a file system without locks: better unguarded there than not at all
        return self

    def __exit__(self, *error: object) -> None:
        if not os.fstat(self._file.fileno()).st_size:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def go_on(self, puzzles: Iterator[Given], batch_size: int) -> Iterator[Given]:
        """Compare the answers that are there with the puzzles; returns the puzzles still to solve.

        Batches begin where they would begin if all were solved at once: the last bits of a
        probability may depend on what is solved together.

        Raises:
            InputError: if the answers are to other puzzles, of another model, or came about in
                another way.
        """
        if self.path.stat().st_size:
            self._check_how()
        tally, waiting = Tally(), list[Given]()
        for line, end in self._answers():
            given = next(puzzles, None)
            if given is None:
                raise self._misfit("has more answers than there are puzzles")
            if line.puzzle != self._format.puzzle(self._model.task, given.puzzle):
                raise self._misfit(f"answers another puzzle than {given.where} in its place")
            tally = tally.plus(line.valid, line.correct)
            waiting.append(given)
            if len(waiting) == batch_size:
                self.tally, self._end, waiting = tally, end, []
        if self.path.stat().st_size:
            self._check_about(tally)
        following = next(puzzles, None)
        if following is None and waiting:  # the last batch, which is a smaller one
            self.tally, self._end = tally, end
            waiting = []
        return itertools.chain(waiting, [following] if following else [], puzzles)

    def append(self, solutions: Iterable[Solution], puzzles: Iterable[Given]) -> None:
        """Write the answers to a batch.

        Raises:
            StorageError: if the disk is full, or the place may not be written.
        """
        lines = []
        for solution, given in zip(solutions, puzzles, strict=True):
            correct = None if given.label is None else given.label == solution.answer
            self.tally = self.tally.plus(solution.valid, correct)
            lines.append(self._format.line(solution, correct))
        self._cut()
        if not self._end:
            write_text(self._about, json.dumps(self._whose(), indent=2) + "\n")
            lines.insert(0, self._format.header)
        self._write("".join(lines).encode())

    def finish(self) -> None:
        """See to it that the answers outlast a loss of power, and that nothing else is there."""
        self._cut()
        with storage_errors(self.path):
            os.fsync(self._file.fileno())

    def _cut(self) -> None:
        """Take away what stands behind the answers that were counted, such as half a line."""
        with storage_errors(self.path):
            self._file.truncate(self._end)

    def _write(self, data: bytes) -> None:
        self._end += len(data)
        with storage_errors(self.path):
            while data:
                data = data[self._file.write(data) :]

    def _answers(self) -> Iterator[tuple[Line, int]]:
        """The answers in the file, without a half-written one, and where each ends."""
        with self.path.open("rb") as file:
            lines = _WholeLines(file)
            try:
                header = next(lines, "") if self._format.header else ""
                if header not in ("", self._format.header):
                    raise self._misfit(f"does not begin with {self._format.header.strip()!r}")
                for line in self._format.read(lines):
                    yield line, lines.end
            except (ValueError, csv.Error) as error:
                if lines.is_over and isinstance(error, csv.Error):
                    return  # half an answer of several lines
                raise self._misfit(f"has no such answer in line {lines.count}") from error

    def _whose(self) -> dict[str, Any]:
        return {
            "task": self._model.task.name,
            "checkpoint": self._model.name,
            "weights": weights_digest(self._model),
            **({"thinking": self._how} if self._how else {}),  # files without it are older
        }

    def _check_how(self) -> None:
        """Refuse answers that came about in another way, whose columns may be others too."""
        try:
            theirs = json.loads(self._about.read_text(encoding="utf-8")).get("thinking", {})
            flags = flags_of(theirs)
        except (OSError, ValueError, AttributeError):
            return  # of a file that is not there or damaged is spoken later
        if theirs != self._how:
            own = flags_of(self._how)
            parts = [f"was written with {flags}"] * bool(flags)
            parts += [f"was not written with {own}"] * bool(own)
            raise self._misfit(", ".join(parts))

    def _check_about(self, tally: Tally) -> None:
        """Refuse to go on with what others wrote, as far as it is known who did."""
        if not self._about.is_file():
            if not tally.solved:  # then even half a line comes after that file
                raise self._misfit("has no answers in it")
            return
        try:
            theirs = json.loads(self._about.read_text(encoding="utf-8"))
            same = theirs["weights"] == self._whose()["weights"]
            whose = theirs["checkpoint"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._about} is damaged. {_WAY_OUT}") from error
        if not same:
            raise self._misfit(f"has the answers of {whose}, not of {self._model.name}")

    def _misfit(self, problem: str) -> InputError:
        return InputError(f"{self.path} {problem}. {_WAY_OUT}")


class _WholeLines(Iterator[str]):
    """The lines of a file up to the last one that is whole.

    Attributes:
        end: of the last one that was read, in bytes.
        count: how many were read.
        is_over: whether there is none left.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.end, self.count, self.is_over = file, 0, 0, False

    def __next__(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            self.is_over = True
            raise StopIteration
        self.end += len(line)
        self.count += 1
        return line.decode()
