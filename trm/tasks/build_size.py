"""How much memory and disk a dataset takes, checked before it is built."""

import shutil
from pathlib import Path

from trm.errors import InputError
from trm.storage import machine_memory, size_text, storage_errors


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
    machine = machine_memory()
    total = None if machine is None else machine.total
    with storage_errors(out):
        existing = next(folder for folder in out.absolute().parents if folder.is_dir())
        places = (
            (memory, total, "this machine has {} of memory"),
            (disk, shutil.disk_usage(existing).free, f"the disk of {out} has {{}} free"),
        )
    for needed, there, place in places:
        if there is not None and needed > there:
            raise InputError(
                f"the dataset would take about {size_text(needed)}, but "
                f"{place.format(size_text(there))}. {advice}"
            )
