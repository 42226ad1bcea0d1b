"""How much memory and disk a dataset takes, checked before it is built."""

import contextlib
import os
import shutil
from pathlib import Path

from trm.errors import InputError
from trm.storage import size_text, storage_errors

_CGROUP_LIMIT = Path("/sys/fs/cgroup/memory.max")


def check_build_size(out: Path, *, memory: int, disk: int, advice: str) -> None:
    """Refuse to build what cannot fit.

    Args:
        out: the data folder, which need not exist.
        memory, disk: an estimate of the bytes that building takes.
        advice: the last sentence of the message.

    Raises:
        InputError: if the memory or the disk is too small.
        StorageError: if the folder cannot be asked for its disk.
    """
    with storage_errors(out):
        existing = next(folder for folder in out.absolute().parents if folder.is_dir())
        places = (
            (memory, _total_memory(), "this machine has {} of memory"),
            (disk, shutil.disk_usage(existing).free, f"the disk of {out} has {{}} free"),
        )
    for needed, there, place in places:
        if there is not None and needed > there:
            raise InputError(
                f"the dataset would take about {size_text(needed)}, but "
                f"{place.format(size_text(there))}. {advice}"
            )


def _total_memory() -> int | None:
    """The memory of the machine or the container in bytes; None where the system does not say."""
    try:
        total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    with contextlib.suppress(OSError, ValueError):  # no container, or "max"
        total = min(total, int(_CGROUP_LIMIT.read_text()))
    return total
