"""Sudoku puzzles with one solution, no two of them symmetric copies of one another.

A puzzle starts as a random solution, from which clues are removed in random order as long as the
solution stays the only one; what is left is minimal. Small boards have few minimal puzzles up to
symmetry (36 for 4x4), so puzzles there get some clues back. Of all 4x4 puzzles with one solution
and a blank cell there are 4708 up to symmetry, which `invariant` tells apart into 4656; a run
draws about 4640 of these before it gives up.

Hard puzzles are rare among random ones, so `min_rating` is met by hill climbing: drop one to
three clues of a puzzle, complete what is left to another minimal puzzle, keep that if its rating
is no lower. Every puzzle is climbed to from its own random start, so that a set of hard puzzles
is as diverse as one of random puzzles.

All randomness comes from 64-bit seeds, one a puzzle, drawn from the caller's numpy generator and
expanded by splitmix64 (Steele, Lea and Flood, 2014): an equal generator gives the same puzzles on
every machine.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from trm.errors import InputError
from trm.tasks.sudoku.geometry import Geometry, incidence_graph
from trm.tasks.sudoku.solver import (
    Board,
    Masks,
    Tables,
    candidates_of,
    check_boards,
    propagate,
    rating_of,
    search,
    tables_of,
    write_digits,
)

Words = npt.NDArray[np.uint64]

DEFAULT_EXTRA_CLUES = {4: 8, 6: 8, 9: 0}
"""Board size to the most clues a puzzle carries beyond a minimal one."""

CLIMB_LENGTH = 200
"""Puzzles made in one climb towards a rating before it is given up as stuck."""

PATIENCE = 20_000
"""Puzzles made in a row without one to return, after which `generate` gives up."""

REFINEMENT_ROUNDS = 5

# The constants of splitmix64.
GOLDEN_GAMMA = np.uint64(0x9E3779B97F4A7C15)
MIX_1, MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
SHIFT_27, SHIFT_30, SHIFT_31, SHIFT_32 = (np.uint64(shift) for shift in (27, 30, 31, 32))


@dataclass(frozen=True)
class Puzzles:
    """Boards (N, cells) uint8, their solutions (N, cells) uint8 and ratings (N,) int32."""

    boards: Board
    solutions: Board
    ratings: npt.NDArray[np.int32]


def generate(
    geometry: Geometry,
    num_puzzles: int,
    rng: np.random.Generator,
    *,
    min_rating: int = 0,
    exclude: AbstractSet[int] = frozenset(),
    extra_clues: int | None = None,
) -> Puzzles:
    """Draw puzzles whose invariants differ from one another's and from those in `exclude`.

    Each is a minimal puzzle plus 0 to `extra_clues` clues, uniformly many; the default is
    DEFAULT_EXTRA_CLUES, or none where a rating is asked for. A larger `num_puzzles` with an
    equal generator gives the same puzzles first.
    """
    if extra_clues is None:
        extra_clues = 0 if min_rating else DEFAULT_EXTRA_CLUES[geometry.size]
    seen = set(exclude)
    rows: list[tuple[Board, Board, int]] = []
    barren = best_rating = 0
    while len(rows) < num_puzzles:
        seed = rng.integers(0, 2**64, size=1, dtype=np.uint64)
        board, solution, rating, effort = _draw(seed, tables_of(geometry), min_rating, extra_clues)
        hashed = int(invariant(board[None], geometry)[0])
        best_rating, barren = max(best_rating, rating), barren + effort
        if rating >= min_rating and hashed not in seen:
            seen.add(hashed)
            rows.append((board, solution, rating))
            barren = 0
        if barren > PATIENCE:
            rated = f" of rating {min_rating} (best reached: {best_rating})" if min_rating else ""
            raise InputError(
                f"found only {len(rows)} of {num_puzzles} {geometry.size}x{geometry.size} Sudoku "
                f"puzzles{rated} new up to symmetry. "
                f"Ask for fewer{' or easier ones' if rated else ''}."
            )
    return Puzzles(
        np.array([row[0] for row in rows], dtype=np.uint8).reshape(-1, geometry.num_cells),
        np.array([row[1] for row in rows], dtype=np.uint8).reshape(-1, geometry.num_cells),
        np.array([row[2] for row in rows], dtype=np.int32),
    )


def invariant(boards: Board, geometry: Geometry) -> Words:
    """Hashes (N,) of boards (N, cells), equal for boards that are symmetric copies.

    Unequal hashes prove that boards are no copies of one another; equal ones are strong, not
    perfect, evidence that they are. The hash is a colour refinement (Weisfeiler and Leman, 1968)
    of the graph of rows, columns, boxes, bands, stacks and digits, joined by the clues.
    """
    check_boards(boards, geometry)
    edges, kinds = incidence_graph(geometry)
    colours = kinds.astype(np.uint64) * GOLDEN_GAMMA
    hashes: Words = _refined_hashes(boards, geometry.units_of_cell, edges, colours)
    return hashes


@njit(cache=True)
def _refined_hashes(
    boards: Board, units_of_cell: Masks, edges: Masks, first_colours: Words
) -> Words:
    """Hash (N,) of the colours of each board after REFINEMENT_ROUNDS rounds."""
    hashes = np.zeros(len(boards), dtype=np.uint64)
    first_digit = units_of_cell.max()
    for index in range(len(boards)):
        colours = first_colours.copy()
        for _ in range(REFINEMENT_ROUNDS):
            _refine(colours, boards[index], units_of_cell, edges, first_digit)
        for colour in colours:
            hashes[index] += _mix(colour)
    return hashes


@njit(cache=True)
def _refine(
    colours: Words, board: Board, units_of_cell: Masks, edges: Masks, first_digit: int
) -> None:
    """Mix into every colour (nodes,) the colours around it; sums make the order irrelevant."""
    around = np.zeros_like(colours)
    for cell in range(len(board)):
        if board[cell]:
            row, column, box = units_of_cell[cell]
            digit = first_digit + np.int64(board[cell])
            clue = _mix(colours[row] + colours[column] + colours[box] + colours[digit])
            for node in (row, column, box, digit):
                around[node] += clue
    for one, other in edges:
        edge = _mix(colours[one] + colours[other])
        around[one] += edge
        around[other] += edge
    for node in range(len(colours)):
        colours[node] = _mix(colours[node] + _mix(around[node]))


@njit(cache=True)
def _mix(word: np.uint64) -> np.uint64:
    """The output function of splitmix64: a bijection of 64-bit words that looks random."""
    word = (word ^ (word >> SHIFT_30)) * MIX_1
    word = (word ^ (word >> SHIFT_27)) * MIX_2
    return word ^ (word >> SHIFT_31)


@njit(cache=True)
def _below(stream: Words, bound: int) -> int:
    """A random integer from 0 to bound - 1; advances the splitmix64 state `stream` (1,)."""
    stream[0] += GOLDEN_GAMMA
    return int(np.int64(((_mix(stream[0]) >> SHIFT_32) * np.uint64(bound)) >> SHIFT_32))


@njit(cache=True)
def _shuffled(stream: Words, count: int) -> Masks:
    """A random permutation (count,) of the integers below `count`."""
    order = np.arange(count)
    for last in range(count - 1, 0, -1):
        other = _below(stream, last + 1)
        order[last], order[other] = order[other], order[last]
    return order


@njit(cache=True)
def _random_solution(board: Board, stream: Words, tables: Tables, solution: Board) -> bool:
    """Write a random solution (cells,) of a board (cells,); False if the draw ran dead.

    Every digit is tried in every cell, in random order, and ruled out where it contradicts.
    """
    size = tables.units.shape[1]
    candidates = candidates_of(board, size)
    placed = np.zeros(len(board), dtype=np.bool_)
    propagate(candidates, placed, tables)
    for choice in _shuffled(stream, len(board) * size):
        cell, bit = choice // size, 1 << (choice % size)
        if placed[cell] or not candidates[cell] & bit:
            continue
        trial, trial_placed = candidates.copy(), placed.copy()
        trial[cell] = bit
        if propagate(trial, trial_placed, tables):
            candidates, placed = trial, trial_placed
        else:
            candidates[cell] &= ~bit
    if not propagate(candidates, placed, tables) or not placed.all():
        return False
    write_digits(candidates, solution)
    return True


@njit(cache=True)
def _complete(clues: Board, stream: Words, tables: Tables, board: Board, solution: Board) -> None:
    """Write a minimal puzzle `board` (cells,) with its `solution`, which fits `clues` (cells,).

    The cells without a clue are the first to be blanked, so most of the clues stay.
    """
    while not _random_solution(clues, stream, tables, solution):
        pass
    size = tables.units.shape[1]
    all_digits = (1 << size) - 1
    candidates = candidates_of(solution, size)
    board[:] = solution
    found = np.empty_like(board)
    order = _shuffled(stream, len(board))
    for keep in (False, True):
        for cell in order:
            if (clues[cell] != 0) != keep:
                continue
            own = candidates[cell]
            # The clue is redundant if no solution has another digit in its cell.
            candidates[cell] = all_digits & ~own
            if search(candidates, tables, 1, found)[0] == 0:
                candidates[cell], board[cell] = all_digits, 0
            else:
                candidates[cell] = own


@njit(cache=True)
def _without_some_clues(board: Board, stream: Words) -> Board:
    """The board (cells,) less one to three random clues."""
    clues = board.copy()
    num_dropped = 1 + _below(stream, 3)
    for cell in _shuffled(stream, len(board)):
        if clues[cell] and num_dropped:
            clues[cell] = 0
            num_dropped -= 1
    return clues


@njit(cache=True)
def _add_clues(board: Board, solution: Board, num_clues: int, stream: Words) -> None:
    """Reveal random blanks of a board (cells,) in place, but never the last one."""
    num_clues = min(num_clues, np.sum(board == 0) - 1)
    for cell in _shuffled(stream, len(board)):
        if board[cell] == 0 and num_clues > 0:
            board[cell] = solution[cell]
            num_clues -= 1


@njit(cache=True)
def _climb(
    stream: Words, tables: Tables, min_rating: int, board: Board, solution: Board
) -> tuple[int, int]:
    """Write a minimal puzzle and its solution (cells,), of `min_rating` if the climb succeeds.

    Returns its rating and the number of puzzles made.
    """
    _complete(np.zeros_like(board), stream, tables, board, solution)
    rating, num_made = rating_of(board, tables), 1
    other_board, other_solution = np.empty_like(board), np.empty_like(board)
    while rating < min_rating and num_made < CLIMB_LENGTH:
        clues = _without_some_clues(board, stream)
        _complete(clues, stream, tables, other_board, other_solution)
        other_rating = rating_of(other_board, tables)
        num_made += 1
        if other_rating >= rating:
            board[:], solution[:], rating = other_board, other_solution, other_rating
    return rating, num_made


@njit(cache=True)
def _draw(
    seed: Words, tables: Tables, min_rating: int, extra_clues: int
) -> tuple[Board, Board, int, int]:
    """Make a puzzle from a seed (1,).

    Returns its board and solution (cells,), its rating and the puzzles made on the way.
    """
    stream = seed.copy()
    board = np.empty(len(tables.peers), dtype=np.uint8)
    solution = np.empty_like(board)
    rating, num_made = _climb(stream, tables, min_rating, board, solution)
    num_extra = _below(stream, extra_clues + 1)
    if num_extra:
        _add_clues(board, solution, num_extra, stream)
        rating = rating_of(board, tables)
    return board, solution, rating, num_made
