"""Boards as PNG or SVG pictures. Needs matplotlib (``trm[plot]``)."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trm.errors import InputError
from trm.show.plots import check_extension, plot_style, save_figure
from trm.storage import check_writable
from trm.tasks.base import Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DPI = 144  # two pixels per point, so that cells begin and end on whole pixels
_MAX_PIXELS = 30_000  # on each side of a picture

# Lengths in points.
_BOARD_SIZE = 270  # of the longer side, unless the cells become too small or too large
_MIN_CELL, _MAX_CELL = 8, 36
_MIN_PANEL_WIDTH = 110  # leaves room for a title above a small board
_GAP = 16
_TITLE_SIZE, _TITLE_LINE, _TITLE_CHARACTER = 9, 13, 5.6
_GRID_COLOR, _GRID_WIDTH = "#8a8a8a", 0.5


def check_picture_path(path: Path) -> None:
    """Check before the work is done that a picture can be saved to this path.

    Raises:
        InputError: if the extension is neither ``.png`` nor ``.svg``.
        StorageError: if the file cannot be written.
    """
    check_extension(path, (".png", ".svg"))
    check_writable(path)


def save_pictures(path: Path, boards: Sequence[tuple[str, Board]], *, columns: int = 4) -> None:
    """Draw boards with titles side by side, row after row.

    Args:
        path: ends in ``.png`` or ``.svg``.
        boards: pairs of title and board. A title may be empty.
        columns: the number of boards in a row.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the extension is unknown, there are no boards, ``columns`` is less than 1,
            or the picture is too large.
        StorageError: if the file cannot be written. No partial file is left.
    """
    check_picture_path(path)
    if not boards:
        raise InputError("no board was given to draw. Give one or more.")
    if columns < 1:
        raise InputError(f"columns is {columns}. Give 1 or more.")
    panels, size = _lay_out(boards, columns)
    with plot_style():
        figure = _empty_figure(size)
        for number, panel in enumerate(panels, 1):
            _draw(figure, size, panel, f"board-{number}")
        save_figure(path, figure, _DPI)


@dataclass(frozen=True)
class _Panel:
    """A board, its title and its position, in points from the picture's upper left corner."""

    board: Board
    title: list[str]  # lines
    left: int
    top: int
    cell: int  # the side of a cell

    @property
    def shape(self) -> tuple[int, int]:
        return self.board.colors.shape[0], self.board.colors.shape[1]


def _lay_out(
    boards: Sequence[tuple[str, Board]], columns: int
) -> tuple[list[_Panel], tuple[int, int]]:
    """The position of each board, and the width and height of the picture."""
    columns = min(columns, len(boards))
    sides = [max(1, *board.colors.shape[:2]) for _, board in boards]
    cells = [max(_MIN_CELL, min(_MAX_CELL, _BOARD_SIZE // side)) for side in sides]
    widths = [cell * board.colors.shape[1] for cell, (_, board) in zip(cells, boards, strict=True)]
    width = max(_MIN_PANEL_WIDTH, *widths)
    titles = [textwrap.wrap(title, int(width / _TITLE_CHARACTER)) for title, _ in boards]
    panels: list[_Panel] = []
    top = _GAP
    for start in range(0, len(boards), columns):
        row = range(start, min(start + columns, len(boards)))
        top += _TITLE_LINE * max(len(titles[index]) for index in row)
        for index in row:
            left = _GAP + (index - start) * (width + _GAP) + (width - widths[index]) // 2
            panels.append(_Panel(boards[index][1], titles[index], left, top, cells[index]))
        top += max(panel.shape[0] * panel.cell for panel in panels[start:]) + _GAP
    return panels, (_GAP + columns * (width + _GAP), top)


def _empty_figure(size: tuple[int, int]) -> "Figure":
    from matplotlib.figure import Figure

    pixels = [length * _DPI // 72 for length in size]
    if max(pixels) > _MAX_PIXELS:
        raise InputError(
            f"the picture would have {pixels[0]} x {pixels[1]} pixels, more than {_MAX_PIXELS} "
            "on a side. Draw fewer boards."
        )
    return Figure(figsize=(size[0] / 72, size[1] / 72))


def _draw(figure: "Figure", size: tuple[int, int], panel: _Panel, name: str) -> None:
    """Draw a board and its title. ``name`` is the id of the group in an SVG."""
    (width, height), (rows, columns) = size, panel.shape
    board_width, board_height = columns * panel.cell, rows * panel.cell
    figure.text(
        (panel.left + board_width / 2) / width,
        1 - (panel.top - 4) / height,
        "\n".join(panel.title),
        fontsize=_TITLE_SIZE,
        ha="center",
        va="bottom",
    )
    if not rows * columns:
        return  # an answer may be an empty board
    left, bottom = panel.left / width, 1 - (panel.top + board_height) / height
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
    is_light = panel.board.colors @ np.array([0.299, 0.587, 0.114]) > 128  # ITU-R BT.601
    for cell, symbol in zip(np.ndindex(panel.shape), panel.board.symbols, strict=True):
        axes.text(
            cell[1] + 0.5,
            cell[0] + 0.5,
            symbol,
            fontsize=size,
            color="black" if is_light[cell] else "white",
            ha="center",
            va="center_baseline",
        )
