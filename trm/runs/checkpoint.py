"""The JSON files, names and checksums of a checkpoint folder, which appears whole or not at all.

``model.safetensors`` and ``config.json`` are enough to use a model, with ``identifiers.npy`` if
puzzles have names. ``training_state/`` holds what training needs to resume exactly where it
stopped, see :mod:`trm.training.checkpoint_snapshot`. Nothing is pickled.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from trm.config import FORMAT_VERSION, Frozen, RunConfig, first_problem
from trm.config.model import PuzzleSpec
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
)
from trm.storage import write_text

#: The name of each row of the puzzle embedding, as byte strings. (beartype takes np.bytes_ to mean
#: empty ones.)
PuzzleNames = NDArray[np.character]

#: More than the largest JSON file that trm writes.
_MAX_BYTES = 1 << 20

AnyFrozen = TypeVar("AnyFrozen", bound=Frozen)


class CheckpointConfig(Frozen):
    """``config.json`` of a checkpoint: how to build the model, and what it was trained on."""

    format_version: int = FORMAT_VERSION
    step: int
    run: RunConfig
    data: DatasetMeta

    @property
    def spec(self) -> PuzzleSpec:
        """The part of the data's description that the model is built from."""
        return puzzle_spec(self.data)


class Progress(Frozen):
    """``training_state/progress.json``: how far training had come.

    Attributes:
        since_best: number of evaluations after the best one.
        left_out: number of steps that were skipped because they were not finite.
    """

    step: int
    position: Position
    evaluated_step: int | None = None
    best: float | None = None
    best_step: int | None = None
    since_best: int = 0
    elapsed_s: float = 0.0
    left_out: int = 0

    def with_evaluation(self, evaluation: "Evaluation") -> "Progress":
        """The progress after an evaluation."""
        update = {
            "evaluated_step": evaluation.step,
            "best": evaluation.best,
            "best_step": evaluation.best_step,
            "since_best": evaluation.since_best,
        }
        return self.model_copy(update=update)


class Evaluation(Frozen):
    """``evaluation.json``: the evaluation of a checkpoint, added after the checkpoint was written.

    Attributes:
        split: ``test``, or ``validation`` for training puzzles that were held out.
        headline: the metric that decides which checkpoint is best.
        intervals: the 95% intervals of the metrics that are shares.
        best: the highest headline of the run so far, at ``best_step``.
        since_best: number of evaluations after that one.
    """

    step: int
    examples: int
    split: Literal["test", "validation"] = "test"
    headline: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = {}
    best: float
    best_step: int
    since_best: int = 0


def puzzle_spec(meta: DatasetMeta) -> PuzzleSpec:
    """The part of a dataset's description that a model is built from."""
    return PuzzleSpec(meta.vocab_size, meta.seq_len, meta.num_puzzle_identifiers)


def read_progress(path: Path) -> Progress:
    """How far training had come at a checkpoint, including its evaluation.

    Raises:
        CheckpointError: if the checkpoint is damaged or has no training state.
    """
    progress = _read_json(path / STATE_FOLDER / PROGRESS_FILE, Progress)
    evaluation = read_evaluation(path)
    return progress if evaluation is None else progress.with_evaluation(evaluation)


def read_evaluation(path: Path) -> Evaluation | None:
    """The evaluation of a checkpoint, None if it was not evaluated.

    Raises:
        CheckpointError: if the file is damaged.
    """
    file = path / EVALUATION_FILE
    return _read_json(file, Evaluation) if file.is_file() else None


def save_evaluation(path: Path, evaluation: Evaluation) -> None:
    """Add an evaluation to a checkpoint."""
    write_text(path / EVALUATION_FILE, evaluation.model_dump_json(indent=2) + "\n")


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` for all files in a folder, in the format of ``sha256sum``."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")


def verify_checksums(path: Path) -> None:
    """Read every file of a checkpoint and compare it with its checksum.

    Raises:
        CheckpointError: naming the file that is missing or has changed.
        StorageError: if a file cannot be read, which may be temporary.
    """
    checksums = path / CHECKSUMS_FILE
    try:
        lines = checksums.read_text(encoding="utf-8").splitlines()
        for line in lines:
            expected, name = line.split("  ", 1)
            if _sha256(path / name) != expected:
                raise CheckpointError(f"{path / name} is damaged: its checksum differs.")
        if not lines:
            raise ValueError("it is empty")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is damaged: {error.filename} is missing.") from error
    except OSError as error:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}. Try again.") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{checksums} is damaged: {reason}.") from error
    for file, kind in ((CONFIG_FILE, CheckpointConfig), (EVALUATION_FILE, Evaluation)):
        if (path / file).is_file():
            _read_json(path / file, kind)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(path: Path) -> CheckpointConfig:
    """Read ``config.json`` of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing, damaged, or of a newer format.
    """
    return _read_json(path / CONFIG_FILE, CheckpointConfig)


def read_puzzle_names(path: Path) -> PuzzleNames | None:
    """The name of each row of a checkpoint's puzzle embedding, None if rows have no names.

    Raises:
        CheckpointError: if the file with the names is damaged.
    """
    file = path / NAMES_FILE
    if not file.is_file():
        return None
    reader = FileReader(CheckpointError, "Use another checkpoint.")
    names: PuzzleNames = reader.array(file)
    if names.ndim != 1 or names.dtype.kind != "S":
        raise reader.damaged(file, "it is not a list of byte strings")
    with reader.parsing(file):
        if names.size and names.view(np.uint8).max() >= 128:
            np.char.decode(names.astype(np.bytes_), "utf-8")
    return names


def _read_json(path: Path, kind: type[AnyFrozen]) -> AnyFrozen:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Name a whole checkpoint, such as RUN/best.")
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        raw: Any = json.loads(path.read_text(encoding="utf-8"))
        version = raw.get("format_version", 0)
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise CheckpointError(
                f"{path} is of format {version}, this trm reads up to {FORMAT_VERSION}. "
                "Upgrade trm."
            )
        return kind.model_validate(raw)
    except ValidationError as error:
        reason = first_problem(error)
        raise CheckpointError(f"{path} is damaged: {reason}. Use another checkpoint.") from error
    except RecursionError:
        raise CheckpointError(
            f"{path} is damaged: it is nested too deeply. Use another checkpoint."
        ) from None
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged: {reason}. Use another checkpoint.") from error
