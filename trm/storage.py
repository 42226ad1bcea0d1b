"""Atomic writing: a file or folder is written under another name, synced, then renamed."""

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from trm.errors import StorageError

#: Read once: reading it changes it for a moment, for all threads.
_UMASK = os.umask(0)
os.umask(_UMASK)

_REASONS = {
    errno.ENOSPC: "no space left on the disk. Free some, or choose another place",
    errno.EDQUOT: "the disk quota is used up. Free some, or choose another place",
    errno.EFBIG: "the file would be larger than allowed. Choose another place",
    errno.EACCES: "no permission to write there. Choose another place",
    errno.EPERM: "no permission to write there. Choose another place",
    errno.EROFS: "the file system is read-only. Choose another place",
    errno.ENOENT: "the folder does not exist and cannot be created. Choose another place",
    errno.EBUSY: "a folder of that name is in the way. Choose another place",
    errno.ENOTDIR: "a part of the path is a file, not a folder. Choose another place",
    errno.EEXIST: "a file of that name is in the way. Choose another place",
    errno.EISDIR: "a folder of that name is in the way. Choose another place",
    errno.ENAMETOOLONG: "the name is too long. Choose a shorter one",
}


def cache_folder() -> Path:
    """The folder for files that can be rebuilt: ``$XDG_CACHE_HOME/trm`` or ``~/.cache/trm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "trm"


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` about a full disk or missing permission into a :class:`StorageError`."""
    try:
        yield
    except OSError as error:
        # On a full disk numpy raises an error without a number: "10 requested and 4 written".
        is_full = error.errno is None and "requested and" in str(error)
        reason = _REASONS.get(errno.ENOSPC if is_full else error.errno or 0)
        if reason is None:
            raise
        raise StorageError(f"cannot write {path}: {reason}.") from error


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """A new folder to write into; it appears at ``path`` if the block ends without an error.

    It replaces an existing folder, also one behind a symbolic link.

    Raises:
        StorageError: if the disk is full or the folder cannot be written; nothing is left behind.
    """
    with storage_errors(path):
        path = path.resolve()
        if path.exists() and not path.is_dir():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent))
        try:
            yield temporary
            temporary.chmod(0o777 & ~_UMASK)
            for part in [*(p for p in temporary.rglob("*") if not p.is_symlink()), temporary]:
                _sync(part)
            _replace(temporary, path)
            _sync(path.parent)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


@contextlib.contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """A new file to write into; it appears at ``path`` if the block ends without an error.

    Raises:
        StorageError: if the disk is full or the file cannot be written; an existing file stays.
    """
    with storage_errors(path):
        _check_is_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o666 & ~_UMASK)
            Path(name).replace(path)
        finally:
            Path(name).unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Check that a file can be written, for example before a long computation.

    Raises:
        StorageError: if it cannot.
    """
    with storage_errors(path):
        _check_is_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent):
            pass


def _check_is_file(path: Path) -> None:
    """Refuse to replace a folder or a device such as /dev/null."""
    if path.exists() and not path.is_file():
        code = errno.EISDIR if path.is_dir() else errno.EEXIST
        raise OSError(code, os.strerror(code), str(path))


def write_text(path: Path, text: str) -> None:
    """Write a text file; see :func:`atomic_file`."""
    with atomic_file(path) as file:
        file.write(text.encode("utf-8"))


def replace_symlink(link: Path, target: Path) -> None:
    """Make ``link`` a relative symbolic link to ``target``, replacing it in one step."""
    temporary = link.with_name(f".{link.name}.tmp")
    with storage_errors(link):
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(os.path.relpath(target, link.parent))
            temporary.replace(link)
        finally:
            temporary.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``. An existing folder is renamed first, and removed afterwards."""
    if not path.exists():
        new.rename(path)
        return
    old = Path(tempfile.mkdtemp(prefix=f".{path.name}.", suffix=".old", dir=path.parent))
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
