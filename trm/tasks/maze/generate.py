"""Random mazes with a long way, as the published ones are.

A maze has its own share of walls, drawn between 0.3 and 0.5; every cell is a wall with that
probability. S is a random open cell, G one of the open cells that are far enough from S. A maze
is kept in proportion to how many such cells it has, where they are no more than an eighth of the
board. By these rules wall share, path length, open 2x2 blocks and the straight distance of S and
G agree with the published mazes (``tests/tasks/maze/test_generate.py``).

At 30x30 one maze in ten thousand is kept, so drawing and flooding are done on whole rows of bits:
bit c of word r is the cell in row r, column c.

All randomness comes from 64-bit seeds drawn from the caller's numpy generator and expanded by
splitmix64 (Steele, Lea and Flood, 2014), with integers alone: an equal generator gives the same
mazes on every machine.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from trm.errors import InputError
from trm.tasks.maze.geometry import GOAL, NUM_SYMMETRIES, OPEN, START, WALL, symmetry_cells

Rows = NDArray[np.uint64]
Mazes = NDArray[np.uint8]

MAX_SIZE = 64
"""The bits of a word."""

LOOKS, PATIENCE = 20_000, 250
"""Mazes looked at in one run, and runs in a row without a new one before `generate` gives up."""

# Wall shares in 65536ths.
LEAST_WALLS, MOST_WALLS = 19661, 32768
# The constants of splitmix64.
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_27, SHIFT_30, SHIFT_31, SHIFT_32 = (np.uint64(shift) for shift in (27, 30, 31, 32))
ZERO, ONE = np.uint64(0), np.uint64(1)


def default_min_path(size: int) -> int:
    """The least cells of a path, S and G included: 110 at 30x30 as published, 20 at 8x8.

    It grows with the size to the power of 1.3; longer ways soon become too rare to be drawn.
    """
    num_cells: float = 110 * (size / 30) ** 1.3
    return max(2, round(num_cells))


def generate(size: int, count: int, min_path: int, rng: np.random.Generator) -> Mazes:
    """Draw mazes (count, size * size) whose shortest path has ``min_path`` cells or more.

    No two of them are symmetric copies. A larger ``count`` with an equal generator gives the same
    mazes first.

    Raises:
        InputError: if the size is out of range, or so many such mazes are not to be found.
    """
    if not 2 <= size <= MAX_SIZE:
        raise InputError(f"--size {size}: mazes of 2 to {MAX_SIZE} can be generated. Change it.")
    found: list[Mazes] = []
    seen: set[bytes] = set()
    barren = 0
    while len(found) < count:
        seed = rng.integers(0, 2**64, size=1, dtype=np.uint64)
        maze = np.empty(size * size, np.uint8)
        copy = _draw(seed, size, min_path, maze) and canonical(maze)
        barren += 1
        if copy and copy not in seen:
            found.append(maze)
            seen.add(copy)
            barren = 0
        if barren == PATIENCE:
            raise InputError(
                f"found only {len(found)} of {count} mazes for --size {size} with --min-path "
                f"{min_path}. Ask for fewer, for a larger --size or for a shorter --min-path."
            )
    return np.stack(found) if found else np.empty((0, size * size), np.uint8)


def canonical(maze: Mazes) -> bytes:
    """What is the same for a maze (size * size,) and its symmetric copies, and for no other."""
    size = round(len(maze) ** 0.5)
    moved = maze[symmetry_cells(size, np.arange(NUM_SYMMETRIES))]
    return min(bytes(copy.data) for copy in moved)


@njit(cache=True)
def _draw(seed: Rows, size: int, min_path: int, maze: Mazes) -> bool:
    """Write a maze (size * size,) drawn from a seed (1,); False if the run found none."""
    stream = seed.copy()
    rows = np.zeros(size + 2, np.uint64)  # with an empty row on each side
    left, front, after = rows.copy(), rows.copy(), rows.copy()
    most = max(1, size * size // 8)
    for _ in range(LOOKS):
        if not _draw_open_cells(stream, rows, size):
            continue
        start = _below(stream, size * size)
        while not _has(rows, start, size):
            start = _below(stream, size * size)
        left[:] = rows
        front[:] = ZERO
        front[start // size + 1] = ONE << np.uint64(start % size)
        left[start // size + 1] ^= front[start // size + 1]
        num_far = _keep_far_cells(left, front, after, min_path)
        place = _below(stream, max(num_far, most))
        if place < num_far:
            _write(maze, rows, size)
            maze[start], maze[_place(left, place, size)] = START, GOAL
            return True
    return False


@njit(cache=True)
def _draw_open_cells(stream: Rows, rows: Rows, size: int) -> bool:
    """Write random open cells; False if there are none.

    A word of independent bits, each set with probability k / 65536, takes 16 random words: for
    each binary digit of k, the lowest first, "or" with one if it is 1 and "and" if it is 0.
    """
    num_open = 65536 - (LEAST_WALLS + _below(stream, MOST_WALLS - LEAST_WALLS + 1))
    inside = ~ZERO >> np.uint64(64 - size)
    union = ZERO
    for row in range(1, size + 1):
        word = ZERO
        for digit in range(16):
            if num_open >> digit & 1:
                word |= _next(stream)
            else:
                word &= _next(stream)
        rows[row] = word & inside
        union |= rows[row]
    return bool(union != ZERO)


@njit(cache=True)
def _keep_far_cells(left: Rows, front: Rows, after: Rows, min_path: int) -> int:
    """Leave in `left` only cells that end a path of `min_path` cells or more; how many they are.

    Args:
        left: the open cells without S.
        front: S alone; is changed.
        after: room for as many rows.
    """
    for _ in range(min_path - 2):
        if not _spread(left, front, after):
            return 0
    others = left.copy()
    while _spread(left, front, after):
        pass
    left[:] ^= others  # those beyond, less those that cannot be reached
    total = 0
    for word in left:
        while word:
            word &= word - ONE
            total += 1
    return total


@njit(cache=True)
def _spread(left: Rows, front: Rows, after: Rows) -> bool:
    """Move all of `front` to the cells of `left` beside it; False if there are none."""
    for row in range(1, len(left) - 1):
        beside = front[row - 1] | front[row + 1] | front[row] << ONE | front[row] >> ONE
        after[row] = beside & left[row]
    union = ZERO
    for row in range(1, len(left) - 1):
        front[row] = after[row]
        left[row] ^= after[row]
        union |= after[row]
    return bool(union != ZERO)


@njit(cache=True)
def _has(rows: Rows, cell: int, size: int) -> bool:
    return bool((rows[cell // size + 1] >> np.uint64(cell % size)) & ONE)


@njit(cache=True)
def _place(rows: Rows, place: int, size: int) -> int:
    """The cell that has `place` cells of the set before it."""
    for cell in range(size * size):
        if _has(rows, cell, size):
            if place == 0:
                return cell
            place -= 1
    return -1


@njit(cache=True)
def _write(maze: Mazes, rows: Rows, size: int) -> None:
    for cell in range(size * size):
        maze[cell] = OPEN if _has(rows, cell, size) else WALL


@njit(cache=True)
def _next(stream: Rows) -> np.uint64:
    """A random word; advances the splitmix64 state `stream` (1,)."""
    stream[0] += GOLDEN_GAMMA
    word: np.uint64 = stream[0]
    word = (word ^ (word >> SHIFT_30)) * MIX_1
    word = (word ^ (word >> SHIFT_27)) * MIX_2
    return word ^ (word >> SHIFT_31)


@njit(cache=True)
def _below(stream: Rows, bound: int) -> int:
    """A random integer from 0 to bound - 1."""
    return int(np.int64(((_next(stream) >> SHIFT_32) * np.uint64(bound)) >> SHIFT_32))
