"""The lock of a run folder: only one process trains there at a time.

The operating system holds the lock (``flock``), so it ends with the process, even a killed one. The
file ``.lock`` stays and means nothing by itself. Windows has no such locks.

``filelock`` does not do this: see "filelock in place of our own lock" in ``docs/experiments.md``.
"""

import contextlib
import errno
import os
import socket
import time
import warnings
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

from trm.errors import ConfigError, TrmWarning
from trm.storage import check_is_file, storage_errors

LOCK_FILE = ".lock"
#: The errors of file systems without locks, such as some network file systems.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_MAX_TRIES, _PAUSE_S = 1000, 0.001
#: The locks of this process. A forked child closes them, or it would hold them after its parent.
_held: set[FileIO] = set()


def run_lock(folder: Path) -> contextlib.AbstractContextManager[None]:
    """Keep other processes from training in a run folder while the block runs.

    Args:
        folder: the run folder, created if missing.

    Raises:
        ConfigError: if another process trains there.
        StorageError: if the folder cannot be written.
    """
    advice = "Wait for it, or choose another --run-name."
    return locked_file(folder / LOCK_FILE, f"{folder} is being trained by", advice)


@contextlib.contextmanager
def locked_file(path: Path, held: str, advice: str) -> Iterator[None]:
    """Hold the lock of a file while the block runs.

    Child processes do not hold the lock. On a file system without locks there is only a warning.

    Args:
        path: the file, created with its folder if missing.
        held: the beginning of the message if another process holds the lock. The name of that
            process follows.
        advice: the end of that message.

    Raises:
        ConfigError: if another process holds the lock.
        StorageError: if the file cannot be written.
    """
    with contextlib.ExitStack() as stack:
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            check_is_file(path)
            file = stack.enter_context(
                FileIO(path, "ab+")
            )  # creates the file, and keeps its content
            if not _acquire(file, path.parent):
                raise ConfigError(f"{held} {_holder(file)}. {advice}")
            file.truncate(0)
            file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())
        _held.add(file)
        stack.callback(_held.discard, file)
        yield


def check_not_locked(folder: Path) -> None:
    """Check that no process trains in a run folder.

    Raises:
        ConfigError: if one does.
    """
    if is_locked(folder):
        with run_lock(folder):
            pass  # the other process has just ended


def is_locked(folder: Path) -> bool:
    """Whether a process (or this one) trains in this run folder.

    Nothing is written, and no other process is kept from starting to train. False if unknown: on a
    file system without locks, or if the lock cannot be read.
    """
    path = folder / LOCK_FILE
    try:
        if not path.is_file():  # opening a pipe would wait for its other end
            return False
        with path.open("rb") as file:
            return not try_lock(file, shared=True)
    except OSError:
        return False


def _acquire(file: FileIO, folder: Path) -> bool:
    """Lock a file, without waiting for a process that holds it; True if there are no locks."""
    try:
        for _ in range(_MAX_TRIES):
            if try_lock(file):
                return True
            if not try_lock(file, shared=True):
                break
            # Nobody trains there. Another process is in is_locked at this moment.
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            time.sleep(_PAUSE_S)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        where = "a file system" if fcntl is not None else "an operating system"
        warnings.warn(
            f"{folder} is on {where} without file locks. Let no second process work there.",
            TrmWarning,
            stacklevel=4,
        )
        return True
    return False


def try_lock(file: IO[bytes] | FileIO, *, shared: bool = False) -> bool:
    """Lock an open file without waiting. Its end, or that of the process, ends the lock.

    Args:
        file: the file.
        shared: let others take a shared lock too.

    Returns:
        False if another process holds the lock.

    Raises:
        OSError: if the file system has no locks, or the operating system.
    """
    if fcntl is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    try:
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: FileIO) -> str:
    """The process that holds the lock, as it wrote into the file."""
    file.seek(0)
    words = file.read(300).decode(errors="replace").split()
    if len(words) != 2 or not words[0].isdecimal():
        return "another process"  # it has not written its name yet
    return f"process {words[0]} on host {words[1]}"


def _close_in_child() -> None:
    """Close the locks that a forked child inherited; the parent keeps them."""
    for file in _held:
        file.close()
    _held.clear()


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_close_in_child)
