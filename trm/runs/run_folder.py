"""Run folders: their names, and the checkpoints in them."""

import contextlib
import datetime
import difflib
import errno
import itertools
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from trm.config import RunConfig
from trm.data import DatasetMeta
from trm.errors import CheckpointError, InputError, TrainingError
from trm.runs.best_and_last import best_checkpoint, checkpoints, last_checkpoint
from trm.runs.checkpoint import ADVICE, read_config, verify_checksums
from trm.runs.layout import BEST, CHECKPOINTS, CONFIG_FILE, LAST, METRICS_FILE, WEIGHTS_FILE
from trm.runs.metrics_file import newest_first
from trm.runs.shipped import shipped_hint, shipped_models
from trm.storage import remove_leftovers, storage_errors

#: The errors of a folder that is gone; ESTALE is that of a network disk.
_REMOVED = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE)

#: A command that makes a run, where there is none.
TRAIN_ONE = "trm train sudoku --preset mini"


def new_run_name(runs: Path, config: RunConfig, now: datetime.datetime) -> str:
    """A name made of model and time that ``runs/TASK`` does not have yet."""
    base = f"{config.model.label}-{now:%Y%m%d-%H%M%S}"
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(name for name in names if not (runs / config.task / name).exists())


def claim_run_folder(folder: Path, config: RunConfig) -> Path:
    """Make the folder of a new run; under another name if another process has just made it.

    Args:
        folder: ``RUNS/TASK/NAME`` with a name of :func:`new_run_name`.
        config: the run's settings.

    Raises:
        StorageError: if it cannot be made.
    """
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                folder.mkdir()
            except FileExistsError:
                name = new_run_name(folder.parents[1], config, datetime.datetime.now())
                folder = folder.with_name(name)
            else:
                return folder


def is_run(path: Path) -> bool:
    """Whether this is a run folder with a checkpoint."""
    return last_checkpoint(path) is not None


def find_run(name: str | Path, runs: Path = Path("runs")) -> Path:
    """The folder of a run, which may be named by its name alone, as ``trm runs`` shows it.

    A path that exists is taken as it is, and so is a name that no run has, or several have.
    """
    path = Path(name)
    if len(path.parts) != 1 or os.path.lexists(path):
        return path
    named = [run for run in _run_paths(runs) if run.name == path.name]
    return named[0] if len(named) == 1 else path


def runs_hint(path: Path, runs: Path = Path("runs")) -> str:
    """What to name instead of a path that is no run: the runs in it, or those of a similar name."""
    if path.is_dir():
        found = sorted(file.parent for file in path.glob(f"*/{CONFIG_FILE}"))
    else:
        paths = _run_paths(runs)
        similar = difflib.get_close_matches(path.name, {run.name for run in paths}, n=1)
        found = [run for run in paths if run.name in similar]
    if not found:
        return f"See what is in {runs}/."
    more = f" or one of {len(found) - 3} more" if len(found) > 3 else ""
    return f"Did you mean {' or '.join(map(str, found[:3]))}{more}?"


def _run_paths(runs: Path) -> list[Path]:
    """The folders RUNS/TASK/NAME; hidden ones are skipped."""
    paths = (path for path in runs.glob("*/*") if path.is_dir())
    return sorted(p for p in paths if not p.name.startswith(".") and p.parent.name[0] != ".")


