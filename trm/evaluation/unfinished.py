"""The answers of an evaluation that is under way, so that it can be resumed.

``F.partial`` lies beside the file of predictions F until that is written. Its first line says which
evaluation it is of. Then come the batches in their order: of each a checksum, the answers, the
halting logits, the halting steps and the steps taken. Batches that are cut short or damaged are
evaluated again.
"""

import os
import zlib
from collections.abc import Iterable, Iterator
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trm.data import Split
from trm.errors import InputError
from trm.evaluation.predictions import Predictions, PredictionsInfo, compact
from trm.inference.file_lock import lock_file
from trm.inference.options import InferenceOptions
from trm.reading import parse_json
from trm.storage import storage_errors
from trm.tasks.metrics import EvalBatch

_CRC_BYTES = 4
#: The first line is shorter.
_MAX_HEADER = 1_000_000
_WAY_OUT = "Name another file, or start again with --overwrite."


class EvaluationKey(InferenceOptions):
    """Which evaluation gave the answers. All of it, but the name, has to be the same to resume.

    Attributes:
        checkpoint: the name of the checkpoint.
        weights: a digest of its weights.
        digest: a digest of the data.
        max_examples: the examples to evaluate; None for all.
        batch_size: examples at a time. The last bits of an answer may depend on it.
        reset_puzzle_embedding: whether all puzzles have the mean puzzle embedding.
    """

    checkpoint: str
    weights: str
    digest: str
    split: str
    max_examples: int | None
    batch_size: int
    reset_puzzle_embedding: bool

    def difference(self, other: "EvaluationKey") -> str | None:
        """What another one differs in, None if it is the same evaluation."""
        for mine, others in zip(self._parts(), other._parts(), strict=True):
            if mine[0] != others[0]:
                return f"{others[1]}, not {mine[1]}"
        return None

    def _parts(self) -> list[tuple[object, str]]:
        """Values to compare, and how to name them."""
        mean = self.reset_puzzle_embedding
        puzzles = "the mean puzzle embedding" if mean else "their own puzzle embeddings"
        return [
            (self.weights, f"answers of {self.checkpoint}"),
            (self.digest, f"answers to data of digest {self.digest[:12]}"),
            (self.split, f"answers to the {self.split} split"),
            (self.max_examples, f"answers to {self.max_examples or 'all'} examples"),
            (self.batch_size, f"batches of {self.batch_size}"),
            (puzzles, f"answers with {puzzles}"),
            (self.options, f"answers with {self.flags or 'no inference flags'}"),
        ]


class UnfinishedEvaluation:
    """The batches of an evaluation, in memory and on disk.

    Args:
        predictions: the file of predictions that the evaluation will write.

    Attributes:
        path: the file of the batches. It stays if the evaluation is interrupted.
        batches: the batches, as :func:`trm.evaluation.predictions.compact` makes them.
    """

    def __init__(self, predictions: Path) -> None:
        self._predictions = predictions
        self.path = predictions.with_name(f"{predictions.name}.partial")
        self.batches: list[EvalBatch] = []
        self._file: FileIO | None = None

    def open(self, key: EvaluationKey, *, overwrite: bool) -> None:
        """Open the file, and lock it against other processes.

        Args:
            key: which evaluation this is.
            overwrite: forget the batches of an earlier one.

        Raises:
            InputError: if it has the batches of another evaluation.
            StorageError: if it cannot be written.
        """
        header = (key.model_dump_json() + "\n").encode()
        with storage_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = file = FileIO(self.path, "ab+")  # does not truncate an existing file
            try:
                lock_file(file, self.path, "Wait for it, or name another file.")
                self._end = 0 if overwrite else self._header_size(file, key, header)
                self._start = self._end or len(header)
                if not self._end:
                    self._write(header)
            except BaseException as error:
                file.close()
                self._file = None
                if isinstance(error, OSError):  # of writing the first line
                    self.remove()
                raise

    def close(self) -> None:
        """Close the file. It is removed if it has no batch."""
        if self._file is not None:
            if os.fstat(self._file.fileno()).st_size == self._start:
                self.remove()
            self._file.close()

    def read(
        self, split: Split, rows: Iterable[tuple[NDArray[np.int64], NDArray[np.int64]]]
    ) -> Iterator[EvalBatch]:
        """The batches that are in the file; they are kept in memory too.

        Args:
            split: the examples.
            rows: the examples and puzzles of each batch; see :func:`trm.data.eval_indices`.
        """
        assert self._file is not None
        self._file.seek(self._end)
        for examples, puzzles in rows:
            batch = split.make_batch(examples, puzzles)
            count, cells = batch.inputs.shape
            content = self._file.read(_CRC_BYTES + count * (cells + 12))
            body = content[_CRC_BYTES:]
            if len(body) < count * (cells + 12) or content[:_CRC_BYTES] != _checksum(body):
                return
            self._end += len(content)
            answers = np.frombuffer(body, np.uint8, count * cells).reshape(count, cells)
            logits, halt_steps, steps = (
                np.frombuffer(body, kind, count, count * (cells + start)).astype(kind[1:])
                for kind, start in (("<f4", 0), ("<i4", 4), ("<f4", 8))
            )
            known = EvalBatch(
                inputs=batch.inputs,
                labels=batch.labels,
                answers=answers.astype(np.int32),
                halt_logits=logits,
                halt_steps=halt_steps,
                steps=steps,
                puzzle_identifiers=batch.puzzle_identifiers,
                examples=batch.examples,
                puzzles=batch.puzzles,
            )
            self.batches.append(compact(known))
            yield known

    def append(self, batch: EvalBatch) -> None:
        """Add a batch.

        Raises:
            StorageError: if the disk is full, or the file cannot be written.
        """
        small = compact(batch)
        columns = (
            (small.answers, "u1"), (small.halt_logits, "<f4"), (small.halt_steps, "<i4"),
            (small.steps, "<f4"),
        )  # fmt: skip
        body = b"".join(array.astype(kind).tobytes() for array, kind in columns)
        with storage_errors(self.path):
            self._write(_checksum(body) + body)
        self.batches.append(small)

    def finish(self, info: PredictionsInfo, names: NDArray[np.bytes_] | None) -> None:
        """Write the predictions, and remove the file of the batches.

        Raises:
            StorageError: if they cannot be written; the file of the batches stays.
        """
        Predictions.of(info, self.batches).save(self._predictions, names)
        self.remove()

    def remove(self) -> None:
        """Remove the file of the batches."""
        with storage_errors(self.path):
            self.path.unlink(missing_ok=True)

    def _header_size(self, file: FileIO, key: EvaluationKey, header: bytes) -> int:
        """The size of the first line; 0 if there is none, or it was cut short.

        Raises:
            InputError: if it is not of this evaluation.
        """
        file.seek(0)
        line, newline, _ = file.read(_MAX_HEADER).partition(b"\n")
        if not newline and header.startswith(line):
            return 0
        try:
            stored = EvaluationKey.model_validate(parse_json(line))
        except ValueError as error:
            raise InputError(
                f"{self.path} is not of an interrupted trm eval. {_WAY_OUT}"
            ) from error
        if difference := key.difference(stored):
            raise InputError(f"{self.path} has {difference}. {_WAY_OUT}")
        return len(line) + 1

    def _write(self, content: bytes) -> None:
        """Write after the last whole batch."""
        assert self._file is not None
        self._file.truncate(self._end)
        self._end += len(content)
        while content:
            content = content[self._file.write(content) :]


def _checksum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_CRC_BYTES, "little")
