"""Checking the contents of a data folder once, not each time that it is opened."""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from trm.data.array_files import READER
from trm.errors import TrmError
from trm.storage import cache_folder, write_text

#: Increase it when the checks of :mod:`trm.data.checks` change.
_CHECKS_VERSION = 1
#: Fewer bytes are checked each time, which takes milliseconds.
MIN_BYTES = 8 << 20


def remembered(files: Iterable[Path], facts: Any, check: Callable[[], str]) -> str:
    """What ``check`` returned for these files; it runs again only if one of them has changed.

    A file is unchanged if its path, its size, its inode and the times of its changes are. If the
    cache folder cannot be used, ``check`` runs each time.

    Args:
        files: what ``check`` reads.
        facts: what else the result depends on, as JSON values.
        check: raises an error if the contents are invalid, and returns their digest.
    """
    found = {str(file.resolve()): file.stat() for file in files}
    if sum(status.st_size for status in found.values()) < MIN_BYTES:
        return check()
    state = {
        path: (status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns)
        for path, status in found.items()
    }
    key = json.dumps((_CHECKS_VERSION, state, facts), sort_keys=True)
    name = hashlib.sha256(key.encode()).hexdigest()
    # Without a home folder there is a RuntimeError.
    with contextlib.suppress(TrmError, OSError, RuntimeError):
        known = READER.text(cache_folder() / "data" / name).strip()
        if len(known) == len(name):
            return known
    digest = check()
    with contextlib.suppress(TrmError, OSError, RuntimeError):
        write_text(cache_folder() / "data" / name, digest + "\n")
    return digest
