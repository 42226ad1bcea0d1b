"""The augmentations of ARC: the eight symmetries of a square, new colours, and translation.

As published (``dataset/build_arc_dataset.py`` and ``dataset/common.py`` of the TRM repository):
black stays black; input and output move together; of a puzzle's examples all but one are moved.
"""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trm.data import PAD, Augmentation, BatchTransforms, Transforms
from trm.errors import DataError
from trm.tasks.arc.grids import END, MAX_SIDE, SEQ_LEN
from trm.tasks.arc.identifier_names import FIRST_COLOR, NUM_SYMMETRIES, VOCAB_SIZE
from trm.tasks.splitmix import Hashes, hashed

Tokens = NDArray[np.integer[Any]]
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

#: What each symmetry, numbered as published, does: reverse the rows, reverse the columns, transpose
#: what that gives. 1 to 3 are quarter turns to the left, 4 to 7 reflections.
SYMMETRIES = np.array(
    [
        (0, 0, 0), (0, 1, 1), (1, 1, 0), (1, 0, 1),
        (0, 1, 0), (1, 0, 0), (0, 0, 1), (1, 1, 1),
    ]
)  # fmt: skip
INVERSE = np.array([0, 3, 2, 1, 4, 5, 6, 7])

# What a row's random numbers are for.
_UNMOVED, _DOWN, _RIGHT = 1, 2, 3


class ArcAugmentation(Augmentation):
    """Symmetries, colours and translations of encoded grids.

    Args:
        seed: decides the translations, each by the augmented puzzle and the example alone.
        translate: whether to move grids from the top left, as in training.
    """

    def __init__(self, seed: int, translate: bool) -> None:
        self._seed = seed % 2**64
        self._translate = translate

    def apply(self, inputs: Tokens, labels: Tokens, rows: BatchTransforms) -> tuple[Tokens, Tokens]:
        """Transform grids at the top left; see :meth:`trm.data.Augmentation.apply`."""
        _check(rows, inputs, labels)
        moves, down, right = self._translations(rows)
        new_inputs, new_labels = np.empty((2, *inputs.shape), np.uint8)
        _apply(
            _as_bytes(inputs), _as_bytes(labels), SYMMETRIES[rows.symmetry],
            _as_bytes(rows.permutation), moves, down, right, new_inputs, new_labels,
        )  # fmt: skip
        return (
            new_inputs.astype(inputs.dtype, copy=False),
            new_labels.astype(labels.dtype, copy=False),
        )

    def undo(self, tokens: Tokens, rows: BatchTransforms) -> Tokens:
        """See :meth:`trm.data.Augmentation.undo`.

        A grid is the largest rectangle of colours at the first row and the first column that are
        not empty.
        """
        _check(rows, tokens)
        moves, _, _ = self._translations(rows)
        original = np.empty(tokens.shape, np.uint8)
        _undo(
            _as_bytes(tokens), SYMMETRIES[INVERSE[rows.symmetry]],
            np.argsort(rows.permutation, axis=1).astype(np.uint8), moves, original,
        )  # fmt: skip
        return original.astype(tokens.dtype, copy=False)

    def draw(self, count: int, rng: np.random.Generator) -> Transforms:
        """See :meth:`trm.data.Augmentation.draw`."""
        symmetry = rng.integers(0, NUM_SYMMETRIES, size=count, dtype=np.int32)
        permutation = np.tile(np.arange(VOCAB_SIZE, dtype=np.uint8), (count, 1))
        colors = permutation[:, FIRST_COLOR + 1 :]
        permutation[:, FIRST_COLOR + 1 :] = rng.permuted(colors, axis=1)
        return Transforms(symmetry, permutation)

    def _translations(self, rows: BatchTransforms) -> tuple[NDArray[np.bool_], Numbers, Numbers]:
        """Whether each row (batch,) is moved, and random numbers (batch,) >= 0 that say where to.

        How a puzzle is augmented counts with its number, so that drawing it anew moves it anew.
        """
        if not self._translate:
            zeros = np.zeros(len(rows.puzzles), np.int64)
            return zeros > 0, zeros, zeros
        shifts = np.arange(4, 4 * (1 + VOCAB_SIZE), 4, dtype=np.uint64)
        packed = (rows.permutation.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)
        drawn = packed + rows.symmetry.astype(np.uint64)
        puzzle = hashed(self._seed, rows.puzzles, drawn)
        moves = _positive(hashed(puzzle, _UNMOVED)) % rows.num_examples != rows.example_index
        down, right = (
            _positive(hashed(puzzle, what, rows.example_index)) for what in (_DOWN, _RIGHT)
        )
        return moves, down, right


def turned(grid: NDArray[Any], symmetry: int) -> NDArray[Any]:
    """A grid under one of :data:`SYMMETRIES`."""
    reverse_rows, reverse_columns, transpose = SYMMETRIES[symmetry]
    moved = grid[:: -1 if reverse_rows else 1, :: -1 if reverse_columns else 1]
    return moved.T if transpose else moved


def _positive(hashes: Hashes) -> Numbers:
    return (hashes >> np.uint64(1)).astype(np.int64)


def _as_bytes(tokens: Tokens) -> Bytes:
    return np.ascontiguousarray(tokens, np.uint8)


