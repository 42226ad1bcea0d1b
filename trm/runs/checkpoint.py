"""Checkpoints: safetensors and JSON in a folder that appears whole or not at all.

``model.safetensors`` and ``config.json`` are enough to use a model, with ``identifiers.npy`` where
puzzles have names; ``training_state/`` holds what training needs to go on as if it had never
stopped, see :mod:`trm.training.snapshot`. Nothing is pickled.
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
from trm.runs.layout import (
    CHECKSUMS_FILE,
    CONFIG_FILE,
    EVALUATION_FILE,
    NAMES_FILE,
    PROGRESS_FILE,
    STATE_FOLDER,
)
from trm.storage import write_text

#: Byte strings; what checks types while testing takes np.bytes_ to mean empty ones.
PuzzleNames = NDArray[np.character]

#: No JSON of ours comes near to it.
_MOST_BYTES = 1 << 20

AnyFrozen = TypeVar("AnyFrozen", bound=Frozen)


class CheckpointConfig(Frozen):
    """``config.json`` of a checkpoint: how to build the model, and what it was trained on."""

    format_version: int = FORMAT_VERSION
    step: int
    run: RunConfig
    data: DatasetMeta

    @property
    def spec(self) -> PuzzleSpec:
        """What the model has to know of its puzzles."""
        return puzzle_spec(self.data)


class Progress(Frozen):
    """``training_state/progress.json``: where training stood.

    Attributes:
        since_best: evaluations after the best one.
        left_out: steps that were not finite, and were left out.
    """

    step: int
    position: Position
    evaluated_step: int | None = None
    best: float | None = None
    best_step: int | None = None
    since_best: int = 0
    elapsed_s: float = 0.0
    left_out: int = 0


class Evaluation(Frozen):
    """``evaluation.json``: what came out when the checkpoint was evaluated, after it was written.

    Attributes:
        split: ``test``, or ``validation`` for training puzzles that were held out.
        headline: the metric that decides which checkpoint is best.
        intervals: the 95% intervals of those metrics that are shares.
        best: the highest headline of the run so far, at ``best_step``.
        since_best: evaluations after that one.
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
    """The part of a data set's description that a model is built from."""
    return PuzzleSpec(meta.vocab_size, meta.seq_len, meta.num_puzzle_identifiers)


def read_progress(path: Path) -> Progress:
    """Where training stands at this checkpoint, with what its evaluation found.

    Raises:
        CheckpointError: if the checkpoint is damaged or has no training state.
    """
    progress = _read_json(path / STATE_FOLDER / PROGRESS_FILE, Progress)
    found = read_evaluation(path)
    return progress if found is None else with_evaluation(progress, found)


def read_evaluation(path: Path) -> Evaluation | None:
    """What came out when a checkpoint was evaluated, None if it was not.

    Raises:
        CheckpointError: if the file is damaged.
    """
    file = path / EVALUATION_FILE
    return _read_json(file, Evaluation) if file.is_file() else None


def with_evaluation(progress: Progress, found: Evaluation) -> Progress:
    """A run's progress after an evaluation."""
    update = {"evaluated_step": found.step, "best": found.best, "best_step": found.best_step}
    return progress.model_copy(update={**update, "since_best": found.since_best})


def save_evaluation(path: Path, found: Evaluation) -> None:
    """Note in a checkpoint what was found out about it after it was written."""
    write_text(path / EVALUATION_FILE, found.model_dump_json(indent=2) + "\n")


def write_checksums(folder: Path) -> None:
    """Write ``SHA256SUMS`` of all files in a folder, as ``sha256sum`` writes and checks it."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [f"{_digest(path)}  {path.relative_to(folder).as_posix()}\n" for path in files]
    (folder / CHECKSUMS_FILE).write_text("".join(lines), encoding="utf-8")


def verify_checksums(path: Path) -> None:
    """Read every file of a checkpoint, and compare it with what was written.

    Raises:
        CheckpointError: naming the file that is missing or not what it was.
        StorageError: if a file cannot be read, which may be so for the moment only.
    """
    sums = path / CHECKSUMS_FILE
    try:
        lines = sums.read_text(encoding="utf-8").splitlines()
        for line in lines:
            expected, name = line.split("  ", 1)
            if _digest(path / name) != expected:
                raise CheckpointError(f"{path / name} is damaged: its checksum differs.")
        if not lines:
            raise ValueError("it is empty")
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is damaged: {error.filename} is missing.") from error
    except OSError as error:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}. Try again.") from error
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{sums} is damaged: {reason}.") from error
    for file, kind in ((CONFIG_FILE, CheckpointConfig), (EVALUATION_FILE, Evaluation)):
        if (path / file).is_file():
            _read_json(path / file, kind)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_config(path: Path) -> CheckpointConfig:
    """Read ``config.json`` of a checkpoint folder.

    Raises:
        CheckpointError: if it is missing, damaged, or of a newer format.
    """
    return _read_json(path / CONFIG_FILE, CheckpointConfig)


def read_puzzle_names(path: Path) -> PuzzleNames | None:
    """The names of the rows of a checkpoint's puzzle embedding, None where they have none.

    Raises:
        CheckpointError: if the file of names is damaged.
    """
    file = path / NAMES_FILE
    if not file.is_file():
        return None
    try:
        names: PuzzleNames = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{file} is damaged: {reason}. Use another checkpoint.") from error
    return names


def _read_json(path: Path, kind: type[AnyFrozen]) -> AnyFrozen:
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file. Name a whole checkpoint, such as RUN/best.")
    try:
        if path.stat().st_size > _MOST_BYTES:
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
        raise CheckpointError(f"{path} is damaged: it is nested. Use another checkpoint.") from None
    except (OSError, ValueError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise CheckpointError(f"{path} is damaged: {reason}. Use another checkpoint.") from error
