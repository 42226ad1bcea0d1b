"""Solve a file of any number of puzzles, batch by batch."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from trm.errors import InputError
from trm.inference.answer_file import AnswerFile, SourcePuzzle, check_answer_path
from trm.inference.model import BATCH_SIZE, Model
from trm.inference.options import SolveOptions
from trm.inference.puzzle_file import PuzzleReader
from trm.inference.solution import Solution
from trm.tasks.base import single_puzzle

#: On a CPU, larger batches are hardly faster, and answers would be written less often.
CPU_BATCH_SIZE = 16


@dataclass(frozen=True)
class SolveFileResult:
    """Counts of the answers in the file.

    Attributes:
        num_solved: all answers.
        num_valid: answers that follow the puzzle's rules. None if the task cannot tell.
        num_correct: answers that are the known solution. None if no solution is known.
        num_labelled: puzzles whose solution is known.
        resumed_from: answers that the file had already.
    """

    num_solved: int
    num_valid: int | None
    num_correct: int | None
    num_labelled: int
    resumed_from: int


def solve_file(
    model: Model,
    *,
    source: str | Path | Iterable[str],
    out: str | Path,
    batch_size: int | None = None,
    overwrite: bool = False,
    on_progress: Callable[[int, float | None], None] | None = None,
    **options: Any,
) -> SolveFileResult:
    """Solve the puzzles of a file in order. Memory use does not grow with their number.

    An existing file of answers is resumed. The finished file has the same bytes as one that was
    written without interruption.

    Args:
        model: the model that answers.
        source: a file, or an iterable of lines such as an open file. CSV with a column
            ``question`` or ``puzzle``, JSON lines with the key ``puzzle``, or one puzzle per line;
            see :class:`trm.inference.puzzle_file.PuzzleReader`.
        out: the ``.csv`` or ``.jsonl`` file to write. It grows after each batch.
        batch_size: puzzles in a batch. Default: 64 on a GPU, 16 on a CPU.
        overwrite: start again instead of resuming.
        on_progress: called before the first and after each batch, with the number of answers in
            the file and the share of the source that was read (None if its size is unknown).
        options: as in :meth:`trm.Model.solve`.

    Raises:
        ConfigError: if an option is out of range, or options contradict each other.
        InputError: if a line is not a puzzle, or an existing file of answers does not match.
            Answers that were written are kept.
        StorageError: if the disk is full, or the file cannot be written.
    """
    source, out = Path(source) if isinstance(source, str) else source, Path(out)
    check_answer_path(out)
    if batch_size is None:
        batch_size = CPU_BATCH_SIZE if model.network.device.type == "cpu" else BATCH_SIZE
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}. Give 1 or more.")
    with _open_source(source, out) as text:
        reader = PuzzleReader(text, text.name)
        puzzles = _parse_puzzles(model, reader)
        with AnswerFile(out, model, reader.has_labels, SolveOptions.of(**options)) as answers:
            if not overwrite:
                puzzles = answers.resume(puzzles, batch_size)
            resumed_from = answers.counts.num_solved
            while True:
                if on_progress:
                    on_progress(answers.counts.num_solved, text.share)
                batch = list(islice(puzzles, batch_size))
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
    )


def _solve_batch(
    model: Model, batch: list[SourcePuzzle], options: dict[str, Any]
) -> list[Solution]:
    try:
        return model.solve_batch([source.puzzle for source in batch], **options)
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{reason} Lower --batch-size, which is {len(batch)}.") from error


def _parse_puzzles(model: Model, reader: PuzzleReader) -> Iterator[SourcePuzzle]:
    """Parse the puzzles one by one. An invalid one raises an error when it is reached."""
    hint = " Give a puzzle a line, or CSV with a column 'question' or 'puzzle'."
    for number, record in enumerate(reader):
        with _error_location(record.location, hint if reader.is_plain and not number else ""):
            puzzle = single_puzzle(model.parse(record.puzzle))
        with _error_location(record.location):
            model.identifier(puzzle)
        with _error_location(f"{record.location}, answer"):
            label = model.parse_answer(record.label) if record.label.strip() else None
        yield SourcePuzzle(record.location, puzzle, label)


@contextlib.contextmanager
def _error_location(location: str, hint: str = "") -> Iterator[None]:
    """Put the location before the message of an error in the block.

    A task's own message may begin with "line 1", because it sees one line at a time.
    """
    try:
        yield
    except InputError as error:
        text = str(error)
        rest = text.removeprefix("line 1") if text.startswith("line 1") else f": {text}"
        raise InputError(location + rest + hint) from error


class _SourceText:
    """The lines of the source, and how much of it was read.

    Args:
        lines: the lines, as text or as UTF-8 bytes.
        name: the name of the source in error messages.
        size: in bytes, 0 if unknown.
    """

    def __init__(self, lines: Iterable[str | bytes], name: str, size: int) -> None:
        self._lines, self.name, self._size, self._read = lines, name, size, 0

    @property
    def share(self) -> float | None:
        """The share that was read, None if the size is unknown."""
        return self._read / self._size if self._size else None

    def __iter__(self) -> Iterator[str]:
        number = 0
        try:
            for number, line in enumerate(self._lines, 1):
                self._read += len(line)
                text = line.decode() if isinstance(line, bytes) else line
                yield text.removeprefix("\ufeff") if number == 1 else text
        except UnicodeDecodeError as error:
            raise InputError(
                f"{self.name}, line {max(number, 1)}: not UTF-8 text. Give a text file."
            ) from error


@contextlib.contextmanager
def _open_source(source: Path | Iterable[str], out: Path) -> Iterator[_SourceText]:
    if not isinstance(source, Path):
        yield _SourceText(source, "the input", 0)
        return
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{out} is the file of puzzles. Name another --out.")
    try:
        file = source.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}. Name another file.") from error
    with file:
        yield _SourceText(file, str(source), os.fstat(file.fileno()).st_size)
