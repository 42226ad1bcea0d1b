"""Solve a file of any number of puzzles, batch by batch."""

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import torch

from trm.errors import InputError
from trm.inference.answer_file import AnswerFile, check_answer_path
from trm.inference.answer_formats import InvalidPuzzle, SourcePuzzle, SourceRow
from trm.inference.model import BATCH_SIZE, Model
from trm.inference.options import SolveOptions
from trm.inference.puzzle_file import MAX_LINE, PuzzleReader, PuzzleRecord
from trm.inference.solution import Solution
from trm.reading import FileReader, bounded_lines
from trm.tasks.base import Puzzle, single_puzzle

#: On a CPU, larger batches are hardly faster, and answers would be written less often.
CPU_BATCH_SIZE = 16
#: The most invalid lines that an error names.
_NUM_NAMED = 10
_SKIP = "Or mark such lines, and solve the others, with --skip-invalid."
_READER = FileReader(InputError, "Name another file, or pipe its text into: trm solve -")


@dataclass(frozen=True)
class SolveFileResult:
    """Counts of the answers in the file.

    Attributes:
        num_solved: all answers.
        num_valid: answers that follow the puzzle's rules. None if the task cannot tell.
        num_correct: answers that are the known solution. None if no solution is known.
        num_labelled: puzzles whose solution is known.
        resumed_from: puzzles that the file had already.
        num_invalid: invalid puzzles, which have no answer.
    """

    num_solved: int
    num_valid: int | None
    num_correct: int | None
    num_labelled: int
    resumed_from: int
    num_invalid: int = 0


def solve_file(
    model: Model,
    *,
    source: str | Path | Iterable[str | bytes],
    out: str | Path,
    batch_size: int | None = None,
    overwrite: bool = False,
    skip_invalid: bool = False,
    on_progress: Callable[[int, float | None], None] | None = None,
    **options: Any,
) -> SolveFileResult:
    """Solve the puzzles of a file in order. Memory use does not grow with their number.

    An existing file of answers is resumed. The finished file has the same bytes as one that was
    written without interruption.

    Args:
        model: the model that answers.
        source: a file, or an iterable of lines such as an open file. CSV with a column
            ``question`` or ``puzzle``, JSON lines with the key ``puzzle``, lines
            ``puzzle:count:solution``, or puzzles in the task's own notation; see
            :class:`trm.inference.puzzle_file.PuzzleReader`. The lines of a file are checked before
            the first puzzle is solved.
        out: the ``.csv`` or ``.jsonl`` file to write. It grows after each batch.
        batch_size: puzzles in a batch. Default: 64 on a GPU, 16 on a CPU.
        overwrite: start again instead of resuming.
        skip_invalid: mark a line that is not a puzzle, and solve the others.
        on_progress: called before the first and after each batch, with the number of puzzles in
            the file of answers, and the share of the source that was read (None if unknown).
        options: as in :meth:`trm.Model.solve`.

    Raises:
        ConfigError: if an option is out of range, or options contradict each other.
        InputError: if lines are not puzzles, without ``skip_invalid``; the message names them. Or
            if an existing file of answers does not match. Answers that were written are kept.
        StorageError: if the disk is full, or the file cannot be written.
    """
    source, out = Path(source) if isinstance(source, str) else source, Path(out)
    check_answer_path(out)
    if batch_size is None:
        batch_size = CPU_BATCH_SIZE if model.network.device.type == "cpu" else BATCH_SIZE
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}. Give 1 or more.")
    checked = SolveOptions.of(**options)
    if isinstance(source, Path) and not skip_invalid:
        with _open_source(source, out) as text:
            _check_all(model, text)
    with _open_source(source, out) as text:
        reader = text.reader(model)
        rows = _read_rows(model, reader, text.name)
        rows = rows if skip_invalid else _valid_only(rows)
        with AnswerFile(out, model, reader.has_labels, checked) as answers:
            if not overwrite:
                rows = answers.resume(rows, batch_size)
            resumed_from = answers.counts.num_rows
            while True:
                if on_progress:
                    on_progress(answers.counts.num_rows, text.share)
                batch = list(islice(rows, batch_size))
                if not batch:
                    break
                answers.append(_solve_batch(model, batch, options), batch)
            answers.finish()
    counts = answers.counts
    return SolveFileResult(
        num_solved=counts.num_solved,
        num_valid=counts.num_valid if counts.num_judged else None,
        num_correct=counts.num_correct if counts.num_labelled else None,
        num_labelled=counts.num_labelled,
        resumed_from=resumed_from,
        num_invalid=counts.num_invalid,
    )


