"""The known answers of an evaluation, so that it can be resumed or extended.

``F.partial`` lies beside the file of predictions F while an evaluation runs, and stays there if it
is interrupted. Its first line says which evaluation it is of, as in F. Then come the batches: of
each a checksum, the number of answers, their rows (see :func:`trm.data.eval_rows`), the answers,
the halting logits, the halting steps and the steps taken. What follows a batch that is cut short or
damaged is evaluated again.

F holds the answers of one finished evaluation or of several. Answers are known by their row, so the
next evaluation may have other examples and another batch size; the last bits of an answer may
depend on the batch that it was computed in. All else has to be the same, see
:meth:`~trm.evaluation.predictions.PredictionsInfo.difference`.
"""

import os
import zlib
from collections.abc import Iterator
from dataclasses import fields
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import Split, eval_indices, rows_of
from trm.errors import InputError
from trm.evaluation.predictions import Predictions, PredictionsInfo, compact
from trm.inference.file_lock import lock_file
from trm.reading import parse_json
from trm.storage import storage_errors
from trm.tasks.metrics import EvalBatch

#: The first line is shorter.
_MAX_HEADER = 1_000_000
_WAY_OUT = "Name another file, or start again with --overwrite."
#: A checksum and the number of answers.
_HEAD_BYTES, _COUNT_BYTES = 8, 4
#: What is kept of each answer, and as what.
_KINDS = {"rows": "<i8", "answers": "u1", "halt_logits": "<f4", "halt_steps": "<i4", "steps": "<f4"}
_ROWS_AT_ONCE = 8192
#: For each name of `_KINDS`, an array with one row for each answer.
_Answers = dict[str, NDArray[Any]]


