"""A hash of 64 bits, the same on every machine: what is decided by number and not by a stream."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]


def mix(values: Hashes) -> Hashes:
    """A bijection of 64-bit numbers that looks random (splitmix64: Steele et al., OOPSLA 2014)."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Hashes = values ^ (values >> np.uint64(31))
    return mixed


def hashed(*parts: NDArray[np.integer[Any]] | int) -> Hashes:
    """Hashes (n,) of the rows of columns (n,) of integers; their order counts."""
    total = np.zeros(1, np.uint64)
    for part in parts:
        column = np.atleast_1d(np.asarray(part)).astype(np.uint64)
        total = mix(total ^ column)
    return total
