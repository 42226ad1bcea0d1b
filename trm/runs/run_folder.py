"""Run folders: their names, the checkpoints in them, and which one is meant."""

import datetime
import itertools
import shutil
from pathlib import Path

from trm.config import RunConfig
from trm.errors import CheckpointError
from trm.runs.checkpoint import verify_checksums
from trm.runs.layout import BEST, CHECKPOINTS, CONFIG_FILE, LAST, WEIGHTS_FILE
from trm.storage import storage_errors


def checkpoint_path(run: Path, step: int) -> Path:
    """Where a run keeps the checkpoint of a step."""
    return run / CHECKPOINTS / f"step-{step:06d}"


def new_run_name(runs: Path, config: RunConfig, now: datetime.datetime) -> str:
    """A name that says mixer and time and is not yet taken in ``runs/TASK``."""
    mixer = "mlp" if config.model.mlp_t else "att"
    base = f"{mixer}-{now:%Y%m%d-%H%M%S}"
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(name for name in names if not (runs / config.task / name).exists())


def is_run(path: Path) -> bool:
    """Whether this is a run folder with a checkpoint to use."""
    return (path / LAST / WEIGHTS_FILE).is_file()


def find_checkpoint(name: str | None, runs: Path = Path("runs")) -> Path:
    """The checkpoint folder that a user means.

    Args:
        name: a run folder (its best checkpoint is meant), a checkpoint folder, or None for the
            newest run of all.
        runs: where to look for the newest run.

    Raises:
        CheckpointError: if there is none.
    """
    if name is None:
        return _best(_newest_run(runs))
    path = Path(name)
    if path.is_file() and path.name == WEIGHTS_FILE:
        path = path.parent
    if is_run(path):
        return _best(path)
    if path.is_file():
        raise CheckpointError(
            f"{path} is a file; a checkpoint is a folder with {WEIGHTS_FILE} and {CONFIG_FILE}. "
            "Name that folder, or a run."
        )
    if not path.is_dir():
        raise CheckpointError(f"{path}: no such run or checkpoint. See what is in {runs}/.")
    if not (path / WEIGHTS_FILE).is_file():
        raise CheckpointError(
            f"{path} is neither a run with a checkpoint nor a checkpoint ({WEIGHTS_FILE} is "
            "missing). Name another folder."
        )
    return path


def last_checkpoint(run: Path) -> Path | None:
    """The newest checkpoint of a run, None where it has none yet."""
    return _target(run / LAST) if is_run(run) else None


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    found = (path for path in (run / CHECKPOINTS).glob("step-*") if path.name[5:].isdecimal())
    return sorted(found, key=lambda path: int(path.name[5:]))


def newest_intact_checkpoint(run: Path) -> tuple[Path | None, dict[Path, str]]:
    """The newest checkpoint that is as it was written, and what is wrong with newer ones.

    Every file of theirs is read. None if there is no checkpoint at all.

    Raises:
        CheckpointError: if all are damaged.
    """
    damaged: dict[Path, str] = {}
    for path in reversed(checkpoints(run)):
        try:
            verify_checksums(path)
        except CheckpointError as error:
            damaged[path] = str(error)
        else:
            return path, damaged
    if damaged:
        raise CheckpointError(
            f"every checkpoint of {run} is damaged: {next(iter(damaged.values()))} "
            "Start a new run with another --run-name."
        )
    return None, damaged


def rename_damaged(path: Path) -> None:
    """Rename a damaged checkpoint, so that it is not taken for one again."""
    with storage_errors(path):
        shutil.rmtree(damaged_path(path), ignore_errors=True)
        path.rename(damaged_path(path))


def damaged_path(path: Path) -> Path:
    """Where a damaged checkpoint goes."""
    return path.with_name(f"damaged-{path.name}")


def remove_unfinished(run: Path) -> None:
    """Remove what a process that was killed had not written to the end."""
    for path in (run / CHECKPOINTS).glob(".step-*.*"):
        if path.suffix in (".tmp", ".old"):
            shutil.rmtree(path, ignore_errors=True)


def prune(run: Path, keep: int) -> list[Path]:
    """The checkpoints that are neither the best nor among the ``keep`` newest."""
    kept = {(run / BEST).resolve(), (run / LAST).resolve()}
    return [path for path in checkpoints(run)[:-keep] if path.resolve() not in kept]


def _newest_run(runs: Path) -> Path:
    found = [path for path in runs.glob("*/*") if is_run(path)]
    if not found:
        raise CheckpointError(f"no run in {runs}/. Train one: trm train TASK, or give --ckpt.")
    return max(found, key=lambda run: (run / LAST / CONFIG_FILE).stat().st_mtime)


def _best(run: Path) -> Path:
    best = run / BEST
    return _target(best if (best / WEIGHTS_FILE).is_file() else run / LAST)


def _target(link: Path) -> Path:
    """The checkpoint that ``best`` or ``last`` points to, by a path like the user's own."""
    return link.parent / link.readlink() if link.is_symlink() else link