class UnfinishedEvaluation:
    """The answers that are known, in memory and on disk.

    Args:
        predictions: the file of predictions that the evaluation writes.
        info: which evaluation this is.
        split: its examples.

    Attributes:
        path: the file of the batches. It stays if the evaluation is interrupted.
    """

    def __init__(self, predictions: Path, info: PredictionsInfo, split: Split) -> None:
        self._predictions, self._info, self._split = predictions, info, split
        self.path = predictions.with_name(f"{predictions.name}.partial")
        self._known = [_no_answers(split)]
        self._file: FileIO | None = None
        self._has_new = False

    @property
    def rows(self) -> NDArray[np.int64]:
        """The rows (n,) whose answers are known, sorted."""
        return self._joined()["rows"]

    def open(self, *, overwrite: bool) -> None:
        """Open the files, lock them against other processes, and read what is known.

        Args:
            overwrite: forget the answers of earlier evaluations.

        Raises:
            InputError: if a file has answers of another evaluation.
            StorageError: if it cannot be written.
        """
        header = (self._info.model_dump_json() + "\n").encode()
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = file = FileIO(self.path, "ab+")  # does not truncate an existing file
            self._start = self._end = 0
            locked = False
            try:
                lock_file(file, self.path, "Wait for it, or name another file.")
                locked = True
                if not overwrite:
                    self._start = self._end = self._header_size(file, header)
                    self._read_finished()
                if self._end:
                    self._read_batches(file)
                else:
                    self._write(header)
                    self._start = self._end
            except BaseException as error:
                file.close()
                self._file = None
                # Of writing the first line; or F is of another evaluation, and this file is new.
                is_new = isinstance(error, OSError) or not self.path.stat().st_size
                if locked and not self._start and is_new:
                    self._remove()
                raise

    def close(self) -> None:
        """Close the file of the batches. It is removed if it has none."""
        if self._file is not None:
            if os.fstat(self._file.fileno()).st_size == self._start:
                self._remove()
            self._file.close()
            self._file = None

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[EvalBatch]:
        """The known answers of these rows (n,), in this order."""
        known = self._joined()
        places = np.searchsorted(known["rows"], rows)
        start = 0
        for examples, puzzles in eval_indices(self._split, batch_size, rows):
            own = places[start : start + len(examples)]
            start += len(examples)
            batch = self._split.make_batch(examples, puzzles)
            yield EvalBatch(
                inputs=batch.inputs,
                labels=batch.labels,
                answers=known["answers"][own].astype(np.int32),
                halt_logits=known["halt_logits"][own],
                halt_steps=known["halt_steps"][own],
                steps=known["steps"][own],
                puzzle_identifiers=batch.puzzle_identifiers,
                examples=examples,
                puzzles=puzzles,
            )

    def append(self, batch: EvalBatch) -> None:
        """Add a batch.

        Raises:
            StorageError: if the disk is full, or the file cannot be written.
        """
        rows = {"rows": rows_of(self._split, batch.examples, batch.puzzles)}
        answers = rows | {name: getattr(batch, name) for name in _KINDS if name != "rows"}
        answers = {name: array.astype(_KINDS[name]) for name, array in answers.items()}
        body = len(rows["rows"]).to_bytes(_COUNT_BYTES, "little")
        body += b"".join(array.tobytes() for array in answers.values())
        with storage_errors(self.path):
            self._write(_checksum(body) + body)
        self._add(answers)

    def finish(self) -> None:
        """Write the predictions, in the order of the rows, and remove the file of the batches.

        Raises:
            StorageError: if they cannot be written; the file of the batches stays.
        """
        if self._has_new or not self._predictions.exists():
            Predictions(self._info, self._all_answers()).save(self._predictions, self._split.names)
        self._remove()
        if self._file is not None:
            self._file.close()
            self._file = None

    def _all_answers(self) -> EvalBatch:
        """All known answers, with one byte a token."""
        rows = self.rows
        arrays: dict[str, NDArray[Any]] = {}
        start = 0
        for batch in self.batches(rows, _ROWS_AT_ONCE):
            small = compact(batch)
            for field in fields(EvalBatch):
                part: NDArray[Any] = getattr(small, field.name)
                if not start:
                    arrays[field.name] = np.empty((len(rows), *part.shape[1:]), part.dtype)
                arrays[field.name][start : start + len(part)] = part
            start += len(batch.answers)
        return EvalBatch(**arrays)

    def _joined(self) -> _Answers:
        """All known answers, sorted by their rows, each row once."""
        if len(self._known) > 1:
            joined = {name: np.concatenate([part[name] for part in self._known]) for name in _KINDS}
            self._known = []  # before the copies below are made
            rows, first = np.unique(joined["rows"], return_index=True)
            for name in _KINDS:
                joined[name] = joined[name][first] if name != "rows" else rows
            self._known = [joined]
        return self._known[0]

    def _add(self, answers: _Answers) -> None:
        self._known.append(answers)
        self._has_new = True

    def _read_finished(self) -> None:
        """Read the answers of an earlier evaluation that was finished."""
        if not self._predictions.exists():
            return
        saved = Predictions.load(self._predictions, _WAY_OUT)
        if difference := self._info.difference(saved.info):
            raise InputError(f"{self._predictions} has {difference}. {_WAY_OUT}")
        answers: Any = saved.answers
        try:
            if answers.answers.shape[1] != self._split.inputs.shape[1]:
                raise ValueError(f"its answers have {answers.answers.shape[1]} cells")
            rows = rows_of(self._split, answers.examples, answers.puzzles)
        except ValueError as error:
            raise InputError(f"{self._predictions} is damaged: {error}. {_WAY_OUT}") from error
        self._known.append(
            {"rows": rows} | {name: getattr(answers, name) for name in _KINDS if name != "rows"}
        )

    def _read_batches(self, file: FileIO) -> None:
        """Read the batches of an evaluation that was interrupted."""
        cells = self._split.inputs.shape[1]
        total = self._split.total_puzzle_examples
        shapes = {name: (cells,) if name == "answers" else () for name in _KINDS}
        each = sum(np.dtype(_KINDS[name]).itemsize * (cells if shapes[name] else 1)
                   for name in _KINDS)  # fmt: skip
        size = os.fstat(file.fileno()).st_size
        file.seek(self._end)
        while self._end + _HEAD_BYTES <= size:
            checksum, number = file.read(_COUNT_BYTES), file.read(_COUNT_BYTES)
            count = int.from_bytes(number, "little")
            if self._end + _HEAD_BYTES + count * each > size:
                return
            body = file.read(count * each)
            if checksum != _checksum(number + body):
                return
            answers, place = {}, 0
            for name, kind in _KINDS.items():
                array = np.frombuffer(body, kind, count * (cells if shapes[name] else 1), place)
                place += array.nbytes
                answers[name] = array.reshape(count, *shapes[name]).astype(kind.lstrip("<"))
            if count and not 0 <= answers["rows"].min() <= answers["rows"].max() < total:
                return
            self._end += _HEAD_BYTES + len(body)
            self._add(answers)

    def _remove(self) -> None:
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)

    def _header_size(self, file: FileIO, header: bytes) -> int:
        """The size of the first line; 0 if there is none, or it was cut short.

        Raises:
            InputError: if it is not of this evaluation.
        """
        file.seek(0)
        line, newline, _ = file.read(_MAX_HEADER).partition(b"\n")
        if not newline and header.startswith(line):
            return 0
        try:
            stored = PredictionsInfo.model_validate(parse_json(line))
        except ValueError as error:
            raise InputError(
                f"{self.path} is not of an interrupted trm eval of this version. {_WAY_OUT}"
            ) from error
        if difference := self._info.difference(stored):
            raise InputError(f"{self.path} has {difference}. {_WAY_OUT}")
        return len(line) + 1

    def _write(self, content: bytes) -> None:
        """Write after the last whole batch."""
        assert self._file is not None
        self._file.truncate(self._end)
        self._end += len(content)
        while content:
            content = content[self._file.write(content) :]


def _no_answers(split: Split) -> _Answers:
    cells = split.inputs.shape[1]
    shapes = {name: (0, cells) if name == "answers" else (0,) for name in _KINDS}
    return {name: np.zeros(shapes[name], kind) for name, kind in _KINDS.items()}


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_COUNT_BYTES, "little")