def read_puzzles(model: Model, text: str, name: str = "the input", stem: str = "") -> list[Puzzle]:
    """The puzzles of a text in any format that :func:`solve_file` reads.

    Args:
        model: whose task parses them.
        text: the text.
        name: what it is called in error messages.
        stem: the name of its file without the extension; see :meth:`Model.parse`.

    Raises:
        InputError: if a puzzle cannot be read; the message has its line.
    """
    reader = _reader(model, text.splitlines(keepends=True), name) if text.strip() else None
    if reader is None or reader.is_plain:
        return model.parse(text, stem)
    puzzles = []
    for row in _read_rows(model, reader, name):
        if isinstance(row, InvalidPuzzle):
            raise InputError(f"{row.location}: {row.problem}")
        puzzles.append(row.puzzle)
    return puzzles


def has_puzzle(model: Model, text: str) -> bool:
    """Whether at least one line of a text is a puzzle for this model."""
    with contextlib.suppress(InputError):  # empty, or comments alone
        rows = _read_rows(model, _reader(model, text.splitlines(keepends=True), ""), "")
        return any(isinstance(row, SourcePuzzle) for row in rows)
    return False


def _reader(model: Model, lines: Iterable[str | bytes], name: str) -> PuzzleReader:
    return PuzzleReader(lines, name, divide=model.divide, comments=model.has_comments)


def _solve_batch(model: Model, batch: list[SourceRow], options: dict[str, Any]) -> list[Solution]:
    """Solve the valid puzzles of a batch."""
    puzzles = [row.puzzle for row in batch if isinstance(row, SourcePuzzle)]
    try:
        return model.solve_batch(puzzles, **options) if puzzles else []
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{reason} Lower --batch-size, which is {len(batch)}.") from error


def _read_rows(model: Model, reader: PuzzleReader, name: str) -> Iterator[SourceRow]:
    """Parse the puzzles one by one."""
    hint = " Give a puzzle a line, or CSV with a column 'question' or 'puzzle'."
    for number, record in enumerate(reader):
        location = f"{name}, line {record.line}"
        try:
            if record.problem:
                raise InputError(record.problem)
            yield _parse(model, record, location)
        except InputError as error:
            # A task's own message may begin with "line 1", because it sees one line at a time.
            problem = re.sub(r"^line 1\b[:,]? ", "", str(error))
            problem += hint if reader.is_plain and not number else ""
            yield InvalidPuzzle(location, record.line, record.puzzle, problem)


def _parse(model: Model, record: PuzzleRecord, location: str) -> SourcePuzzle:
    puzzle = single_puzzle(model.parse(record.puzzle))
    model.identifier(puzzle)
    try:
        label = model.parse_answer(record.label) if record.label.strip() else None
    except InputError as error:
        raise InputError(f"answer: {error}") from error
    return SourcePuzzle(location, puzzle, label)


def _check_all(model: Model, source: "_Source") -> None:
    """Name all invalid lines of a file, before any is solved."""
    first: list[InvalidPuzzle] = []
    count = 0
    for row in _read_rows(model, source.reader(model), source.name):
        if isinstance(row, InvalidPuzzle):
            count += 1
            first += [row] if count <= _NUM_NAMED else []
    if count == 1:
        raise _error(first[0])
    if count:
        numbers = ", ".join(str(row.line) for row in first)
        more = f" and {count - len(first):,} more" if count > len(first) else ""
        raise InputError(
            f"{source.name} has {count:,} invalid lines: {numbers}{more}. Line {first[0].line}: "
            f"{first[0].problem} {_SKIP}"
        )


def _valid_only(rows: Iterator[SourceRow]) -> Iterator[SourceRow]:
    """The rows up to the first invalid one, which raises an error when it is reached."""
    for row in rows:
        if isinstance(row, InvalidPuzzle):
            raise _error(row)
        yield row


def _error(row: InvalidPuzzle) -> InputError:
    return InputError(f"{row.location}: {row.problem} {_SKIP}")


@dataclass(frozen=True)
class _Source:
    """The lines of the source.

    Attributes:
        lines: as text or as UTF-8 bytes.
        name: the name of the source in error messages.
        file: the file that they are read from, if it is one.
    """

    lines: Iterable[str | bytes]
    name: str
    file: BinaryIO | None = None

    @property
    def share(self) -> float | None:
        """The share that was read, None if the size is unknown."""
        if self.file is None:
            return None
        size = os.fstat(self.file.fileno()).st_size
        return self.file.tell() / size if size else None

    def reader(self, model: Model) -> PuzzleReader:
        """The puzzles in the lines."""
        return _reader(model, self.lines, self.name)


@contextlib.contextmanager
def _open_source(source: Path | Iterable[str | bytes], out: Path) -> Iterator[_Source]:
    if not isinstance(source, Path):
        yield _Source(source, "the input")
        return
    with _READER.open(source) as file:
        if out.exists() and out.samefile(source):
            raise InputError(f"{out} is the file of puzzles. Name another --out.")
        yield _Source(bounded_lines(file, MAX_LINE), str(source), file)
