"""Mazes as text and as pictures.

As text, a maze is one line of ``size * size`` characters, or ``size`` lines of ``size`` characters,
with an empty line between two mazes. The characters are ``#`` for a wall, ``.`` or a space for an
open cell, ``S``, ``G``, and in an answer ``o`` for the path.
"""

from collections.abc import Iterator, Sequence
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
class _TextMaze:
    """A maze in a text: the number of its first line, from 1, and its rows."""

    line: int
    rows: list[str]


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
    mazes = _divide(text, size)
    if not mazes:
        raise InputError(f"no maze was given. {_form(size)}")
    return [_parse(maze, check) for maze in mazes]


def _form(size: int) -> str:
    return (
        f"Give {size} lines of {size} characters, or {size * size} characters on one line, "
        "'.' for an open cell."
    )


def _divide(text: str, size: int) -> list[_TextMaze]:
    """Divide a text into mazes of the right shape."""
    mazes: list[_TextMaze] = []
    rows: list[str] = []

    def end_of_block(number: int) -> None:
        if rows and len(rows) != size:
            count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            raise InputError(
                f"line {number - len(rows)}: the maze has {count}, not {size}. {_form(size)}"
            )
        if rows:
            mazes.append(_TextMaze(number - size, [row.ljust(size) for row in rows]))
        rows.clear()

    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        # A line of spaces is an open row, if a row is expected; otherwise it separates mazes.
        is_open_row = len(line) == size if not rows else len(rows) < size and line != ""
        if not line.strip() and not is_open_row:
            end_of_block(number)
        elif len(line) <= size:
            rows.append(line)
        elif len(line) == size * size:
            end_of_block(number)
            mazes.append(_TextMaze(number, [line]))
        else:
            raise InputError(
                f"line {number} has {len(line)} characters, neither a row of {size} nor a maze "
                f"of {size * size}. {_form(size)}"
            )
    end_of_block(len(lines) + 1)
    return mazes


def _parse(text_maze: _TextMaze, check: bool) -> NDArray[np.uint8]:
    tokens: list[int] = []
    for number, row in enumerate(text_maze.rows, start=text_maze.line):
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
                raise InputError(f"line {text_maze.line}: the maze has no {symbol}. Add one.")
        if not path_cells(maze[None])[0]:
            raise InputError(
                f"line {text_maze.line}: the maze has no path from S to G. Remove some walls."
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
