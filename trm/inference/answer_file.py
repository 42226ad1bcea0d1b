"""A file of answers that grows batch by batch and can be resumed after an interruption.

The file is ``.csv`` or ``.jsonl``, with one answer per line. ``NAME.about.json`` in the same folder
says which weights gave the answers, so that one file never mixes the answers of two models.
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
from trm.inference.answer_formats import ANSWER_FORMATS, StoredAnswer
from trm.inference.model import Model, weights_digest
from trm.inference.options import SolveOptions, flags_of
from trm.inference.solution import Solution
from trm.storage import storage_errors, write_text
from trm.tasks.base import Puzzle

_WAY_OUT = "Name another --out, or replace it with --overwrite."


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
class AnswerCounts:
    """Counts of answers.

    Attributes:
        num_solved: all answers.
        num_judged: answers of tasks that can tell whether an answer is valid.
        num_valid: valid answers.
        num_labelled: answers to puzzles whose solution is known.
        num_correct: answers that are the known solution.
    """

    num_solved: int = 0
    num_judged: int = 0
    num_valid: int = 0
    num_labelled: int = 0
    num_correct: int = 0

    def add(self, valid: bool | None, correct: bool | None) -> "AnswerCounts":
        """The counts with one more answer."""
        return AnswerCounts(
            self.num_solved + 1,
            self.num_judged + (valid is not None),
            self.num_valid + (valid is True),
            self.num_labelled + (correct is not None),
            self.num_correct + (correct is True),
        )


def check_answer_path(path: Path) -> None:
    """Check the file extension before anything is loaded.

    Raises:
        InputError: if it is neither ``.csv`` nor ``.jsonl``.
    """
    if path.suffix not in ANSWER_FORMATS:
        raise InputError(
            f"{path}: unknown file extension. Name a file that ends in "
            f"{' or '.join(ANSWER_FORMATS)}."
        )


class AnswerFile:
    """Answers on disk. A context manager that locks the file against other processes.

    Args:
        path: the file. It is made if missing.
        model: the model that answers.
        has_labels: whether solutions are known.
        options: the inference options.

    Attributes:
        counts: counts of the answers in the file.
    """

    def __init__(self, path: Path, model: Model, has_labels: bool, options: SolveOptions) -> None:
        check_answer_path(path)
        self.path, self.counts = path, AnswerCounts()
        self._format = ANSWER_FORMATS[path.suffix](has_labels, options.until_valid)
        self._model = model
        self._options = options.resolved.model_dump(exclude_defaults=True)
        self._about_file = path.with_name(f"{path.name}.about.json")
        #: Where the next answer begins. Anything after it is cut off before writing.
        self._end = 0

    def __enter__(self) -> "AnswerFile":
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = FileIO(self.path, "ab+")  # does not truncate an existing file
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise InputError(
                f"{self.path} is being written by another process. Wait for it, or name another "
                "--out."
            ) from None
        except OSError:
            pass  # the file system has no locks: write without one
        return self

    def __exit__(self, *error: object) -> None:
        if not os.fstat(self._file.fileno()).st_size:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def resume(self, puzzles: Iterator[SourcePuzzle], batch_size: int) -> Iterator[SourcePuzzle]:
        """Keep the answers in the file that match the puzzles.

        Batches have the same boundaries as in an uninterrupted run, because the last bits of a
        probability may depend on the batch.

        Returns:
            The puzzles that are still to solve.

        Raises:
            InputError: if the answers are to other puzzles, of another model, or were made with
                other inference options.
        """
        if self.path.stat().st_size:
            self._check_options()
        counts, batch = AnswerCounts(), list[SourcePuzzle]()
        for answer, end in self._read_answers():
            source = next(puzzles, None)
            if source is None:
                raise self._mismatch("has more answers than there are puzzles")
            if answer.puzzle_key != self._format.puzzle_key(self._model.task, source.puzzle):
                raise self._mismatch(f"has an answer to another puzzle than {source.location}")
            counts = counts.add(answer.valid, answer.correct)
            batch.append(source)
            if len(batch) == batch_size:
                self.counts, self._end, batch = counts, end, []
        if self.path.stat().st_size:
            self._check_weights(counts)
        following = next(puzzles, None)
        if following is None and batch:  # the last batch is smaller
            self.counts, self._end = counts, end
            batch = []
        return itertools.chain(batch, [following] if following else [], puzzles)

    def append(self, solutions: Iterable[Solution], puzzles: Iterable[SourcePuzzle]) -> None:
        """Write the answers to a batch.

        Raises:
            StorageError: if the disk is full, or the file cannot be written.
        """
        lines = []
        for solution, source in zip(solutions, puzzles, strict=True):
            correct = None if source.label is None else source.label == solution.answer
            self.counts = self.counts.add(solution.valid, correct)
            lines.append(self._format.format(solution, correct))
        self._truncate()
        if not self._end:
            write_text(self._about_file, json.dumps(self._about(), indent=2) + "\n")
            lines.insert(0, self._format.header)
        data = "".join(lines).encode()
        self._end += len(data)
        with storage_errors(self.path):
            while data:
                data = data[self._file.write(data) :]

    def finish(self) -> None:
        """Sync the file to disk, without anything after the last answer."""
        self._truncate()
        with storage_errors(self.path):
            os.fsync(self._file.fileno())

    def _truncate(self) -> None:
        """Remove what follows the last complete batch, such as half a line."""
        with storage_errors(self.path):
            self._file.truncate(self._end)

    def _read_answers(self) -> Iterator[tuple[StoredAnswer, int]]:
        """The complete answers in the file, and the byte offset where each ends."""
        with self.path.open("rb") as file:
            lines = _CompleteLines(file)
            try:
                header = next(lines, "") if self._format.header else ""
                if header not in ("", self._format.header):
                    raise self._mismatch(f"does not begin with {self._format.header.strip()!r}")
                for answer in self._format.read(lines):
                    yield answer, lines.end
            except (ValueError, csv.Error) as error:
                if lines.at_end and isinstance(error, csv.Error):
                    return  # the last answer spans several lines and is incomplete
                raise self._mismatch(f"has an invalid answer in line {lines.count}") from error

    def _about(self) -> dict[str, Any]:
        return {
            "task": self._model.task.name,
            "checkpoint": self._model.name,
            "weights": weights_digest(self._model),
            **({"thinking": self._options} if self._options else {}),  # older files lack it
        }

    def _check_options(self) -> None:
        """Check that the answers were made with the same options; others may change the columns."""
        try:
            stored = json.loads(self._about_file.read_text(encoding="utf-8")).get("thinking", {})
            stored_flags = flags_of(stored)
        except (OSError, ValueError, AttributeError):
            return  # _check_weights reports a missing or damaged file
        if stored != self._options:
            flags = flags_of(self._options)
            parts = [f"was written with {stored_flags}"] * bool(stored_flags)
            parts += [f"was not written with {flags}"] * bool(flags)
            raise self._mismatch(", ".join(parts))

    def _check_weights(self, counts: AnswerCounts) -> None:
        """Check that the same weights gave the answers, if that is known."""
        if not self._about_file.is_file():
            if not counts.num_solved:  # not even half a line of ours comes without that file
                raise self._mismatch("has no answers in it")
            return
        try:
            stored = json.loads(self._about_file.read_text(encoding="utf-8"))
            same = stored["weights"] == self._about()["weights"]
            checkpoint = stored["checkpoint"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"{self._about_file} is damaged. {_WAY_OUT}") from error
        if not same:
            raise self._mismatch(f"has the answers of {checkpoint}, not of {self._model.name}")

    def _mismatch(self, problem: str) -> InputError:
        return InputError(f"{self.path} {problem}. {_WAY_OUT}")


class _CompleteLines(Iterator[str]):
    """The lines of a file, without an incomplete last line.

    Attributes:
        end: the byte offset where the last line read ends.
        count: the number of lines read.
        at_end: whether all lines were read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.end, self.count, self.at_end = file, 0, 0, False

    def __next__(self) -> str:
        line = self._file.readline()
        if not line.endswith(b"\n"):
            self.at_end = True
            raise StopIteration
        self.end += len(line)
        self.count += 1
        return line.decode()
