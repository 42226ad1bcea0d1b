"""The augmentations of ARC: the eight symmetries of a square, new colours, and translation.

As in the published code (``dataset/build_arc_dataset.py`` and ``dataset/common.py`` of the TRM
repository): black stays black, input and output are translated together, and one example of each
puzzle is not translated.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.data import PAD, Augmentation, BatchTransforms, Transforms, random_permutations
from trm.errors import DataError
from trm.tasks.arc.grids import END, FIRST_COLOR, MAX_SIDE, SEQ_LEN, VOCAB_SIZE
from trm.tasks.arc.symmetry import INVERSE, NUM_SYMMETRIES, SYMMETRIES
from trm.tasks.compiled import njit
from trm.tasks.splitmix import Hashes, hash_columns

Tokens = NDArray[np.integer[Any]]
Bytes = NDArray[np.uint8]
Numbers = NDArray[np.int64]

# The uses of a row's random numbers.
_UNMOVED, _DOWN, _RIGHT = 1, 2, 3


class ArcAugmentation(Augmentation):
    """Symmetries, colours and translations of encoded grids.

    Args:
        seed: decides the translations. Each depends only on the augmented puzzle and the example.
        translate: whether to translate grids from the top left, as in training.
    """

    num_symmetries = NUM_SYMMETRIES
    first_free = FIRST_COLOR

    def __init__(self, seed: int, translate: bool) -> None:
        self._seed = seed % 2**64
        self._translate = translate

    def apply(
        self, inputs: Tokens, labels: Tokens, transforms: BatchTransforms
    ) -> tuple[Tokens, Tokens]:
        """Transform grids at the top left; see :meth:`trm.data.Augmentation.apply`."""
        _check(transforms, inputs, labels)
        moves, down, right = self.translations(transforms)
        new_inputs, new_labels = np.empty((2, *inputs.shape), np.uint8)
        _apply(
            _as_bytes(inputs), _as_bytes(labels), SYMMETRIES[transforms.symmetry],
            _as_bytes(transforms.permutation), moves, down, right, new_inputs, new_labels,
        )  # fmt: skip
        return (
            new_inputs.astype(inputs.dtype, copy=False),
            new_labels.astype(labels.dtype, copy=False),
        )

    def undo(self, tokens: Tokens, transforms: BatchTransforms) -> Tokens:
        """See :meth:`trm.data.Augmentation.undo`.

        A grid is the largest rectangle of colours that starts at the first row and the first column
        that are not empty, or at the top left without translation.
        """
        _check(transforms, tokens)
        moves, _, _ = self.translations(transforms)
        original = np.empty(tokens.shape, np.uint8)
        _undo(
            _as_bytes(tokens), SYMMETRIES[INVERSE[transforms.symmetry]],
            np.argsort(transforms.permutation, axis=1).astype(np.uint8), moves, original,
        )  # fmt: skip
        return original.astype(tokens.dtype, copy=False)

    def draw(self, count: int, rng: np.random.Generator) -> Transforms:
        """See :meth:`trm.data.Augmentation.draw`."""
        symmetry = rng.integers(0, NUM_SYMMETRIES, size=count, dtype=np.int32)
        return Transforms(symmetry, random_permutations(count, VOCAB_SIZE, FIRST_COLOR + 1, rng))

    def translations(
        self, transforms: BatchTransforms
    ) -> tuple[NDArray[np.bool_], Numbers, Numbers]:
        """Whether each row (batch,) is translated, and random numbers (batch,) >= 0 for how far.

        They depend on the symmetry and the permutation too: a puzzle that is drawn again is
        translated in another way.
        """
        if not self._translate:
            zeros = np.zeros(len(transforms.puzzles), np.int64)
            return zeros > 0, zeros, zeros
        shifts = np.arange(4, 4 * (1 + VOCAB_SIZE), 4, dtype=np.uint64)
        packed = (transforms.permutation.astype(np.uint64) << shifts).sum(axis=1, dtype=np.uint64)
        drawn = packed + transforms.symmetry.astype(np.uint64)
        puzzle = hash_columns(self._seed, transforms.puzzles, drawn)
        example = transforms.example_index
        moves = _positive(hash_columns(puzzle, _UNMOVED)) % transforms.num_examples != example
        down, right = (_positive(hash_columns(puzzle, use, example)) for use in (_DOWN, _RIGHT))
        return moves, down, right


def _positive(hashes: Hashes) -> Numbers:
    return (hashes >> np.uint64(1)).astype(np.int64)


def _as_bytes(tokens: Tokens) -> Bytes:
    return np.ascontiguousarray(tokens, np.uint8)


def _check(transforms: BatchTransforms, *tokens: Tokens) -> None:
    """Refuse values that the compiled functions cannot use as indices."""
    known = ((transforms.symmetry >= 0) & (transforms.symmetry < NUM_SYMMETRIES)).all()
    complete = transforms.permutation.shape[1:] == (VOCAB_SIZE,)
    if not known or not complete or any(part.shape[1:] != (SEQ_LEN,) for part in tokens):
        raise DataError(
            f"ARC puzzles need {SEQ_LEN} tokens, a symmetry below {NUM_SYMMETRIES} and a "
            f"permutation of {VOCAB_SIZE} tokens. Build the data again."
        )


@njit
def grid_size_at(tokens: Bytes, down: int, right: int) -> tuple[int, int]:
    """The rows and columns of the largest rectangle of colours in tokens (900,) at this cell.

    The one with the fewest rows if several have the same area; 0 and 0 if the cell has no colour.
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


