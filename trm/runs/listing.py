"""A summary of each run in a folder: progress, state and best evaluation.

Everything comes from the files of a run; neither the model nor the task's plugin is needed. A
damaged run is listed with its problems.
"""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from trm.errors import CheckpointError, InputError
from trm.reading import FileReader, finite_number
from trm.runs.best_and_last import best_checkpoint, last_checkpoint
from trm.runs.layout import (
    BEST,
    CHECKPOINTS,
    CONFIG_FILE,
    EVALUATION_FILE,
    LAST,
    METRICS_FILE,
    WEIGHTS_FILE,
)
from trm.runs.lock import LOCK_FILE, is_locked
from trm.runs.metrics_file import Record, newest_first
from trm.runs.run_folder import TRAIN_ONE, find_run

State = Literal["running", "finished", "stopped", "failed", "broken off"]
#: The metrics that decide which checkpoint is best, if no evaluation names one.
HEADLINES = ("pass@2", "exact_accuracy")
#: A folder with one of these is a run folder, unless it has a WEIGHTS_FILE and is a checkpoint.
_RUN_FILES = (CONFIG_FILE, METRICS_FILE, LOCK_FILE, CHECKPOINTS)
_MAX_BYTES = 1 << 20
_files = FileReader(InputError, "Name another folder.")


@dataclass(frozen=True)
class BestEvaluation:
    """The best evaluation of a run, by its task's headline metric."""

    metric: str
    value: float
    step: int
    split: str = "test"

    def is_better_than(self, other: "BestEvaluation") -> bool:
        """Whether it has a higher value of the same metric, on the same split."""
        same = (self.metric, self.split) == (other.metric, other.split)
        return same and self.value > other.value


@dataclass(frozen=True)
class RunSummary:
    """The state of a run, from its files.

    Attributes:
        state: ``broken off`` if it did not end normally, and no process trains it.
        step, total_steps: None if unknown.
        updated: when it last wrote a record.
        error: why it failed.
        problems: missing and damaged files.
    """

    folder: Path
    task: str
    state: State
    step: int | None
    total_steps: int | None
    best: BestEvaluation | None
    updated: datetime
    num_bytes: int
    error: str | None = None
    problems: tuple[str, ...] = ()

    def __repr__(self) -> str:
        step = "" if self.step is None else f" at step {self.step} of {self.total_steps}"
        best = "" if self.best is None else f", best {self.best.metric} {self.best.value:.4f}"
        return f"<RunSummary {self.folder}: {self.state}{step}{best}>"

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.folder.name

    def as_json(self) -> dict[str, Any]:
        """The fields for ``trm runs --json``."""
        return {
            "run": str(self.folder),
            "task": self.task,
            "name": self.name,
            "state": self.state,
            "step": self.step,
            "total_steps": self.total_steps,
            "best": None if self.best is None else asdict(self.best),
            "updated": self.updated.isoformat(timespec="seconds"),
            "num_bytes": self.num_bytes,
            "error": self.error,
            "problems": list(self.problems),
        }


def list_runs(folder: str | Path = "runs") -> list[RunSummary]:
    """The runs in a folder, or the one run that the folder is; newest first.

    Raises:
        InputError: if there is no such folder.
    """
    folder = find_run(folder)
    with _files.parsing(folder):
        is_folder = folder.is_dir()
    if not is_folder:
        raise InputError(
            f"{folder}: no such folder. Name a folder of runs, or train one, such as: {TRAIN_ONE}"
        )
    return sorted(map(read_run, run_folders(folder)), key=lambda run: run.updated, reverse=True)


def run_folders(folder: Path) -> list[Path]:
    """The folders of the runs in a folder, which may be that of a run; their files are not read."""
    return list(_run_folders(folder, depth=2))


def _run_folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        yield folder  # it is listed with this problem
        return
    names = {path.name for path in paths}
    if WEIGHTS_FILE not in names and not names.isdisjoint(_RUN_FILES):
        yield folder
    elif depth:
        for path in paths:
            if not path.name.startswith(".") and os.path.isdir(path):  # noqa: PTH112
                yield from _run_folders(path, depth - 1)


