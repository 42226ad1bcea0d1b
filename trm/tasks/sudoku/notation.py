"""Sudoku boards as text: 16, 36 or 81 characters on a line, or drawn on several lines.

A blank is one of ``.0_*``. How a text is divided into boards: :mod:`trm.tasks.sudoku.drawn_boards`.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.text import Text

from trm.errors import InputError
from trm.tasks.base import Board
from trm.tasks.sudoku.drawn_boards import BLANKS, find_boards
from trm.tasks.sudoku.geometry import BLANK, BOX_SHAPES, Geometry, first_conflict
from trm.tasks.sudoku.symmetry import FIRST_DIGIT

#: The symbols of padding and of a blank cell in :func:`format_board`.
_SYMBOLS = " ."
_BLANKS_TO_ZERO = str.maketrans(BLANKS, "0" * len(BLANKS))

#: What the styles of :func:`render_board` mean.
LEGEND = {
    "given": "bold",
    "filled in": "cyan",
    "just changed": "bold black on yellow",
    "wrong": "red",
}

#: The colours of cells in a picture: empty or filled in, clues of the puzzle, and wrong digits.
#: Their brightness differs too.
_PLAIN, _CLUE, _CONFLICT = (255, 255, 255), (224, 224, 224), (245, 165, 115)


def vocabulary(geometry: Geometry) -> tuple[str, ...]:
    """The symbols of the tokens: padding, blank, and the digits (0, 1, 2-10 as published)."""
    return ("<pad>", ".", *(str(digit) for digit in range(1, geometry.size + 1)))


def parse_board(text: str, geometry: Geometry, *, check: bool = True) -> NDArray[np.uint8]:
    """The tokens (num_cells,) of the cells of a puzzle, row by row.

    Raises:
        InputError: for a wrong length, an invalid character, or, with ``check``, a digit that is
            repeated in a row, column or box.
    """
    if len(text) != geometry.num_cells:
        raise InputError(
            f"the puzzle has {len(text)} characters, not {geometry.num_cells}. {_form(geometry)}"
        )
    allowed = BLANKS + "123456789"[: geometry.size]
    for cell, character in enumerate(text):
        if character not in allowed:
            row, column = divmod(cell, geometry.size)
            raise InputError(
                f"the puzzle has {character!r} in row {row + 1}, column {column + 1}. "
                f"Use the digits 1 to {geometry.size}, and '.' or 0 for a blank."
            )
    board = np.frombuffer(text.translate(_BLANKS_TO_ZERO).encode(), np.uint8) - ord("0")
    conflict = first_conflict(board) if check else None
    if conflict:
        shape = f" of {geometry.box_rows} rows x {geometry.box_cols} columns"
        boxes = shape if conflict[0].startswith("box") and geometry.size == 6 else ""
        raise InputError(
            f"the puzzle has the digit {conflict[1]} twice in {conflict[0]}{boxes}. Correct it."
        )
    return board + np.uint8(BLANK)


def _form(geometry: Geometry) -> str:
    return f"Give {geometry.size} rows of {geometry.size}, '.' for a blank, on one line or drawn."


def parse_boards(
    text: str, properties: Mapping[str, Any], *, check: bool = True
) -> list[NDArray[np.uint8]]:
    """Parse puzzles of the size in ``properties``, one on a line or drawn on several.

    Raises:
        InputError: if there is none, or one is no puzzle; see :func:`parse_board`. If there are
            several, the message has the number of its first line.
    """
    geometry = Geometry.of(int(properties["size"]))
    boards = list(find_boards(enumerate(text.splitlines(), 1), geometry))
    if not boards:
        raise InputError(f"no puzzle was given. Give {geometry.num_cells} characters on a line.")
    if boards[0].problem and (problem := _other_size(text, geometry)):
        raise InputError(problem)
    parsed = []
    for board in boards:
        try:
            if board.problem:
                raise InputError(f"{board.problem}. {_form(geometry)}")
            parsed.append(parse_board(board.cells, geometry, check=check))
        except InputError as error:
            where = f"line {board.line}: " if len(boards) > 1 else ""
            raise InputError(f"{where}{error}") from None
    return parsed


def _other_size(text: str, geometry: Geometry) -> str:
    """What to say if the text has only boards of another size; else nothing."""
    for size in sorted(BOX_SHAPES.keys() - {geometry.size}):
        boards = list(find_boards(enumerate(text.splitlines(), 1), Geometry.of(size)))
        allowed = {*BLANKS, *"123456789"[:size]}
        if boards and all(not board.problem and allowed >= {*board.cells} for board in boards):
            return (
                f"this is a {size}x{size} board, but the model is for "
                f"{geometry.size}x{geometry.size} boards. Use a model of {size}x{size} boards, "
                "or train one."
            )
    return ""


def format_board(tokens: NDArray[np.integer[Any]]) -> str:
    """The text of a board (num_cells,)."""
    symbols = _SYMBOLS + "123456789"
    return "".join(symbols[token] for token in tokens.tolist())


def render_board(
    tokens: NDArray[np.integer[Any]],
    given: NDArray[np.integer[Any]] | None = None,
    before: NDArray[np.integer[Any]] | None = None,
) -> Text:
    """A board with its boxes. :data:`LEGEND` explains its colours."""
    geometry = Geometry.from_num_cells(len(tokens))
    size, symbols = geometry.size, format_board(tokens)
    clues, conflicts, changed = _marks(geometry, tokens, given, before)
    bar = "+".join("-" * (2 * geometry.box_cols + 1) for _ in range(size // geometry.box_cols))
    text = Text()
    for row in range(size):
        if row and row % geometry.box_rows == 0:
            text.append(f"{bar}\n", style="dim")
        for column in range(size):
            if column and column % geometry.box_cols == 0:
                text.append(" |", style="dim")
            cell = row * size + column
            clue, conflict = bool(clues[cell]), bool(conflicts[cell])
            text.append(" ")
            text.append(symbols[cell], _style(symbols[cell], clue, conflict, bool(changed[cell])))
        text.append("\n" if row < size - 1 else "")
    return text


def board_of(
    tokens: NDArray[np.integer[Any]],
    given: NDArray[np.integer[Any]] | None = None,
    before: NDArray[np.integer[Any]] | None = None,
) -> Board:
    """A picture of a board. Clues of the puzzle are grey, wrong digits orange."""
    geometry = Geometry.from_num_cells(len(tokens))
    clues, conflicts, changed = _marks(geometry, tokens, given, before)
    colors = np.full((geometry.num_cells, 3), _PLAIN, np.uint8)
    if given is not None:
        colors[clues] = _CLUE
    colors[conflicts] = _CONFLICT
    symbols = tuple("" if symbol in _SYMBOLS else symbol for symbol in format_board(tokens))
    shape = (geometry.size, geometry.size)
    return Board(
        colors.reshape(*shape, 3),
        symbols,
        filled_in=~clues.reshape(shape),
        changed=changed.reshape(shape),
        box=(geometry.box_rows, geometry.box_cols),
    )


def _marks(
    geometry: Geometry,
    tokens: NDArray[np.integer[Any]],
    given: NDArray[np.integer[Any]] | None,
    before: NDArray[np.integer[Any]] | None,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """The clues that are kept, the wrong digits and the changed cells of a board, (num_cells,).

    A digit is wrong if a row, column or box has it twice, or if it replaces a clue.
    """
    puzzle = tokens if given is None else given
    clues = (puzzle >= FIRST_DIGIT) & (tokens == puzzle)
    repeated = (tokens[geometry.peers] == tokens[:, None]).any(axis=1)
    conflicts = (tokens >= FIRST_DIGIT) & (repeated | (puzzle >= FIRST_DIGIT) & ~clues)
    return clues, conflicts, tokens != (tokens if before is None else before)


def _style(symbol: str, clue: bool, conflict: bool, changed: bool) -> str:
    if changed:
        return "bold red on yellow" if conflict else "bold black on yellow"
    if symbol in _SYMBOLS:
        return "dim"
    return ("bold " if clue else "") + ("red" if conflict else "default" if clue else "cyan")
