"""Boards as Python programs have them: arrays, tensors, and nested lists of cells."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, TypeGuard

from trm.errors import InputError


def as_lists(value: object) -> object:
    """Arrays and tensors as nested lists, and their numbers as Python's, at any depth."""
    to_list = getattr(value, "tolist", None)
    if callable(to_list):  # numpy, torch on any device, pandas, jax
        return to_list()
    if isinstance(value, Mapping):
        return {key: as_lists(part) for key, part in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return [as_lists(part) for part in value]
    return value


def is_board(value: object) -> TypeGuard[list[Any]]:
    """Whether lists are one board: rows of cells, or all cells in one row of numbers.

    A cell is a number, None, or a text of at most one character.

    >>> is_board([[5, 3], [None, 0]]), is_board([["5", "3"], [".", ""]]), is_board([5, 3, 0, 0])
    (True, True, True)
    >>> is_board(["53..", "..21"]), is_board([[[5, 3], [0, 0]]])
    (False, False)
    """
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(row, list) for row in value):
        return all(_is_cell(cell) for row in value for cell in row)
    return all(_is_cell(cell) and not isinstance(cell, str) for cell in value)


def _is_cell(value: object) -> bool:
    return value is None or isinstance(value, int | float) or (
        isinstance(value, str) and len(value) <= 1
    )  # fmt: skip


def rows_of(board: list[Any], empty: str) -> list[str]:
    """The rows of a board, a character a cell. A board without rows is one row.

    >>> rows_of([[5, None, 3.0], ["2", "", 0]], empty=".")
    ['5.3', '2.0']

    Args:
        board: for which :func:`is_board` holds.
        empty: the character of a cell that is None, NaN, a space or an empty text.

    Raises:
        InputError: if a number is not one character.
    """
    rows = [row if isinstance(row, list) else [row] for row in board]
    if not isinstance(board[0], list):
        rows = [board]
    return [
        "".join(_character(cell, empty, f"row {y}, column {x}") for x, cell in enumerate(row, 1))
        for y, row in enumerate(rows, 1)
    ]


def _character(cell: object, empty: str, where: str) -> str:
    if cell in (None, "", " ") or (isinstance(cell, float) and math.isnan(cell)):
        return empty
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    text = str(cell)
    if len(text) != 1:
        raise InputError(f"{where} is {text}, which is no cell. Give one digit or character.")
    return text
