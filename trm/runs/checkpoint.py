"""The JSON files, names and checksums of a checkpoint folder, which appears whole or not at all.

``model.safetensors`` and ``config.json`` are enough to use a model, with ``identifiers.npy`` if
puzzles have names. ``training_state/`` holds what training needs to resume exactly where it
stopped, see :mod:`trm.training.checkpoint_snapshot`. Nothing is pickled.
"""

import errno
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from trm.config import FORMAT_VERSION, Frozen, RunConfig
from trm.config.model import ModelConfig, PuzzleSpec
from trm.data import DatasetMeta, Position
from trm.errors import CheckpointError, StorageError
from trm.reading import FileReader
from trm.runs.layout import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    EVALUATION_FILE,
    NAMES_FILE,
    PROGRESS_FILE,
    STATE_FOLDER,
    WEIGHTS_FILE,
)
from trm.storage import write_text
from trm.tasks.registry import get_task

#: The name of each row of the puzzle embedding, as byte strings. (beartype takes np.bytes_ to mean
#: empty ones.)
PuzzleNames = NDArray[np.character]

#: More than the largest JSON file that trm writes.
_MAX_BYTES = 1 << 20

#: The files that are enough to use a model.
_USED_FILES = (WEIGHTS_FILE, CONFIG_FILE, NAMES_FILE)
#: A line of ``sha256sum``; an asterisk means that the file was read as binary.
_CHECKSUM = re.compile(r"(?P<sum>[0-9a-f]{64}) [ *](?P<name>.+)")

#: The end of the messages about damaged files.
ADVICE = "Use another checkpoint."
_files = FileReader(CheckpointError, ADVICE)
#: Reasons why a file cannot be read that do not go away.
_LASTING = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL)


class CheckpointConfig(Frozen):
    """``config.json`` of a checkpoint: how to build the model, and what it was trained on."""

    format_version: int = FORMAT_VERSION
    step: int
    run: RunConfig
    data: DatasetMeta

    @property
    def spec(self) -> PuzzleSpec:
        """The part of the data's description that the model is built from."""
        return puzzle_spec(self.data, self.run.model)


class Progress(Frozen):
    """``training_state/progress.json``: how far training had come.

    Attributes:
        headline: the metric whose best value is ``best``.
        since_best: number of evaluations after the best one.
        left_out: number of steps that were skipped because they were not finite.
        wall_s: seconds since the command began, and those of the commands before that it resumes.
        ended_minutes: the ``train.max_minutes`` that ended the run here, None if it did not.
        optimizer_steps: number of steps of the network's optimizer; None: all but ``left_out``.
    """

    step: int
    position: Position
    evaluated_step: int | None = None
    headline: str | None = None
    best: float | None = None
    best_step: int | None = None
    since_best: int = 0
    elapsed_s: float = 0.0
    left_out: int = 0
    wall_s: float = 0.0
    ended_minutes: float | None = None
    optimizer_steps: int | None = None

    def with_evaluation(self, evaluation: "Evaluation") -> "Progress":
        """The progress after an evaluation."""
        update = {
            "evaluated_step": evaluation.step,
            "headline": evaluation.headline,
            "best": evaluation.best,
            "best_step": evaluation.best_step,
            "since_best": evaluation.since_best,
            "ended_minutes": self.ended_minutes or evaluation.ended_minutes,
        }
        return self.model_copy(update=update)


class Evaluation(Frozen):
    """``evaluation.json``: the evaluation of a checkpoint, added after the checkpoint was written.

    Attributes:
        split: ``test``, or ``validation`` for training puzzles that were held out.
        headline: the metric that decides which checkpoint is best.
        metrics: None for one that had nothing to measure.
        intervals: the 95% intervals of the metrics that are shares.
        best: the highest headline of the run so far, at ``best_step``; None if there is none yet.
        since_best: number of evaluations after that one.
        ended_minutes: the ``train.max_minutes`` that were over after it, None if they were not.
    """

    step: int
    examples: int
    split: Literal["test", "validation"] = "test"
    headline: str
    metrics: Mapping[str, float | None]
    intervals: Mapping[str, tuple[float, float]] = {}
    best: float | None
    best_step: int | None
    since_best: int = 0
    ended_minutes: float | None = None


