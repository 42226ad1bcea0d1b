"""Sudoku boards as text: 81 characters (16, 36), digits and ``.`` or ``0`` for a blank."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from trm.errors import InputError
from trm.tasks.base import Board
from trm.tasks.sudoku.geometry import Geometry, first_conflict
from trm.tasks.sudoku.symmetry import FIRST_DIGIT

#: What fills a token that is no cell, in :func:`format_board`.
_SYMBOLS = " ."

#: The colours of a picture's cells: as such, the puzzle's own clues, and what is wrong.
_PLAIN, _CLUE, _CLASH = (255, 255, 255), (224, 224, 224), (255, 176, 176)


def vocabulary(geometry: Geometry) -> tuple[str, ...]:
    """The tokens: padding, blank, and the digits (published: 0, 1, 2-10)."""
    return ("<pad>", ".", *(str(digit) for digit in range(1, geometry.size + 1)))


def parse_board(text: str, geometry: Geometry, *, check: bool = True) -> NDArray[np.uint8]:
    """A puzzle (num_cells,) as tokens.

    Raises:
        InputError: for a wrong length, a character that is no digit of this size, or, if ``check``,
            a digit that stands twice in a row, column or box.
    """
    if len(text) != geometry.num_cells:
        raise InputError(
            f"the puzzle has {len(text)} characters, not {geometry.num_cells}. Give "
            f"{geometry.size} rows of {geometry.size}, '.' for a blank, on one line."
        )
    allowed = ".0" + "123456789"[: geometry.size]
    for place, character in enumerate(text):
        if character not in allowed:
            row, column = divmod(place, geometry.size)
            raise InputError(
                f"the puzzle has {character!r} in row {row + 1}, column {column + 1}. "
                f"Use the digits 1 to {geometry.size}, and '.' or 0 for a blank."
            )
    board = np.frombuffer(text.replace(".", "0").encode(), np.uint8) - ord("0")
    conflict = first_conflict(board) if check else None
    if conflict:
        raise InputError(f"the puzzle has the digit {conflict[1]} twice in {conflict[0]}. Mend it.")
    return board + np.uint8(FIRST_DIGIT - 1)


def parse_boards(
    text: str, properties: Mapping[str, Any], *, check: bool = True
) -> list[NDArray[np.uint8]]:
    """One puzzle a line, of the size that ``properties`` names; see :func:`parse_board`."""
    geometry = Geometry.of(int(properties["size"]))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise InputError(f"no puzzle was given. Give {geometry.num_cells} characters on a line.")
    boards = []
    for number, line in lines:
        try:
            boards.append(parse_board(line, geometry, check=check))
        except InputError as error:
            raise InputError(f"line {number}: {error}" if len(lines) > 1 else str(error)) from None
    return boards


def format_board(tokens: NDArray[np.integer[Any]]) -> str:
    """A board (num_cells,) of tokens as text."""
    symbols = _SYMBOLS + "123456789"
    return "".join(symbols[token] for token in tokens.tolist())


def render_board(
    tokens: NDArray[np.integer[Any]], given: NDArray[np.integer[Any]] | None = None
) -> Text:
    """A board with its boxes; the puzzle's digits bold, digits that clash with them red."""
    geometry = Geometry.from_num_cells(len(tokens))
    size, symbols = geometry.size, format_board(tokens)
    bar = "+".join("-" * (2 * geometry.box_cols + 1) for _ in range(size // geometry.box_cols))
    text = Text()
    for row in range(size):
        if row and row % geometry.box_rows == 0:
            text.append(f"{bar}\n", style="dim")
        for column in range(size):
            if column and column % geometry.box_cols == 0:
                text.append(" |", style="dim")
            cell = row * size + column
            text.append(f" {symbols[cell]}", style=_style(cell, tokens, given))
        text.append("\n" if row < size - 1 else "")
    return text


def board_of(
    tokens: NDArray[np.integer[Any]], given: NDArray[np.integer[Any]] | None = None
) -> Board:
    """A board as a picture: the puzzle's clues grey, what clashes with a digit or a clue red."""
    geometry = Geometry.from_num_cells(len(tokens))
    digits = tokens >= FIRST_DIGIT
    clashes = digits & (tokens[geometry.peers] == tokens[:, None]).any(axis=1)
    colors = np.full((geometry.num_cells, 3), _PLAIN, np.uint8)
    if given is not None:
        clues = given >= FIRST_DIGIT
        colors[clues & (tokens == given)] = _CLUE
        clashes |= digits & clues & (tokens != given)
    colors[clashes] = _CLASH
    symbols = tuple("" if symbol in _SYMBOLS else symbol for symbol in format_board(tokens))
    return Board(colors.reshape(geometry.size, geometry.size, 3), symbols)


def _style(
    cell: int, tokens: NDArray[np.integer[Any]], given: NDArray[np.integer[Any]] | None
) -> str:
    if tokens[cell] < FIRST_DIGIT:
        return "dim"
    peers = Geometry.from_num_cells(len(tokens)).peers[cell]
    clashes = bool((tokens[peers] == tokens[cell]).any())
    fixed = given is None or bool(given[cell] >= FIRST_DIGIT)
    return ("bold " if fixed else "") + ("red" if clashes else "default" if fixed else "cyan")
