"""splitmix64 (Steele, Lea and Flood, OOPSLA 2014): random numbers and hashes of 64 bits.

It uses integers only, so the results are the same on every machine.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.tasks.compiled import njit

Hashes = NDArray[np.uint64]

GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_FACTOR_1, _FACTOR_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_27, _30, _31, _32 = (np.uint64(shift) for shift in (27, 30, 31, 32))


def scramble(words: Hashes) -> Hashes:
    """The output function of splitmix64: a bijection of 64-bit numbers that looks random."""
    words = (words ^ (words >> _30)) * _FACTOR_1
    words = (words ^ (words >> _27)) * _FACTOR_2
    scrambled: Hashes = words ^ (words >> _31)
    return scrambled


#: :func:`scramble` of a single number, for compiled code.
scramble_word: Any = njit(scramble)


def mix(values: Hashes) -> Hashes:
    """The number that splitmix64 draws from each state."""
    return scramble(values + GOLDEN_GAMMA)


def hash_columns(*columns: NDArray[np.integer[Any]] | int) -> Hashes:
    """Hashes (n,) of the rows of a table, given as columns (n,); the order of columns matters."""
    total = np.zeros(1, np.uint64)
    for column in columns:
        total = mix(total ^ np.atleast_1d(np.asarray(column)).astype(np.uint64))
    return total


@njit
def next_word(state: Hashes) -> np.uint64:
    """A random number of 64 bits; advances the state (1,)."""
    state[0] += GOLDEN_GAMMA
    word: np.uint64 = scramble_word(state[0])
    return word


@njit
def next_below(state: Hashes, bound: int) -> int:
    """A random integer from 0 to ``bound - 1``; advances the state (1,)."""
    return int(np.int64(((next_word(state) >> _32) * np.uint64(bound)) >> _32))
