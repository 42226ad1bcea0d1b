"""Keeps two processes from writing the same file of results."""

import contextlib
from io import FileIO
from pathlib import Path

from trm.errors import InputError
from trm.runs.lock import try_lock


def lock_file(file: FileIO, path: Path, advice: str) -> None:
    """Lock an open file until it is closed. Where there are no locks, nothing happens.

    Raises:
        InputError: if another process has locked it; the message ends with the advice.
    """
    with contextlib.suppress(OSError):  # without locks, write without one
        if not try_lock(file):
            raise InputError(f"{path} is being written by another process. {advice}")
