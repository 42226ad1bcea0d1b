"""Run folders: their names, and the checkpoints in them."""

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
    """The folder of the checkpoint of a step."""
    return run / CHECKPOINTS / f"step-{step:06d}"


def new_run_name(runs: Path, config: RunConfig, now: datetime.datetime) -> str:
    """A name made of mixer and time that ``runs/TASK`` does not have yet."""
    mixer = "mlp" if config.model.mlp_t else "att"
    base = f"{mixer}-{now:%Y%m%d-%H%M%S}"
    names = itertools.chain([base], (f"{base}-{n}" for n in itertools.count(2)))
    return next(name for name in names if not (runs / config.task / name).exists())


def is_run(path: Path) -> bool:
    """Whether this is a run folder with a checkpoint."""
    return (path / LAST / WEIGHTS_FILE).is_file()


def find_checkpoint(name: str | None, runs: Path = Path("runs")) -> Path:
    """The folder of a checkpoint.

    Args:
        name: a run folder (its best checkpoint), a checkpoint folder, or None for the newest run.
        runs: where to look for the newest run.

    Raises:
        CheckpointError: if there is no such checkpoint.
    """
    if name is None:
        candidates = [path for path in runs.glob("*/*") if is_run(path)]
        if not candidates:
            raise CheckpointError(f"no run in {runs}/. Train one: trm train TASK, or give --ckpt.")
        return _best_checkpoint(
            max(candidates, key=lambda run: (run / LAST / CONFIG_FILE).stat().st_mtime)
        )
    path = Path(name)
    if path.is_file() and path.name == WEIGHTS_FILE:
        path = path.parent
    if is_run(path):
        return _best_checkpoint(path)
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
    """The newest checkpoint of a run, None if it has none yet."""
    return _link_target(run / LAST) if is_run(run) else None


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first."""
    paths = (path for path in (run / CHECKPOINTS).glob("step-*") if path.name[5:].isdecimal())
    return sorted(paths, key=lambda path: int(path.name[5:]))


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
    """Rename a damaged checkpoint, so that it is no longer used."""
    with storage_errors(path):
        shutil.rmtree(damaged_path(path), ignore_errors=True)
        path.rename(damaged_path(path))


def damaged_path(path: Path) -> Path:
    """The path that a damaged checkpoint is renamed to."""
    return path.with_name(f"damaged-{path.name}")


def remove_unfinished(run: Path) -> None:
    """Remove checkpoints that a killed process left incomplete."""
    for path in (run / CHECKPOINTS).glob(".step-*.*"):
        if path.suffix in (".tmp", ".old"):
            shutil.rmtree(path, ignore_errors=True)


def checkpoints_to_remove(run: Path, keep: int) -> list[Path]:
    """The checkpoints that are neither the best, nor the last, nor among the ``keep`` newest."""
    kept = {(run / BEST).resolve(), (run / LAST).resolve()}
    return [path for path in checkpoints(run)[:-keep] if path.resolve() not in kept]


def _best_checkpoint(run: Path) -> Path:
    best = run / BEST
    return _link_target(best if (best / WEIGHTS_FILE).is_file() else run / LAST)


def _link_target(link: Path) -> Path:
    """The checkpoint that ``best`` or ``last`` points to; relative if the run's path is."""
    return link.parent / link.readlink() if link.is_symlink() else link
