"""Boards as pictures, PNG or SVG. Needs matplotlib (``trm[plot]``)."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError
from trm.show.plots import check_ending, house_style, save_figure
from trm.storage import check_writable
from trm.tasks.base import Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 144  # two pixels a point, so that cells begin and end on whole pixels
_MOST_PIXELS = 30_000  # of either side of a picture

# Lengths in points.
_PANEL = 270  # what the longer side of a board fills, if its cells stay in the bounds
_SMALLEST_CELL, _LARGEST_CELL = 8, 36
_SMALLEST_PANEL = 110  # so that a title has room above a small board
_GAP = 16
_TITLE_SIZE, _TITLE_LINE, _TITLE_LETTER = 9, 13, 5.6
_GRID_COLOR, _GRID_WIDTH = "#8a8a8a", 0.5


def check_picture(path: Path) -> None:
    """Find out before the work is done whether its pictures can be saved.

    Raises:
        InputError: for another ending than ``.png`` and ``.svg``.
        StorageError: if the file cannot be written.
    """
    check_ending(path, (".png", ".svg"))
    check_writable(path)


def save_pictures(path: Path, boards: Sequence[tuple[str, Board]], *, columns: int = 4) -> None:
    """Draw titled boards side by side, ``columns`` in a row, row after row.

    Args:
        path: ends in ``.png`` or ``.svg``.
        boards: each with its title, which may be empty.
        columns: boards in a row.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: for another ending, no boards, no columns, or a picture that is too large.
        StorageError: if the file cannot be written; nothing is left behind.
    """
    check_picture(path)
    if not boards:
        raise InputError("no board was given to draw. Give one or more.")
    if columns < 1:
        raise InputError(f"columns = {columns} leaves no room for a board. Give 1 or more.")
    panels, size = _laid_out(boards, columns)
    with house_style():
        figure = _empty_picture(size)
        for place, panel in enumerate(panels, 1):
            _draw(figure, size, panel, f"board-{place}")
        save_figure(path, figure, _DPI)


@dataclass(frozen=True)
class _Panel:
    """A board, its title broken into lines, and where it goes."""

    board: Board
    lines: list[str]
    left: int  # of the board, from the picture's upper left corner
    down: int
    cell: int  # a side of one

    @property
    def shape(self) -> tuple[int, int]:
        return self.board.colors.shape[0], self.board.colors.shape[1]


def _laid_out(
    boards: Sequence[tuple[str, Board]], columns: int
) -> tuple[list[_Panel], tuple[int, int]]:
    """The boards in their places, and the width and height of the picture."""
    columns = min(columns, len(boards))
    cells = [_cell(board) for _, board in boards]
    widths = [cell * board.colors.shape[1] for cell, (_, board) in zip(cells, boards, strict=True)]
    width = max(_SMALLEST_PANEL, *widths)
    lines = [textwrap.wrap(title, int(width / _TITLE_LETTER)) for title, _ in boards]
    panels: list[_Panel] = []
    down = _GAP
    for start in range(0, len(boards), columns):
        row = range(start, min(start + columns, len(boards)))
        down += _TITLE_LINE * max(len(lines[place]) for place in row)
        for place in row:
            left = _GAP + (place - start) * (width + _GAP) + (width - widths[place]) // 2
            panels.append(_Panel(boards[place][1], lines[place], left, down, cells[place]))
        down += max(panel.shape[0] * panel.cell for panel in panels[start:]) + _GAP
    return panels, (_GAP + columns * (width + _GAP), down)


def _cell(board: Board) -> int:
    longer: int = max(1, *board.colors.shape[:2])
    return max(_SMALLEST_CELL, min(_LARGEST_CELL, _PANEL // longer))


def _empty_picture(size: tuple[int, int]) -> "Figure":
    from matplotlib.figure import Figure

    pixels = [length * _DPI // 72 for length in size]
    if max(pixels) > _MOST_PIXELS:
        raise InputError(
            f"the picture would have {pixels[0]} x {pixels[1]} pixels, more than {_MOST_PIXELS} "
            "on a side. Draw fewer boards."
        )
    return Figure(figsize=(size[0] / 72, size[1] / 72))


def _draw(figure: "Figure", size: tuple[int, int], panel: _Panel, name: str) -> None:
    """Draw a board and its title; ``name`` is the group's in an SVG."""
    (width, height), (rows, columns) = size, panel.shape
    board_width, board_height = columns * panel.cell, rows * panel.cell
    figure.text(
        (panel.left + board_width / 2) / width,
        1 - (panel.down - 4) / height,
        "\n".join(panel.lines),
        fontsize=_TITLE_SIZE,
        ha="center",
        va="bottom",
    )
    if not rows * columns:
        return  # an answer may be an empty board
    left, bottom = panel.left / width, 1 - (panel.down + board_height) / height
    axes = figure.add_axes((left, bottom, board_width / width, board_height / height))
    axes.set_axis_off()
    axes.grid(False)
    axes.pcolormesh(
        panel.board.colors,
        edgecolors=_GRID_COLOR,
        linewidth=_GRID_WIDTH,
        clip_on=False,
        gid=name,
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    if panel.board.symbols:
        _write_symbols(axes, panel)


def _write_symbols(axes: "Axes", panel: _Panel) -> None:
    longest = max(1, *map(len, panel.board.symbols))
    size = panel.cell * min(0.55, 0.95 / longest)
    for cell, symbol in zip(np.ndindex(panel.shape), panel.board.symbols, strict=True):
        axes.text(
            cell[1] + 0.5,
            cell[0] + 0.5,
            symbol,
            fontsize=size,
            color="black" if _is_light(panel.board.colors[cell]) else "white",
            ha="center",
            va="center_baseline",
        )


def _is_light(color: NDArray[np.uint8]) -> bool:
    """Whether black is the symbol to read on this red, green and blue; weights of ITU-R BT.601."""
    return bool(color @ np.array([0.299, 0.587, 0.114]) > 128)
