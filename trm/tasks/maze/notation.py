"""Mazes as text and as pictures.

As text, a maze is one line of ``size * size`` characters, or ``size`` lines of ``size`` characters,
with an empty line between two mazes. The characters are ``#`` for a wall, ``.`` or a space for an
open cell, ``S``, ``G``, and in an answer ``o`` for the path.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.text import Text

from trm.data import PAD
from trm.errors import InputError
from trm.tasks.base import Board, Tokens
from trm.tasks.maze.geometry import GOAL, OPEN, PATH, START, WALL, size_of
from trm.tasks.maze.solver import path_cells

#: The symbol of each token.
_SYMBOLS = "?#.SGo"
#: What a terminal shows for each token; two characters are about a square.
_TERMINAL_CELLS = ("? ", "██", "  ", "S ", "G ", "• ")
_STYLES = ("dim", "bright_black", "", "bold green", "bold magenta", "bold cyan")
#: What the styles of :func:`render_maze` mean.
LEGEND = {
    "S start": "bold green",
    "G goal": "bold magenta",
    "path": "bold cyan",
    "just changed": "bold black on yellow",
    "wrong": "on red",
}
_COLORS = np.array(
    [
        (200, 200, 200),
        (45, 48, 56),
        (250, 250, 250),
        (76, 175, 80),
        (156, 39, 176),
        (79, 195, 247),
    ],
    np.uint8,
)
_WRONG = np.array((211, 47, 47), np.uint8)
_TOKENS = {"#": WALL, ".": OPEN, " ": OPEN, "S": START, "G": GOAL, "o": PATH}


@dataclass(frozen=True)
class FoundMaze:
    """The lines of a text that are one maze.

    Attributes:
        line: the number of the first line, from 1.
        last_line: the number of the last line.
        rows: the rows, or one line with all cells.
        problem: why it is no maze; empty if it has the right shape.
    """

    line: int
    last_line: int
    rows: list[str]
    problem: str = ""


def parse_mazes(text: str, size: int, *, check: bool = True) -> list[NDArray[np.uint8]]:
    """The tokens (size * size,) of the mazes in a text.

    Editors may remove spaces at the end of a row, so short rows are filled with open cells.

    Args:
        text: the mazes.
        size: the side length.
        check: refuse mazes with a marked path, without exactly one S and one G, or without a path
            between them.

    Raises:
        InputError: if a maze has the wrong size or an invalid character, or fails the check.
    """
    mazes = []
    for maze in find_mazes(enumerate(text.splitlines(), 1), size):
        if maze.problem:
            raise InputError(f"{maze.problem}. {_form(size)}")
        mazes.append(_parse(maze, size, check))
    if not mazes:
        raise InputError(f"no maze was given. {_form(size)}")
    return mazes


def _form(size: int) -> str:
    return (
        f"Give {size} lines of {size} characters, or {size * size} characters on one line, "
        "'.' for an open cell."
    )


def find_mazes(lines: Iterable[tuple[int, str]], size: int) -> Iterator[FoundMaze]:
    """Divide a text into mazes. Lines that are no maze are one too, with a problem.

    Args:
        lines: the number of each line, from 1, and its text.
        size: the side length.
    """
    rows: list[str] = []
    last = 0
    for number, line in lines:
        # A line of spaces is an open row, if a row is expected; otherwise it separates mazes.
        is_open_row = len(line) == size if not rows else len(rows) < size and line != ""
        is_row = len(line) <= size and bool(line.strip() or is_open_row)
        if is_row:
            if len(rows) <= size:  # one more is kept, to see that they are too many
                rows.append(line)
            last = number
            continue
        is_wrong = bool(line.strip()) and len(line) != size * size
        if is_wrong:  # it belongs to the rows above it
            problem = (
                f"line {number} has {len(line)} characters, neither a row of {size} nor a maze "
                f"of {size * size}"
            )
            yield FoundMaze(number - len(rows), number, [*rows, line], problem)
        else:
            yield from _block(rows, last, size)
        rows = []
        if len(line) == size * size:
            yield FoundMaze(number, number, [line])
    yield from _block(rows, last, size)


def _block(rows: list[str], last_line: int, size: int) -> Iterator[FoundMaze]:
    """The maze of these rows, if there are any."""
    if rows:
        line = last_line - len(rows) + 1
        count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
        problem = "" if len(rows) == size else f"line {line}: the maze has {count}, not {size}"
        yield FoundMaze(line, last_line, rows, problem)


def _parse(found: FoundMaze, size: int, check: bool) -> NDArray[np.uint8]:
    tokens: list[int] = []
    rows = found.rows if len(found.rows) == 1 else [row.ljust(size) for row in found.rows]
    for number, row in enumerate(rows, start=found.line):
        for column, character in enumerate(row, start=1):
            where = f"line {number}, column {column}"
            if character not in _TOKENS:
                raise InputError(
                    f"{where}: {character!r} is not a cell. Use # for a wall, '.' or a space for "
                    "an open cell, S and G."
                )
            token = _TOKENS[character]
            if check and token == PATH:
                raise InputError(
                    f"{where}: 'o' marks a path, but a puzzle has no path yet. Write '.' there."
                )
            if check and token in (START, GOAL) and token in tokens:
                raise InputError(f"{where}: a second {character}. Remove one of them.")
            tokens.append(token)
    maze = np.array(tokens, np.uint8)
    if check:
        for token in (START, GOAL):
            if token not in tokens:
                symbol = _SYMBOLS[token]
                raise InputError(f"line {found.line}: the maze has no {symbol}. Add one.")
        if not path_cells(maze[None])[0]:
            raise InputError(
                f"line {found.line}: the maze has no path from S to G. Remove some walls."
            )
    return maze


def format_maze(tokens: Tokens) -> str:
    """A maze (num_cells,) on one line."""
    return "".join(_SYMBOLS[token] for token in tokens.tolist())


class MazeDrawing:
    """A maze in a terminal: two characters a cell, or one where it is too wide for the terminal.

    Args:
        cells: the two characters of each cell, and their style.
        size: the cells on a side.
    """

    def __init__(self, cells: Sequence[tuple[str, str]], size: int) -> None:
        self._size, self.wide, self.narrow = size, Text(), Text()
        for number, (characters, style) in enumerate(cells):
            end = "\n" if number % size == size - 1 and number < len(cells) - 1 else ""
            self.wide.append(characters, style).append(end)
            self.narrow.append(characters[0], style).append(end)

    def __str__(self) -> str:
        return self.wide.plain

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        too_wide = console.is_terminal and 2 * self._size > options.max_width
        yield self.narrow if too_wide else self.wide

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(2 * self._size, 2 * self._size)


def render_maze(
    tokens: Tokens, given: Tokens | None = None, before: Tokens | None = None
) -> MazeDrawing:
    """A maze (num_cells,) for a terminal. :data:`LEGEND` explains its colours."""
    wrong, changed = _wrong(tokens, given), _differs(tokens, before)
    cells = []
    for cell, token in enumerate(tokens.tolist()):
        style = "bold black on yellow" if changed[cell] else _STYLES[token]
        if wrong[cell]:
            style = "red" if token == WALL else "on red"
        cells.append((_TERMINAL_CELLS[token], style))
    return MazeDrawing(cells, size_of(len(tokens)))


def maze_board(tokens: Tokens, given: Tokens | None = None, before: Tokens | None = None) -> Board:
    """A picture of a maze (num_cells,). Walls, S and G that differ from ``given`` are red."""
    size = size_of(len(tokens))
    colors = _COLORS[tokens]
    colors[_wrong(tokens, given)] = _WRONG
    letters = tuple(
        _SYMBOLS[token] if token in (PAD, START, GOAL) else "" for token in tokens.tolist()
    )
    changed = _differs(tokens, before).reshape(size, size)
    return Board(colors.reshape(size, size, 3), letters, changed=changed)


def _wrong(tokens: Tokens, given: Tokens | None) -> NDArray[np.bool_]:
    """The cells (num_cells,) of an answer that differ from the given maze, except the path."""
    path: NDArray[np.bool_] = tokens == PATH
    return _differs(tokens, given) & ~(path if given is None else path & (given == OPEN))


def _differs(tokens: Tokens, other: Tokens | None) -> NDArray[np.bool_]:
    differs: NDArray[np.bool_] = tokens != (tokens if other is None else other)
    return differs
