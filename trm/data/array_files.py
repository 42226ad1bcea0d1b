"""The arrays of a data folder: small ones are read, large ones are mapped into memory."""

import mmap
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import DataError
from trm.reading import FileReader

READER = FileReader(DataError, "Build the data again.")
#: A larger array stays on disk until it is used, and the processes of a machine share it.
MAX_IN_MEMORY = 64 << 20


def open_array(file: Path) -> NDArray[Any]:
    """Open a ``.npy`` file. The array cannot be written to.

    Raises:
        DataError: if it is missing or damaged.
    """
    array = READER.array(file)
    if array.nbytes > MAX_IN_MEMORY:
        return array
    array = np.array(array, order="K")
    array.flags.writeable = False
    return array


def check_still_whole(array: NDArray[Any]) -> None:
    """Refuse an array whose file was cut short: to read what is gone would kill the process.

    Raises:
        DataError: if the array is mapped from a file that is shorter now.
    """
    mapping: Any = array.base
    if isinstance(array, np.memmap) and isinstance(mapping, mmap.mmap):
        needed = array.offset + array.nbytes
        if (size := mapping.size()) < needed:
            raise DataError(
                f"{array.filename} was cut short from {needed:,} to {size:,} bytes while it was "
                f"in use. {READER.advice}"
            )