def read_run(folder: Path) -> RunSummary:
    """The state of one run; missing and damaged files are among its problems."""
    problems: list[str] = []
    running = is_locked(folder)  # first, for the run may end while its records are read
    config = _read_json(folder / CONFIG_FILE, problems)
    best = _best_from_checkpoint(folder, problems)
    history = _read_history(folder / METRICS_FILE, problems, all_evaluations=best is None)
    state, error = ("running", None) if running else _end(history)
    task, train = config.get("task"), config.get("train")
    planned = train.get("max_steps") if isinstance(train, dict) else None
    return RunSummary(
        folder=folder,
        task=task if isinstance(task, str) else folder.absolute().parent.name,
        state=state,
        step=history.step,
        total_steps=_int_or_none((history.last_start or {}).get("total_steps"))
        or _int_or_none(planned),
        best=best or _best_from_records(history.evaluations),
        updated=_updated(folder),
        num_bytes=_num_bytes(folder),
        error=error,
        problems=tuple(problems),
    )


@dataclass
class _History:
    """What the records show about a run.

    Attributes:
        step: of the newest record.
        last_start: the newest start record.
        end: the newest end record, if it comes after that start.
        evaluations: the evaluation records, newest first.
    """

    step: int | None = None
    last_start: Record | None = None
    end: Record | None = None
    evaluations: list[Record] = field(default_factory=list)


def _read_history(file: Path, problems: list[str], all_evaluations: bool) -> _History:
    """Read back to the last start, or to the first record for all evaluations."""
    history = _History()
    try:
        # The record of a checkpoint comes some steps after its own step.
        records = (r for r in newest_first(file) if r.get("event") not in ("checkpoint", "warning"))
        history.step = _int_or_none(next(records, {}).get("step"))
        for record in newest_first(file, skip="train"):
            event = record.get("event")
            if event == "eval":
                history.evaluations.append(record)
            elif event == "end" and history.last_start is None:
                history.end = history.end or record
            elif event == "start":
                history.last_start = history.last_start or record
            if history.last_start is not None and not all_evaluations:
                break
    except InputError as error:
        problems.append(f"{file.name} {_reason(error)}")
    return history


def _end(history: _History) -> tuple[State, str | None]:
    """How a run that no process trains ended, and why if it failed."""
    if history.end is None:
        return "broken off", None
    if history.end.get("error"):
        return "failed", str(history.end["error"])
    return "finished" if history.end.get("finished") is True else "stopped", None


def _best_from_checkpoint(folder: Path, problems: list[str]) -> BestEvaluation | None:
    """The best evaluation, as the best checkpoint has it."""
    try:
        best, last = best_checkpoint(folder), last_checkpoint(folder)
    except CheckpointError as error:
        cause = error.__cause__
        problems.append(f"{CHECKPOINTS} cannot be read: {getattr(cause, 'strerror', error)}")
        return None
    for name, found in ((BEST, best), (LAST, last)):
        if found is None and os.path.lexists(folder / name):
            problems.append(f"{name} points to no checkpoint")
    evaluation = {} if best is None else _read_json(best / EVALUATION_FILE, problems)
    metric, value = evaluation.get("headline"), finite_number(evaluation.get("best"))
    step = _int_or_none(evaluation.get("best_step"))
    if isinstance(metric, str) and value is not None and step is not None:
        return BestEvaluation(metric, value, step, _split(evaluation))
    return None


def _best_from_records(evaluations: list[Record]) -> BestEvaluation | None:
    """The best evaluation of the records; the later of two equal ones, as in training."""
    for metric in HEADLINES:
        candidates = [
            BestEvaluation(metric, record[metric], step, _split(record))
            for record in evaluations
            if isinstance(record.get(metric), float)
            and (step := _int_or_none(record.get("step"))) is not None
        ]
        if candidates:
            # Of equal values max returns the first, which is the newest.
            return max(candidates, key=lambda best: best.value)
    return None


def _split(evaluation: Record) -> str:
    return str(evaluation.get("split", "test"))


def _read_json(file: Path, problems: list[str]) -> dict[str, Any]:
    try:
        raw = _files.json(file, _MAX_BYTES)
    except InputError as error:
        problems.append(f"{file.name} {_reason(error)}")
        return {}
    if not isinstance(raw, dict):
        problems.append(f"{file.name} is damaged")
        return {}
    return raw


def _int_or_none(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _reason(error: InputError) -> str:
    cause = error.__cause__
    if isinstance(cause, OSError):
        missing = isinstance(cause, FileNotFoundError)
        return "is missing" if missing else f"cannot be read: {cause.strerror}"
    return "is damaged"


def _updated(folder: Path) -> datetime:
    """When the run last wrote a record, or when the folder last changed."""
    for path in (folder / METRICS_FILE, folder):
        try:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC)
        except OSError:
            continue
    return datetime.fromtimestamp(0, UTC)


def _num_bytes(folder: Path) -> int:
    """The size of the run on the disk; training may remove files meanwhile."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size  # noqa: PTH118
            except OSError:
                continue
    return total