def _check(rows: BatchTransforms, *tokens: Tokens) -> None:
    """Refuse what the compiled functions cannot index by."""
    known = ((rows.symmetry >= 0) & (rows.symmetry < NUM_SYMMETRIES)).all()
    named = rows.permutation.shape[1:] == (VOCAB_SIZE,)
    if not known or not named or any(part.shape[1:] != (SEQ_LEN,) for part in tokens):
        raise DataError(
            f"ARC copies have {SEQ_LEN} tokens, symmetries below {NUM_SYMMETRIES} and new names "
            f"of {VOCAB_SIZE} tokens; these have not. Build the data again."
        )


@njit(cache=True)
def corner(tokens: Bytes, down: int, right: int) -> tuple[int, int]:
    """Rows and columns of the largest rectangle of colours of tokens (900,) at this cell.

    The lowest of those of the same area; 0 and 0 if the cell has no colour.
    """
    best_rows = best_columns = 0
    columns = MAX_SIDE - right
    for row in range(down, MAX_SIDE):
        start = row * MAX_SIDE + right
        for column in range(columns):
            if tokens[start + column] < FIRST_COLOR or tokens[start + column] >= VOCAB_SIZE:
                columns = column
                break
        if columns == 0:
            break
        if (row - down + 1) * columns > best_rows * best_columns:
            best_rows, best_columns = row - down + 1, columns
    return best_rows, best_columns


@njit(cache=True)
def _draw_grid(
    old: Bytes, start: int, rows: int, columns: int, symmetry: Numbers, names: Bytes,
    new: Bytes, down: int, right: int,
) -> None:  # fmt: skip
    """Write the grid of old (900,) at cell ``start``, turned and renamed, into new (900,)."""
    reverse_rows, reverse_columns, transpose = symmetry
    row_step, column_step = MAX_SIDE, 1
    if reverse_rows:
        start, row_step = start + (rows - 1) * MAX_SIDE, -MAX_SIDE
    if reverse_columns:
        start, column_step = start + columns - 1, -1
    if transpose:
        row_step, column_step, rows, columns = column_step, row_step, columns, rows
    new[:] = PAD
    first = down * MAX_SIDE + right
    for row in range(rows):
        target, source = first + row * MAX_SIDE, start + row * row_step
        for column in range(columns):
            new[target + column] = names[old[source + column * column_step]]
        if right + columns < MAX_SIDE:
            new[target + columns] = END
    if down + rows < MAX_SIDE:
        below = first + rows * MAX_SIDE
        new[below : below + columns] = END


@njit(cache=True)
def _changes(symmetry: Numbers, names: Bytes) -> bool:
    """Whether this symmetry (3,) and these new names (12,) change any grid."""
    for token in range(len(names)):
        if names[token] != token:
            return True
    return bool(symmetry.any())


@njit(cache=True)
def _apply(
    inputs: Bytes, labels: Bytes, symmetry: Numbers, permutation: Bytes,
    moves: NDArray[np.bool_], down_chance: Numbers, right_chance: Numbers,
    new_inputs: Bytes, new_labels: Bytes,
) -> None:  # fmt: skip
    """Transform inputs and labels (batch, 900); see :meth:`ArcAugmentation.apply`."""
    for b in range(len(inputs)):
        if not (moves[b] or _changes(symmetry[b], permutation[b])):
            new_inputs[b], new_labels[b] = inputs[b], labels[b]
            continue
        in_rows, in_columns = corner(inputs[b], 0, 0)
        out_rows, out_columns = corner(labels[b], 0, 0)
        down = right = 0
        if moves[b]:
            height, width = max(in_rows, out_rows), max(in_columns, out_columns)
            if symmetry[b, 2]:
                height, width = width, height
            down = int(down_chance[b]) % (MAX_SIDE - height + 1)
            right = int(right_chance[b]) % (MAX_SIDE - width + 1)
        turn, names = symmetry[b], permutation[b]
        _draw_grid(inputs[b], 0, in_rows, in_columns, turn, names, new_inputs[b], down, right)
        _draw_grid(labels[b], 0, out_rows, out_columns, turn, names, new_labels[b], down, right)


@njit(cache=True)
def _first_used(tokens: Bytes) -> tuple[int, int]:
    """The first row and the first column of tokens (900,) that hold something."""
    down = right = MAX_SIDE - 1
    for row in range(MAX_SIDE - 1, -1, -1):
        for column in range(MAX_SIDE):
            if tokens[row * MAX_SIDE + column] != PAD:
                down, right = row, min(right, column)
                break
    return down, right


@njit(cache=True)
def _undo(
    tokens: Bytes, inverse: Numbers, names: Bytes, moves: NDArray[np.bool_], original: Bytes
) -> None:
    """Transform tokens (batch, 900) back; see :meth:`ArcAugmentation.undo`."""
    for b in range(len(tokens)):
        if not (moves[b] or _changes(inverse[b], names[b])):
            original[b] = tokens[b]
            continue
        down, right = _first_used(tokens[b]) if moves[b] else (0, 0)
        rows, columns = corner(tokens[b], down, right)
        start = down * MAX_SIDE + right
        _draw_grid(tokens[b], start, rows, columns, inverse[b], names[b], original[b], 0, 0)
