"""Mazes as text and as pictures.

As text, a maze is one line of ``size * size`` characters, or ``size`` lines of ``size``
characters, with an empty line between two mazes: ``#`` a wall, ``.`` or a space an open cell,
``S``, ``G``, and in an answer ``o`` for the path.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from trm.data import PAD
from trm.errors import InputError
from trm.tasks.base import Board, Tokens
from trm.tasks.maze.geometry import GOAL, OPEN, PATH, START, WALL, size_of
from trm.tasks.maze.solver import path_cells

#: By token.
_SYMBOLS = "?#.SGo"
#: Two characters a cell, which is about a square.
_DRAWN = ("? ", "██", "  ", "S ", "G ", "• ")
_STYLES = ("dim", "bright_black", "", "bold green", "bold magenta", "bold cyan")
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
class _Drawing:
    """A maze as it stands in a text: its first line's number, counted from 1, and its rows."""

    line: int
    rows: list[str]


def parse_mazes(text: str, size: int, *, check: bool = True) -> list[NDArray[np.uint8]]:
    """The mazes (size * size,) in a text, as tokens.

    A row that is too short, because an editor cut off its spaces, ends in open cells.

    Args:
        text: the mazes.
        size: of a side.
        check: refuse what is no puzzle: one with a path marked, not one S and one G, or no way
            between them.

    Raises:
        InputError: if one has the wrong size, a character that is no cell, or does not pass the
            check.
    """
    drawings = _drawings(text, size)
    if not drawings:
        raise InputError(f"no maze was given. {_form(size)}")
    return [_parse(drawing, check) for drawing in drawings]


def _form(size: int) -> str:
    return (
        f"Give {size} lines of {size} characters, or {size * size} characters on one line, "
        "'.' for an open cell."
    )


def _drawings(text: str, size: int) -> list[_Drawing]:
    """The text divided into mazes of the right shape."""
    found: list[_Drawing] = []
    rows: list[str] = []

    def end_of_block(number: int) -> None:
        if rows and len(rows) != size:
            count = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
            raise InputError(
                f"line {number - len(rows)}: the maze has {count}, not {size}. {_form(size)}"
            )
        if rows:
            found.append(_Drawing(number - size, [row.ljust(size) for row in rows]))
        rows.clear()

    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip() and not _is_open_row(line, len(rows), size):
            end_of_block(number)
        elif len(line) <= size:
            rows.append(line)
        elif len(line) == size * size:
            end_of_block(number)
            found.append(_Drawing(number, [line]))
        else:
            raise InputError(
                f"line {number} has {len(line)} characters, neither a row of {size} nor a maze "
                f"of {size * size}. {_form(size)}"
            )
    end_of_block(len(lines) + 1)
    return found


def _is_open_row(spaces: str, place: int, size: int) -> bool:
    """Whether a line of spaces can be row ``place`` of a maze; it divides mazes if not."""
    if place == 0:
        return len(spaces) == size
    return place < size and spaces != ""


def _parse(drawing: _Drawing, check: bool) -> NDArray[np.uint8]:
    tokens: list[int] = []
    for number, row in enumerate(drawing.rows, start=drawing.line):
        for column, character in enumerate(row, start=1):
            token = _token(character, f"line {number}, column {column}")
            if check and token in (START, GOAL, PATH):
                _check_cell(character, token in tokens, f"line {number}, column {column}")
            tokens.append(token)
    maze = np.array(tokens, np.uint8)
    if check:
        _check_way(maze, f"line {drawing.line}")
    return maze


def _token(character: str, where: str) -> int:
    if character not in _TOKENS:
        raise InputError(
            f"{where}: {character!r} is no cell. Use # for a wall, '.' or a space for an open "
            "cell, S and G."
        )
    return _TOKENS[character]


def _check_cell(character: str, again: bool, where: str) -> None:
    if character == "o":
        raise InputError(f"{where}: 'o' marks a path, and a puzzle has none yet. Write '.' there.")
    if again:
        raise InputError(f"{where}: a second {character}. Leave one of them.")


def _check_way(maze: NDArray[np.uint8], where: str) -> None:
    for token in (START, GOAL):
        if token not in maze:
            raise InputError(f"{where}: the maze has no {_SYMBOLS[token]}. Add one.")
    if not path_cells(maze[None])[0]:
        raise InputError(f"{where}: the maze has no path from S to G. Take some walls out.")


def format_maze(tokens: Tokens) -> str:
    """A maze (num_cells,) on one line."""
    return "".join(_SYMBOLS[token] for token in tokens.tolist())


def _changed(tokens: Tokens, given: Tokens | None) -> NDArray[np.bool_]:
    """Where (num_cells,) an answer is more than a path marked in the given maze."""
    if given is None:
        return np.zeros(len(tokens), np.bool_)
    marked = (given == OPEN) & (tokens == PATH)
    wrong: NDArray[np.bool_] = (tokens != given) & ~marked
    return wrong


def render_maze(tokens: Tokens, given: Tokens | None = None) -> Text:
    """A maze (num_cells,) for a terminal; where walls, S or G are not the given ones, red."""
    size, wrong = size_of(len(tokens)), _changed(tokens, given)
    text = Text()
    for cell, token in enumerate(tokens.tolist()):
        if cell and cell % size == 0:
            text.append("\n")
        red = "red" if token == WALL else "on red"
        text.append(_DRAWN[token], style=red if wrong[cell] else _STYLES[token])
    return text


def maze_board(tokens: Tokens, given: Tokens | None = None) -> Board:
    """A maze (num_cells,) as a picture; where walls, S or G are not the given ones, red."""
    size = size_of(len(tokens))
    colors = _COLORS[tokens]
    colors[_changed(tokens, given)] = _WRONG
    letters = tuple(
        _SYMBOLS[token] if token in (PAD, START, GOAL) else "" for token in tokens.tolist()
    )
    return Board(colors.reshape(size, size, 3), letters)