def find_checkpoint(name: str | None, runs: Path = Path("runs")) -> Path:
    """The folder of a checkpoint.

    Args:
        name: a run (its best checkpoint), a checkpoint folder, ``RUN/best``, ``RUN/last``, a model
            that comes with trm, or None for the newest run that was evaluated or finished, or else
            the newest. The name of a run in ``runs`` is enough.
        runs: where to look for runs.

    Raises:
        CheckpointError: if there is no such checkpoint.
    """
    if name is None:
        found = dict(_newest_checkpoints(runs))
        if not found:
            raise CheckpointError(
                f"no run in {runs}/.{shipped_hint()} Give --ckpt, or train one, such as: "
                f"{TRAIN_ONE}"
            )
        # A run that ended before its first evaluation is taken only if there is no other.
        candidates = [run for run in found if _was_evaluated_or_finished(run)] or found
        newest = max(candidates, key=lambda run: (found[run] / CONFIG_FILE).stat().st_mtime)
        return _checkpoint_of_run(newest) or found[newest]
    path = find_run(name, runs)
    if not os.path.lexists(path) and name in (shipped := shipped_models()):
        return shipped[name]
    if path.is_file() and path.name == WEIGHTS_FILE:
        path = path.parent
    if found_in_run := _checkpoint_of_run(path):
        return found_in_run
    is_pointer = path.name in (BEST, LAST) and not path.is_dir()
    if is_pointer and (found_in_run := _checkpoint_of_run(path.parent, path.name)):
        return found_in_run
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}."
            " Name that folder, or a run."
        )
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such run or checkpoint. {runs_hint(path, runs)}")
    if not (path / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{path} is neither a run with a checkpoint nor a checkpoint ({WEIGHTS_FILE} is "
            f"missing). {runs_hint(path, runs)}"
        )
    return path


def has_runs(runs: Path = Path("runs")) -> bool:
    """Whether there is a run with a checkpoint, which is taken if none is named."""
    return any(_newest_checkpoints(runs))


def _newest_checkpoints(runs: Path) -> Iterator[tuple[Path, Path]]:
    """Each run RUNS/TASK/NAME and its newest checkpoint; hidden and unreadable ones are skipped."""
    for run in _run_paths(runs):
        with contextlib.suppress(CheckpointError):
            if (path := last_checkpoint(run)) is not None:
                yield run, path


def _was_evaluated_or_finished(run: Path) -> bool:
    if best_checkpoint(run) is not None:
        return True
    with contextlib.suppress(InputError):
        return bool(next(newest_first(run / METRICS_FILE), {}).get("finished"))
    return False


def _checkpoint_of_run(run: Path, which: str = BEST) -> Path | None:
    """The best or the last checkpoint of a run; the last if none is evaluated."""
    best = best_checkpoint(run) if which == BEST else None
    return best or last_checkpoint(run)


def last_data(run: Path) -> DatasetMeta | None:
    """The description of the data of a run's last checkpoint, None if it cannot be read."""
    with contextlib.suppress(CheckpointError):
        path = last_checkpoint(run)
        return None if path is None else read_config(path).data
    return None


def newest_intact_checkpoint(run: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint whose checksums are right, None if the run has no checkpoint.

    Every file of it, and of newer ones, is read.

    Returns:
        The checkpoint, and the newer ones that are damaged, each with its problem.

    Raises:
        CheckpointError: if all are damaged.
    """
    damaged: dict[Path, str] = {}
    for path in reversed(checkpoints(run)):
        try:
            verify_checksums(path, all_files=True)
        except CheckpointError as error:
            damaged[path] = str(error).removesuffix(f" {ADVICE}")
        else:
            return path, damaged
    if damaged:
        raise CheckpointError(
            f"every checkpoint of {run} is damaged: {next(iter(damaged.values()))} "
            "Start a new run with another --run-name."
        )
    return None, damaged


def check_still_there(run: Path) -> None:
    """Check that nobody removed a run folder while it trains. It is not made anew.

    Raises:
        TrainingError: if it is gone.
    """
    try:
        (run / CONFIG_FILE).stat()
    except OSError as error:
        if error.errno in _REMOVED:  # a disk that does not answer for a moment is no reason to end
            raise TrainingError(
                f"{run} was removed or renamed while the run trained: nothing more can be saved. "
                "Start a new run."
            ) from None


def rename_damaged(path: Path) -> None:
    """Rename a damaged checkpoint, so that it is no longer used."""
    with storage_errors(path):
        shutil.rmtree(damaged_path(path), ignore_errors=True)
        path.rename(damaged_path(path))


def damaged_path(path: Path) -> Path:
    """The path that a damaged checkpoint is renamed to."""
    return path.with_name(f"damaged-{path.name}")


def remove_unfinished(run: Path) -> None:
    """Remove checkpoints that a killed process left incomplete. No other one may train the run."""
    remove_leftovers(run / CHECKPOINTS, of_all=True)
    for path in (run / CHECKPOINTS).glob(".step-*.*"):
        if path.suffix in (".tmp", ".old"):
            shutil.rmtree(path, ignore_errors=True)


def checkpoints_to_remove(run: Path, keep: int) -> list[Path]:
    """The checkpoints that are neither the best, nor the last, nor among the ``keep`` newest."""
    kept = (best_checkpoint(run), last_checkpoint(run))
    return [path for path in checkpoints(run)[:-keep] if path not in kept]
