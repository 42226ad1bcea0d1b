"""The names of ARC identifiers: ``ID`` for a task, ``ID|||t3|||0213456789`` for a copy of it.

As in the published data, the name of a copy has the number of its symmetry and the new colour of
each old colour. So the transforms of a copy can be undone from its name alone.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import identity_permutations
from trm.errors import DataError
from trm.tasks.arc.grids import FIRST_COLOR, VOCAB_SIZE
from trm.tasks.arc.symmetry import NUM_SYMMETRIES

BLANK = b"<blank>"

#: What stands between the parts of a name.
SEPARATOR = "|||"
_SEPARATOR = SEPARATOR.encode()
#: The part of a copy's name after the ID, with 0 for each digit.
_SUFFIX = np.frombuffer(b"|||t0|||0000000000", np.uint8)
_SYMMETRY_AT, _COLORS_AT = 4, 8
_ZERO = np.uint8(ord("0"))


def make_names(
    ids: NDArray[np.bytes_],
    puzzle_offsets: NDArray[np.integer[Any]],
    symmetry: NDArray[np.integer[Any]],
    permutation: NDArray[np.uint8],
) -> NDArray[np.bytes_]:
    """The names of identifier 0 and of each puzzle.

    Args:
        ids: (groups,) byte strings, the IDs of the tasks.
        puzzle_offsets: (groups + 1,), the puzzles of each group; the first is the original.
        symmetry: (puzzles,), 0 to 7.
        permutation: (puzzles, 12), the new token of each token.

    Returns:
        (1 + puzzles,) byte strings.

    Raises:
        DataError: if an ID contains the separator ``|||``.
    """
    separated = np.char.find(ids, _SEPARATOR) >= 0
    if separated.any():
        raise DataError(
            f"task ID {_quoted(ids[separated][0])} contains {_SEPARATOR.decode()!r}, which "
            "separates the parts of an identifier's name. Give the task another ID."
        )
    num_puzzles, width = int(puzzle_offsets[-1]), ids.dtype.itemsize
    room = max(width + len(_SUFFIX), len(BLANK))
    letters = np.zeros((1 + num_puzzles, room), np.uint8)
    letters[0, : len(BLANK)] = np.frombuffer(BLANK, np.uint8)
    repeats = np.diff(puzzle_offsets)
    letters[1:, :width] = np.repeat(_letters(ids), repeats, axis=0)
    end = np.repeat(np.char.str_len(ids), repeats)
    copies = np.ones(num_puzzles, bool)
    copies[puzzle_offsets[:-1][repeats > 0]] = False
    rows, end = np.flatnonzero(copies), end[copies]
    for position, letter in enumerate(_SUFFIX):
        what = np.full(len(rows), letter)
        if position == _SYMMETRY_AT:
            what += symmetry[rows].astype(np.uint8)
        elif position >= _COLORS_AT:
            what += permutation[rows, position - _COLORS_AT + FIRST_COLOR] - np.uint8(FIRST_COLOR)
        letters[1 + rows, end + position] = what
    return letters.reshape(-1).view(f"S{room}")


def parse_names(
    names: NDArray[np.bytes_],
) -> tuple[NDArray[np.bytes_], NDArray[np.int32], NDArray[np.uint8]]:
    """Parse names; the inverse of :func:`make_names`.

    Args:
        names: (n,) byte strings.

    Returns:
        The IDs (n,), the symmetries (n,) and the permutations of tokens (n, 12). Those of an
        original change nothing.

    Raises:
        DataError: for a name with separators that is not the name of a copy.
    """
    letters, end = _letters(names), np.char.str_len(names)
    copies = np.flatnonzero(np.char.find(names, _SEPARATOR) >= 0)
    start = end[copies] - len(_SUFFIX)
    _refuse_invalid(names[copies], start < 0)
    symmetry = np.zeros(len(names), np.int32)
    permutation = identity_permutations(len(names), VOCAB_SIZE)
    for position, letter in enumerate(_SUFFIX):
        actual = letters[copies, start + position]
        if position == _SYMMETRY_AT:
            symmetry[copies] = actual - _ZERO
            _refuse_invalid(names[copies], symmetry[copies] >= NUM_SYMMETRIES)
        elif position >= _COLORS_AT:
            color = actual - _ZERO
            permutation[copies, position - _COLORS_AT + FIRST_COLOR] = color + np.uint8(FIRST_COLOR)
        else:
            _refuse_invalid(names[copies], actual != letter)
    once = np.sort(permutation[copies], axis=1) == np.arange(VOCAB_SIZE)
    _refuse_invalid(names[copies], ~once.all(axis=1))
    ids = letters.copy()
    ids[copies] *= np.arange(letters.shape[1]) < start[:, None]
    return ids.reshape(-1).view(names.dtype), symmetry, permutation


def find_copies(names: NDArray[np.bytes_], task_id: bytes) -> NDArray[np.int64]:
    """The places of the names of a task and its copies, the task itself first."""
    copies = np.flatnonzero(np.char.startswith(names, task_id + _SEPARATOR))
    return np.concatenate((np.flatnonzero(names == task_id), copies))


def _letters(names: NDArray[np.bytes_]) -> NDArray[np.uint8]:
    """The characters (n, width) of byte strings (n,), 0 after the end."""
    width = names.dtype.itemsize
    return np.ascontiguousarray(names).view(np.uint8).reshape(len(names), width)


def _refuse_invalid(names: NDArray[np.bytes_], invalid: NDArray[np.bool_]) -> None:
    if invalid.any():
        raise DataError(
            f"identifier {_quoted(names[invalid][0])} is not the name of an ARC task or of a copy, "
            "such as 'ID|||t3|||0213456789'. Build the data again."
        )


def _quoted(name: bytes) -> str:
    return repr(name.decode(errors="replace"))
