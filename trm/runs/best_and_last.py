"""Which checkpoint of a run is its best, and which its last. Only this module decides it.

Training makes ``RUN/best`` and ``RUN/last`` for people and other programs: symbolic links, or text
files with the path where the file system has no links. A copy of a run may lack them, or have real
folders in their place. Then the checkpoints themselves tell.
"""

import filecmp
import os
import re
from pathlib import Path, PureWindowsPath

from trm.errors import CheckpointError, ConfigError, InputError
from trm.reading import FileReader, finite_number
from trm.runs.layout import BEST, CHECKPOINTS, CONFIG_FILE, EVALUATION_FILE, LAST, WEIGHTS_FILE
from trm.storage import point_to, storage_errors, temporary_folder

_STEP_FOLDER = re.compile(r"step-(\d{1,18})", re.ASCII)
_MAX_BYTES = 1 << 20
_files = FileReader(InputError, "Use another run.")


def checkpoint_path(run: Path, step: int) -> Path:
    """The folder of the checkpoint of a step."""
    return run / CHECKPOINTS / f"step-{step:06d}"


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run, the oldest first; also damaged ones.

    Raises:
        CheckpointError: if the folder may not be read.
    """
    folder = run / CHECKPOINTS
    try:
        names = [path.name for path in folder.iterdir()]
    except PermissionError as error:
        raise CheckpointError(
            f"cannot read {folder}: {error.strerror}. Use another run."
        ) from error
    except OSError:
        return []
    steps = ((int(match[1]), name) for name in names if (match := _STEP_FOLDER.fullmatch(name)))
    return [run / CHECKPOINTS / name for _, name in sorted(steps)]


def is_whole(path: Path) -> bool:
    """Whether a folder has the files that a checkpoint needs to be used."""
    files = (path / WEIGHTS_FILE, path / CONFIG_FILE)
    return all(os.path.isfile(file) for file in files)  # noqa: PTH113 - no error without permission


def last_checkpoint(run: Path) -> Path | None:
    """The newest whole checkpoint of a run, None if it has none yet."""
    found = [path for path in checkpoints(run) if is_whole(path)]
    if found:
        return found[-1]
    return run / LAST if is_whole(run / LAST) else None


def best_checkpoint(run: Path) -> Path | None:
    """The whole checkpoint with the best evaluation, None if none is evaluated.

    It is what ``RUN/best`` names, else the one with the highest headline metric; the newer of two
    equal ones, as in training.
    """
    named = _named_checkpoint(run / BEST)
    if named is not None and is_whole(named):
        return named
    evaluated = ((_headline(path), path) for path in checkpoints(run) if is_whole(path))
    values = [(value, path) for value, path in evaluated if value is not None]
    return max(reversed(values), key=lambda found: found[0])[1] if values else None


def restore_pointers(run: Path) -> None:
    """Make ``best`` and ``last`` name the best and last checkpoint, where they do not.

    Raises:
        ConfigError, StorageError: see :func:`check_pointers` and :func:`trm.storage.point_to`.
    """
    check_pointers(run)
    for name, found in ((BEST, best_checkpoint(run)), (LAST, last_checkpoint(run))):
        pointer = run / name
        if found is not None and os.path.realpath(pointer) != os.path.realpath(found):
            with storage_errors(pointer), temporary_folder(run) as removed:
                if pointer.is_dir() and not pointer.is_symlink():
                    pointer.rename(removed / name)
                point_to(pointer, found)


def check_pointers(run: Path) -> None:
    """Check that training may replace ``best`` and ``last``.

    Raises:
        ConfigError: if one is a folder, and not a copy of one of the checkpoints.
    """
    for pointer in (run / BEST, run / LAST):
        if pointer.is_symlink() or not pointer.is_dir():
            continue
        original = _original(pointer)
        if original is None:
            advice = "Rename it, or remove it"
        elif not is_whole(original):
            advice = f"Move it to {original}"
        elif all(
            filecmp.cmp(pointer / file, original / file, shallow=False)
            for file in (WEIGHTS_FILE, CONFIG_FILE)
        ):
            continue
        else:
            advice = f"It differs from {original}. Rename it, or remove it"
        raise ConfigError(f"{pointer} is a folder. {advice}: training makes a link of that name.")


def _named_checkpoint(pointer: Path) -> Path | None:
    """The checkpoint that ``best`` or ``last`` names, by its last part: the run may have moved."""
    try:
        if pointer.is_symlink():
            text = str(pointer.readlink())
        elif pointer.is_dir():
            original = _original(pointer)
            return original if original is not None and is_whole(original) else pointer
        else:
            text = _files.text(pointer, max_bytes=4096)
    except (OSError, InputError):
        return None
    name = PureWindowsPath(text.strip()).name  # splits at both kinds of slashes
    return pointer.parent / CHECKPOINTS / name if _STEP_FOLDER.fullmatch(name) else None


def _original(folder: Path) -> Path | None:
    """The checkpoint that a folder in the place of ``best`` or ``last`` is a copy of."""
    step = _field(folder / CONFIG_FILE, "step")
    return checkpoint_path(folder.parent, step) if type(step) is int and step >= 0 else None


def _headline(path: Path) -> float | None:
    """The headline metric in the evaluation of a checkpoint, None if it has none."""
    metrics = _field(path / EVALUATION_FILE, "metrics")
    headline = _field(path / EVALUATION_FILE, "headline")
    if not isinstance(metrics, dict) or not isinstance(headline, str):
        return None
    return finite_number(metrics.get(headline))


def _field(file: Path, name: str) -> object:
    """A field of a JSON file, None if there is none."""
    try:
        content = _files.json(file, _MAX_BYTES)
    except InputError:
        return None
    return content.get(name) if isinstance(content, dict) else None
