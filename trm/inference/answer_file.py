"""A file of answers that grows batch by batch and can be resumed after an interruption.

The file is ``.csv`` or ``.jsonl``, with one answer per line. ``NAME.about.json`` in the same folder
says which weights gave the answers, so that one file never mixes the answers of two models.
"""

import csv
import itertools
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

from trm.checkpoints.tensors import weights_digest
from trm.config import Frozen
from trm.errors import InputError
from trm.inference.answer_formats import (
    ANSWER_FORMATS,
    InvalidPuzzle,
    SourceRow,
    StoredAnswer,
)
from trm.inference.file_lock import lock_file
from trm.inference.model import Model
from trm.inference.options import SolveOptions
from trm.inference.solution import Solution
from trm.reading import FileReader
from trm.storage import check_writable, storage_errors, write_text

_WAY_OUT = "Name another --out, or replace it with --overwrite."
_READER = FileReader(InputError, _WAY_OUT)


class _About(Frozen):
    """What ``NAME.about.json`` holds.

    Attributes:
        weights: a digest of the weights.
        thinking: the inference options, which older files lack.
    """

    task: str
    checkpoint: str
    weights: str
    thinking: SolveOptions = SolveOptions()


@dataclass(frozen=True)
class AnswerCounts:
    """Counts of answers.

    Attributes:
        num_solved: all answers.
        num_invalid: puzzles that are invalid, and have no answer.
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
    num_invalid: int = 0

    @property
    def num_rows(self) -> int:
        """The puzzles in the file."""
        return self.num_solved + self.num_invalid

    def add(self, valid: bool | None, correct: bool | None) -> "AnswerCounts":
        """The counts with one more answer."""
        return AnswerCounts(
            self.num_solved + 1,
            self.num_judged + (valid is not None),
            self.num_valid + (valid is True),
            self.num_labelled + (correct is not None),
            self.num_correct + (correct is True),
            self.num_invalid,
        )

    def add_invalid(self) -> "AnswerCounts":
        """The counts with one more invalid puzzle."""
        return replace(self, num_invalid=self.num_invalid + 1)


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
        # Guesses end at a valid board, so their files have the columns of until_valid, too.
        update = {"until_valid": True} if options.guesses else {}
        self._model, self._options = model, options.resolved.model_copy(update=update)
        self._format = ANSWER_FORMATS[path.suffix](has_labels, self._options.until_valid)
        self._about_file = path.with_name(f"{path.name}.about.json")
        #: Where the next answer begins. Anything after it is cut off before writing.
        self._end = 0

    def __enter__(self) -> "AnswerFile":
        check_writable(self.path)  # refuses pipes and devices, which have no end
        with storage_errors(self.path):
            self._file = FileIO(self.path, "ab+")  # does not truncate an existing file
        try:
            lock_file(self._file, self.path, "Wait for it, or name another --out.")
        except InputError:
            self._file.close()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        if not os.fstat(self._file.fileno()).st_size:
            self.path.unlink(missing_ok=True)
        self._file.close()

    def resume(self, puzzles: Iterator[SourceRow], batch_size: int) -> Iterator[SourceRow]:
        """Keep the answers in the file that match the puzzles.

        Batches have the same boundaries as in an uninterrupted run, because the last bits of a
        probability may depend on the batch.

        Returns:
            The puzzles that are still to solve.

        Raises:
            InputError: if the answers are to other puzzles, of another model, or were made with
                other inference options.
        """
        about = self._read_about()
        if about is not None:
            self._check_options(about)
        counts, batch = AnswerCounts(), list[SourceRow]()
        for answer, end in self._read_answers():
            source = next(puzzles, None)
            if source is None:
                raise self._mismatch("has more answers than there are puzzles")
            key, is_invalid = self._format.key(self._model.task, source), answer.is_invalid
            if (answer.key, is_invalid) != (key, isinstance(source, InvalidPuzzle)):
                raise self._mismatch(f"has an answer to another puzzle than {source.location}")
            counts = (
                counts.add_invalid() if is_invalid else counts.add(answer.valid, answer.correct)
            )
            batch.append(source)
            if len(batch) == batch_size:
                self.counts, self._end, batch = counts, end, []
        if self.path.stat().st_size:
            self._check_weights(about, counts)
        following = next(puzzles, None)
        if following is None and batch:  # the last batch is smaller
            self.counts, self._end = counts, end
            batch = []
        return itertools.chain(batch, [following] if following else [], puzzles)

    def append(self, solutions: Iterable[Solution], puzzles: Iterable[SourceRow]) -> None:
        """Write a batch.

        Args:
            solutions: of the valid puzzles, in their order.
            puzzles: the batch.

        Raises:
            StorageError: if the disk is full, or the file cannot be written.
        """
        lines, solutions = [], iter(solutions)
        for source in puzzles:
            if isinstance(source, InvalidPuzzle):
                self.counts = self.counts.add_invalid()
                lines.append(self._format.format_invalid(source))
                continue
            solution = next(solutions)
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
        options = self._options.model_dump(exclude_defaults=True)
        return {
            "task": self._model.task.name,
            "checkpoint": self._model.name,
            "weights": weights_digest(self._model.network),
            **({"thinking": options} if options else {}),
        }

    def _read_about(self) -> _About | None:
        """What is known about the answers in the file: nothing if the other file is missing."""
        if not self.path.stat().st_size or not self._about_file.exists():
            return None
        return _READER.model(self._about_file, _About)

    def _check_options(self, about: _About) -> None:
        """Check that the answers were made with the same options; others may change the columns."""
        if about.thinking != self._options:
            stored, flags = about.thinking.flags, self._options.flags
            parts = [f"was written with {stored}"] * bool(stored)
            parts += [f"was not written with {flags}"] * bool(flags)
            raise self._mismatch(", ".join(parts))

    def _check_weights(self, about: _About | None, counts: AnswerCounts) -> None:
        """Check that the same weights gave the answers, if that is known."""
        if about is None:
            if not counts.num_rows:  # not even half a line of ours comes without that file
                raise self._mismatch("has no answers in it")
        elif about.weights != weights_digest(self._model.network):
            raise self._mismatch(
                f"has the answers of {about.checkpoint}, not of {self._model.name}"
            )

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
