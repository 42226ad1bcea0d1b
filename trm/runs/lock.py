"""One process trains in a run folder: it holds a lock there, which ends with the process.

The system keeps the lock (``flock``), not the file: a process that was killed leaves none behind,
and the ``.lock`` that stays means nothing. POSIX systems only.
"""

import contextlib
import errno
import fcntl
import os
import socket
import time
import warnings
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from trm.errors import ConfigError
from trm.storage import storage_errors

LOCK_FILE = ".lock"
#: What a file system without locks answers, such as some network ones.
_NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
_TRIES, _PAUSE_S = 1000, 0.001
#: The locks of this process, which a forked child must let go: it would hold them after us.
_held: set[FileIO] = set()


@contextlib.contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep other processes from training in a run folder, while the block runs.

    Child processes do not hold the lock. On a file system without locks there is a warning
    instead: better to train unguarded there than not at all.

    Args:
        folder: the run folder, made if missing.

    Raises:
        ConfigError: if another process trains there.
        StorageError: if the place may not be written.
    """
    path = folder / LOCK_FILE
    with contextlib.ExitStack() as stack:
        with storage_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context(FileIO(path, "ab+"))  # makes it, and empties none
            _take(file, folder)
            file.truncate(0)
            file.write(f"{os.getpid()} {socket.gethostname()}\n".encode())
        _held.add(file)
        stack.callback(_held.discard, file)
        yield


def check_not_locked(folder: Path) -> None:
    """Find out before processes are started whether another one trains there.

    Raises:
        ConfigError: if one does.
    """
    if is_locked(folder):
        with run_lock(folder):
            pass  # it has just ended


def is_locked(folder: Path) -> bool:
    """Whether a process trains in this run folder, this one included.

    Nothing is written, and nobody is kept from starting to train there. False too where it cannot
    be told: on a file system without locks, or if the lock may not be read.
    """
    path = folder / LOCK_FILE
    try:
        if not path.is_file():  # a pipe, for one: opening it would wait for somebody
            return False
        with path.open("rb") as file:
            return not _try(file.fileno(), fcntl.LOCK_SH)
    except OSError:
        return False


def _take(file: FileIO, folder: Path) -> None:
    try:
        for _ in range(_TRIES):
            if _try(file.fileno(), fcntl.LOCK_EX):
                return
            if not _try(file.fileno(), fcntl.LOCK_SH):
                break
            # Nobody trains there: is_locked of another process looks at this moment.
            fcntl.flock(file.fileno(), fcntl.LOCK_UN)
            time.sleep(_PAUSE_S)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        warnings.warn(
            f"{folder} is on a file system without locks. Start no second run of that name.",
            stacklevel=4,
        )
        return
    raise ConfigError(
        f"{folder} is being trained by {_holder(file)}. Wait for it, or choose another --run-name."
    )


def _try(handle: int, kind: int) -> bool:
    """Take a lock if it can be had at once."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(file: FileIO) -> str:
    """Who says in the file that it holds the lock."""
    file.seek(0)
    words = file.read(300).decode(errors="replace").split()
    if len(words) != 2 or not words[0].isdecimal():
        return "another process"  # which has not written its name yet
    return f"process {words[0]} on host {words[1]}"


def _let_go() -> None:
    """Close the locks that a forked child got with its memory; the parent keeps them."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