def puzzle_spec(meta: DatasetMeta, model: ModelConfig) -> PuzzleSpec:
    """The part of a dataset's description that a model of this configuration is built from."""
    sizes = (meta.vocab_size, meta.seq_len, meta.num_puzzle_identifiers)
    if not model.needs_board:
        return PuzzleSpec(*sizes)
    task = get_task(meta.task)
    return PuzzleSpec(*sizes, task.cell_axes(meta), task.interchangeable(meta))


def read_progress(path: Path) -> Progress:
    """How far training had come at a checkpoint, including its evaluation.

    Raises:
        CheckpointError: if the checkpoint is damaged or has no training state.
    """
    progress = _files.model(path / STATE_FOLDER / PROGRESS_FILE, Progress, _MAX_BYTES)
    evaluation = read_evaluation(path)
    return progress if evaluation is None else progress.with_evaluation(evaluation)


def read_evaluation(path: Path) -> Evaluation | None:
    """The evaluation of a checkpoint, None if it was not evaluated.

    Raises:
        CheckpointError: if the file is damaged.
    """
    file = path / EVALUATION_FILE
    return _files.model(file, Evaluation, _MAX_BYTES) if os.path.lexists(file) else None


def save_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Add an evaluation to a checkpoint."""
    write_text(path / EVALUATION_FILE, evaluation.model_dump_json(indent=2) + "\n")


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` for all files in a folder, in the format of ``sha256sum``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")


def verify_checksums(path: Path, *, all_files: bool = False) -> None:
    """Read the files of a checkpoint and compare them with their checksums.

    A checkpoint without ``SHA256SUMS`` is accepted: published ones have none.

    Args:
        path: the checkpoint.
        all_files: read every file and demand the checksums, not only those of the files that
            are enough to use the model.

    Raises:
        CheckpointError: naming the file that is missing or has changed.
        StorageError: if a file cannot be read, which may be temporary.
    """
    if not all_files and not os.path.lexists(path / CHECKSUMS_FILE):
        return
    try:
        _verify(path, all_files)
        if all_files:
            read_config(path)
            read_evaluation(path)
    except CheckpointError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno not in _LASTING:
            raise StorageError(str(error).replace(ADVICE, "Try again.")) from cause
        raise


def _verify(path: Path, all_files: bool) -> None:
    file = path / CHECKSUMS_FILE
    lines = _files.text(file, _MAX_BYTES).splitlines()
    if not lines:
        raise _files.damaged(file, "it is empty")
    for number, line in enumerate(lines, 1):
        match = _CHECKSUM.fullmatch(line)
        if match is None or not (parts := PurePosixPath(match["name"]).parts):
            raise _files.damaged(file, f"line {number} is no checksum with a name")
        if ".." in parts or parts[0] == "/":
            raise _files.damaged(file, f"line {number} names a file outside of the checkpoint")
        needed = all_files or match["name"] in _USED_FILES
        if needed and _sha256(path / match["name"]) != match["sum"]:
            raise _files.damaged(
                path / match["name"], f"its checksum differs from {CHECKSUMS_FILE}"
            )


def _sha256(path: Path) -> str:
    with _files.open(path) as file, _files.parsing(path):
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def read_config(path: Path) -> CheckpointConfig:
    """Read ``config.json`` of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing, damaged, or of a newer format.
    """
    return _files.model(path / CONFIG_FILE, CheckpointConfig, _MAX_BYTES)


def read_puzzle_names(path: Path) -> PuzzleNames | None:
    """The name of each row of a checkpoint's puzzle embedding, None if rows have no names.

    Raises:
        CheckpointError: if the file with the names is damaged.
    """
    file = path / NAMES_FILE
    if not os.path.lexists(file):
        return None
    names: PuzzleNames = _files.array(file)
    if names.ndim != 1 or names.dtype.kind != "S":
        raise _files.damaged(file, "it is not a list of byte strings")
    with _files.parsing(file):
        if names.size and names.view(np.uint8).max() >= 128:
            np.char.decode(names.astype(np.bytes_), "utf-8")
    return names