@njit
def _write_grid(
    old: Bytes, start: int, rows: int, columns: int, symmetry: Numbers, permutation: Bytes,
    new: Bytes, down: int, right: int,
) -> None:  # fmt: skip
    """Write the grid at cell ``start`` of old (900,), transformed, into new (900,)."""
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
            new[target + column] = permutation[old[source + column * column_step]]
        if right + columns < MAX_SIDE:
            new[target + columns] = END
    if down + rows < MAX_SIDE:
        below = first + rows * MAX_SIDE
        new[below : below + columns] = END


@njit
def _changes(symmetry: Numbers, permutation: Bytes) -> bool:
    """Whether this symmetry (3,) and this permutation (12,) change any grid."""
    for token in range(len(permutation)):
        if permutation[token] != token:
            return True
    return bool(symmetry.any())


@njit
def _apply(
    inputs: Bytes, labels: Bytes, symmetry: Numbers, permutation: Bytes,
    moves: NDArray[np.bool_], down_random: Numbers, right_random: Numbers,
    new_inputs: Bytes, new_labels: Bytes,
) -> None:  # fmt: skip
    """Transform inputs and labels (batch, 900); see :meth:`ArcAugmentation.apply`."""
    for b in range(len(inputs)):
        if not (moves[b] or _changes(symmetry[b], permutation[b])):
            new_inputs[b], new_labels[b] = inputs[b], labels[b]
            continue
        in_rows, in_columns = grid_size_at(inputs[b], 0, 0)
        out_rows, out_columns = grid_size_at(labels[b], 0, 0)
        down = right = 0
        if moves[b]:
            height, width = max(in_rows, out_rows), max(in_columns, out_columns)
            if symmetry[b, 2]:
                height, width = width, height
            down = int(down_random[b]) % (MAX_SIDE - height + 1)
            right = int(right_random[b]) % (MAX_SIDE - width + 1)
        _write_grid(
            inputs[b],
            0,
            in_rows,
            in_columns,
            symmetry[b],
            permutation[b],
            new_inputs[b],
            down,
            right,
        )
        _write_grid(
            labels[b],
            0,
            out_rows,
            out_columns,
            symmetry[b],
            permutation[b],
            new_labels[b],
            down,
            right,
        )


@njit
def _first_used(tokens: Bytes) -> tuple[int, int]:
    """The first row and the first column of tokens (900,) that are not empty."""
    down = right = MAX_SIDE - 1
    for row in range(MAX_SIDE - 1, -1, -1):
        for column in range(MAX_SIDE):
            if tokens[row * MAX_SIDE + column] != PAD:
                down, right = row, min(right, column)
                break
    return down, right


@njit
def _undo(
    tokens: Bytes, inverse: Numbers, permutation: Bytes, moves: NDArray[np.bool_], original: Bytes
) -> None:
    """Undo the transforms of tokens (batch, 900); see :meth:`ArcAugmentation.undo`."""
    for b in range(len(tokens)):
        if not (moves[b] or _changes(inverse[b], permutation[b])):
            original[b] = tokens[b]
            continue
        down, right = _first_used(tokens[b]) if moves[b] else (0, 0)
        rows, columns = grid_size_at(tokens[b], down, right)
        start = down * MAX_SIDE + right
        _write_grid(tokens[b], start, rows, columns, inverse[b], permutation[b], original[b], 0, 0)


@njit
def grid_sizes(tokens: Bytes) -> NDArray[np.uint8]:
    """The rows and columns (batch, 2) of the grids at the top left of tokens (batch, 900)."""
    sizes = np.empty((len(tokens), 2), np.uint8)
    for b in range(len(tokens)):
        sizes[b, 0], sizes[b, 1] = grid_size_at(tokens[b], 0, 0)
    return sizes
