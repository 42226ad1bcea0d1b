"""What a command did to the files of a folder: inputs stay, outputs are whole or absent."""

import contextlib
import csv
import hashlib
import json
import os
import stat
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trm.data import digest, open_dataset, read_meta
from trm.errors import TrmError
from trm.runs.checkpoint import verify_checksums

#: Files that a command may leave beside its outputs.
_SIDE_FILES = (".lock",)
#: Suffixes of the names under which files and folders are written before they are renamed.
_TEMPORARY = (".tmp", ".old")


def listing(folder: Path) -> dict[str, str]:
    """Every file and folder below a folder, with a text that changes when it does."""
    found = {}
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(parent, name)
            found[os.path.relpath(path, folder)] = _fingerprint(path)
    return found


def _fingerprint(path: Path) -> str:
    status = path.lstat()
    kind = stat.S_IFMT(status.st_mode)
    if kind == stat.S_IFLNK:
        return f"link {path.readlink()}"
    if kind == stat.S_IFREG:
        return f"file {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"kind {kind}"


def file_problems(
    before: dict[str, str], folder: Path, outputs: Sequence[str], *, strict: bool
) -> list[str]:
    """What is wrong with a folder after a command.

    Args:
        before: its listing before the command.
        folder: the folder.
        outputs: what the command may write.
        strict: whether no other new files may be there: the command line had no further outputs.
    """
    after = listing(folder)
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    problems = []
    for path in sorted(changed):
        is_output = any(path == name or path.startswith(f"{name}/") for name in outputs)
        if path not in before and path.endswith(_TEMPORARY):
            problems.append(f"left {path!r}")
        elif Path(path).name in _SIDE_FILES or is_output:
            continue
        elif path in before:
            problems.append(f"changed {path!r}")
        elif strict:
            problems.append(f"wrote {path!r}")
    for name in outputs:
        touched = any(path == name or path.startswith(f"{name}/") for path in changed)
        if touched and os.path.lexists(folder / name):
            with contextlib.suppress(_UncheckedError):
                problem = _damage(folder / name)
                if problem:
                    problems.append(f"half-written {name}: {problem}")
    return problems


class _UncheckedError(Exception):
    """A format that is not checked."""


def _damage(path: Path) -> str:
    """What is wrong with an output; nothing if it is whole."""
    try:
        if path.is_dir():
            return _damage_of_folder(path)
        if path.suffix == ".json":
            json.loads(path.read_text())
        elif path.suffix == ".npz":
            with np.load(path) as archive:
                _ = [archive[name] for name in archive.files]
        elif path.suffix == ".svg":
            return "" if path.read_text().rstrip().endswith("</svg>") else "cut short"
        elif path.suffix == ".csv":
            with path.open(newline="") as file:
                widths = {len(row) for row in csv.reader(file)}
            return "" if len(widths) == 1 else f"rows of {widths} fields"
    except (ValueError, OSError, TrmError) as error:
        return f"{type(error).__name__} {error}"
    return ""


def _damage_of_folder(path: Path) -> str:
    if (path / "dataset.json").is_file():
        dataset = open_dataset(path)
        return "" if digest(dataset.meta, dataset.splits) == dataset.meta.digest else "digest"
    if (path / "checkpoints").is_dir() or (path / "SHA256SUMS").is_file():
        for sums in path.rglob("SHA256SUMS"):
            verify_checksums(sums.parent)
        return ""
    if path.name == "runs":
        for run in path.glob("*/*"):
            for file in ("config.json", "checkpoints"):
                if not (run / file).exists():
                    return f"{run} has no {file}"
        return ""
    raise _UncheckedError


def sign(folder: Path) -> None:
    """Write the checksums and digests anew that are in a folder, so that a damage gets further."""
    for file in list(folder.rglob("SHA256SUMS")):
        lines = []
        for path in sorted(file.parent.rglob("*")):
            if path != file and stat.S_ISREG(path.lstat().st_mode):
                sha = hashlib.sha256(path.read_bytes()).hexdigest()
                lines.append(f"{sha}  {path.relative_to(file.parent).as_posix()}\n")
        if stat.S_ISREG(file.lstat().st_mode):
            file.write_bytes(os.fsencode("".join(lines)))
    for file in folder.rglob("dataset.json"):
        if not (stat.S_ISREG(file.lstat().st_mode) and file.parent.name not in ("train", "test")):
            continue
        with contextlib.suppress(Exception):  # what cannot be opened needs no digest
            dataset = open_dataset(file.parent)
            value = digest(dataset.meta, dataset.splits)
            file.write_text(file.read_text().replace(read_meta(file.parent).digest, value))
