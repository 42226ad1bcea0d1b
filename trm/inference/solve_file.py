"""Solving any number of puzzles: read, solved and written batch by batch."""

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Unpack

import torch

from trm.errors import InputError
from trm.inference.answer_file import AnswerFile, Given, check_name
from trm.inference.model import BATCH_SIZE, Model
from trm.inference.options import How, Solving
from trm.inference.puzzle_file import Rows
from trm.inference.solution import Solution
from trm.tasks.base import single_puzzle

#: On a CPU larger batches are hardly quicker, and answers would come in larger heaps.
CPU_BATCH_SIZE = 16


@dataclass(frozen=True)
class SolveFileResult:
    """What came of solving many puzzles.

    Attributes:
        num_solved: answers in the file.
        num_valid: those that keep the puzzle's rules; None where only a label can tell.
        num_correct: those that are the known answer, of ``num_labelled``; None where none is known.
        resumed_from: answers that were there already.
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
    **how: Unpack[How],
) -> SolveFileResult:
    """Solve the puzzles of a text in their order; memory does not grow with their number.

    A file of answers that is there is gone on with, whenever it was interrupted. In the end it
    has the same bytes as if it had not been.

    Args:
        model: with the weights.
        source: a file, or lines from elsewhere, such as an open one: CSV with a column ``question``
            or ``puzzle``, JSON lines with the key ``puzzle``, or a puzzle a line; see
            :class:`trm.inference.puzzle_file.Rows`.
        out: a ``.csv`` or ``.jsonl`` file, written to after each batch.
        batch_size: puzzles at a time; 64 on a GPU and 16 on a CPU if left out.
        overwrite: begin anew, whatever is there.
        on_progress: called with the answers in the file and the share of the source that was read,
            None where its size is unknown; first before anything is solved.
        how: what :meth:`trm.Model.solve` takes: ``steps``, ``samples``, ``noise``, ``choose``,
            ``votes``, ``halt`` and ``until_valid``.

    Raises:
        ConfigError: for a ``how`` that is out of range, or does not go together.
        InputError: for a line that is no puzzle, naming it, or a file of answers that does not
            fit. Answers that were written stay.
        StorageError: if the disk is full, or the place may not be written.
    """
    source, out = Path(source) if isinstance(source, str) else source, Path(out)
    check_name(out)
    size = _batch_size(model, batch_size)
    with _opened(source, out) as text:
        rows = Rows(text, text.name)
        left = _given(model, rows)
        with AnswerFile(out, model, rows.labelled, Solving.of(**how)) as answers:
            if not overwrite:
                left = answers.go_on(left, size)
            resumed_from = answers.tally.solved
            while True:
                if on_progress:
                    on_progress(answers.tally.solved, text.share)
                batch = list(islice(left, size))
                if not batch:
                    break
                answers.append(_solved(model, batch, how), batch)
            answers.finish()
    found = answers.tally
    return SolveFileResult(
        num_solved=found.solved,
        num_valid=found.valid if found.judged else None,
        num_correct=found.correct if found.labelled else None,
        num_labelled=found.labelled,
        resumed_from=resumed_from,
    )


def _batch_size(model: Model, wanted: int | None) -> int:
    if wanted is None:
        return CPU_BATCH_SIZE if model.network.device.type == "cpu" else BATCH_SIZE
    if wanted < 1:
        raise InputError(f"batch_size is {wanted}. Give 1 or more.")
    return wanted


def _solved(model: Model, batch: list[Given], how: How) -> list[Solution]:
    try:
        return model.solve_batch([given.puzzle for given in batch], **how)
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{reason} Lower --batch-size, which is {len(batch)}.") from error


def _given(model: Model, rows: Rows) -> Iterator[Given]:
    """The puzzles of a text, each refused as it comes up."""
    hint = " Give a puzzle a line, or CSV with a column 'question' or 'puzzle'."
    for number, row in enumerate(rows):
        with _at(row.where, hint if rows.plain and not number else ""):
            puzzle = single_puzzle(model.parse(row.puzzle))
        with _at(row.where):
            model.identifier(puzzle)
        with _at(f"{row.where}, answer"):
            label = model.parse_answer(row.label) if row.label.strip() else None
        yield Given(row.where, puzzle, label)


@contextlib.contextmanager
def _at(where: str, hint: str = "") -> Iterator[None]:
    """Say of what is wrong inside the block where that is."""
    try:
        yield
    except InputError as error:
        raise InputError(_placed(where, error) + hint) from error


def _placed(where: str, error: InputError) -> str:
    """What is wrong with a line; tasks call it line 1 of its own text, or nothing."""
    text = str(error)
    return where + text.removeprefix("line 1") if text.startswith("line 1") else f"{where}: {text}"


class _Text:
    """The lines of a file, or of text from elsewhere.

    Args:
        lines: where they come from.
        name: what to call it in errors.
        size: in bytes, 0 where that is unknown.
    """

    def __init__(self, lines: Iterable[str | bytes], name: str, size: int) -> None:
        self._lines, self.name, self._size, self._read = lines, name, size, 0

    @property
    def share(self) -> float | None:
        """How much was read."""
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
                f"{self.name}, line {max(number, 1)}: no text in UTF-8. Name a file of text."
            ) from error


@contextlib.contextmanager
def _opened(source: Path | Iterable[str], out: Path) -> Iterator[_Text]:
    if not isinstance(source, Path):
        yield _Text(source, "the input", 0)
        return
    if out.exists() and source.exists() and out.samefile(source):
        raise InputError(f"{out} is the file of puzzles itself. Name another --out.")
    try:
        file = source.open("rb")
    except OSError as error:
        raise InputError(f"cannot read {source}: {error.strerror}. Name another file.") from error
    with file:
        yield _Text(file, str(source), os.fstat(file.fileno()).st_size)
