"""Boards as PNG or SVG pictures, side by side."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError
from trm.pictures.figures import check_extension, check_matplotlib, plot_style, save_figure
from trm.storage import check_writable
from trm.tasks.base import Board

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: The extensions of pictures of boards.
BOARD_EXTENSIONS = (".png", ".svg")
DPI = 144  # two pixels per point, so that cells begin and end on whole pixels
_MAX_PIXELS = 30_000  # on each side of a picture

# Lengths in points.
_BOARD_SIZE = 270  # of the longer side, unless the cells become too small or too large
_MIN_CELL, _MAX_CELL = 8, 36
_MIN_PANEL_WIDTH = 110  # leaves room for a title above a small board
_GAP = 16
_TITLE_SIZE, _TITLE_LINE, _TITLE_CHARACTER = 9, 13, 5.6
GRID_COLOR, _GRID_WIDTH = "#8a8a8a", 0.5
BOX_COLOR, _BOX_WIDTH = "#202020", 2
#: Symbols that are filled in. It is dark enough on white and on orange.
FILLED_IN_COLOR = "#004b91"
#: The frames of changed cells, and their width as a share of a cell.
CHANGED_COLOR, _CHANGED_WIDTH = "#d55e00", 0.09


def check_picture_path(path: Path, extensions: Sequence[str] = BOARD_EXTENSIONS) -> None:
    """Check before the work is done that a picture can be saved to this path.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the extension is not one of ``extensions``.
        StorageError: if the file cannot be written.
    """
    check_extension(path, extensions)
    check_matplotlib()
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
    panels, size = lay_out(boards, columns)
    with plot_style():
        figure = empty_figure(size)
        for number, panel in enumerate(panels, 1):
            draw_panel(figure, size, panel, f"board-{number}")
        save_figure(path, figure, DPI)


@dataclass(frozen=True)
class Panel:
    """A board, its title and its position, in points from the picture's upper left corner."""

    board: Board
    title: list[str]  # lines
    left: int
    top: int
    cell: int  # the side of a cell

    @property
    def shape(self) -> tuple[int, int]:
        return self.board.colors.shape[0], self.board.colors.shape[1]

    def moved(self, right: int) -> "Panel":
        """The panel at another place."""
        return replace(self, left=self.left + right)


def lay_out(
    boards: Sequence[tuple[str, Board]], columns: int
) -> tuple[list[Panel], tuple[int, int]]:
    """The position of each board, and the width and height of the picture."""
    columns = min(columns, len(boards))
    sides = [max(1, *board.colors.shape[:2]) for _, board in boards]
    cells = [max(_MIN_CELL, min(_MAX_CELL, _BOARD_SIZE // side)) for side in sides]
    widths = [cell * board.colors.shape[1] for cell, (_, board) in zip(cells, boards, strict=True)]
    width = max(_MIN_PANEL_WIDTH, *widths)
    titles = [textwrap.wrap(title, int(width / _TITLE_CHARACTER)) for title, _ in boards]
    panels: list[Panel] = []
    top = _GAP
    for start in range(0, len(boards), columns):
        row = range(start, min(start + columns, len(boards)))
        top += _TITLE_LINE * max(len(titles[index]) for index in row)
        for index in row:
            left = _GAP + (index - start) * (width + _GAP) + (width - widths[index]) // 2
            panels.append(Panel(boards[index][1], titles[index], left, top, cells[index]))
        top += max(panel.shape[0] * panel.cell for panel in panels[start:]) + _GAP
    return panels, (_GAP + columns * (width + _GAP), top)


def empty_figure(size: tuple[int, int]) -> "Figure":
    from matplotlib.figure import Figure

    pixels = [length * DPI // 72 for length in size]
    if max(pixels) > _MAX_PIXELS:
        raise InputError(
            f"the picture would have {pixels[0]} x {pixels[1]} pixels, more than {_MAX_PIXELS} "
            "on a side. Draw fewer boards."
        )
    return Figure(figsize=(size[0] / 72, size[1] / 72))


def draw_panel(figure: "Figure", size: tuple[int, int], panel: Panel, name: str) -> None:
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
        edgecolors=GRID_COLOR,
        linewidth=_GRID_WIDTH,
        clip_on=False,
        gid=name,
    )
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    if panel.board.symbols:
        _write_symbols(axes, panel)
    if panel.board.box is not None:
        _draw_boxes(axes, panel, panel.board.box)
    if panel.board.changed is not None and panel.board.changed.any():
        _frame_cells(axes, panel, panel.board.changed)


def _write_symbols(axes: "Axes", panel: Panel) -> None:
    longest = max(1, *map(len, panel.board.symbols))
    size = panel.cell * min(0.55, 0.95 / longest)
    is_light = panel.board.colors @ np.array([0.299, 0.587, 0.114]) > 128  # ITU-R BT.601
    filled_in = panel.board.filled_in
    for cell, symbol in zip(np.ndindex(panel.shape), panel.board.symbols, strict=True):
        is_filled_in = filled_in is not None and bool(filled_in[cell])
        color = FILLED_IN_COLOR if is_filled_in else "black"
        axes.text(
            cell[1] + 0.5,
            cell[0] + 0.5,
            symbol,
            fontsize=size,
            fontweight="normal" if is_filled_in or filled_in is None else "bold",
            color=color if is_light[cell] else "white",
            ha="center",
            va="center_baseline",
        )


def _draw_boxes(axes: "Axes", panel: Panel, box: tuple[int, int]) -> None:
    """Draw the lines around the boxes."""
    (rows, columns), (box_rows, box_columns) = panel.shape, box
    style: dict[str, Any] = {
        "colors": BOX_COLOR, "linewidth": _BOX_WIDTH, "clip_on": False, "capstyle": "projecting",
    }  # fmt: skip
    axes.hlines(np.arange(0, rows + 1, box_rows), 0, columns, **style)
    axes.vlines(np.arange(0, columns + 1, box_columns), 0, rows, **style)


def _frame_cells(axes: "Axes", panel: Panel, changed: NDArray[np.bool_]) -> None:
    """Draw a frame into each changed cell."""
    from matplotlib.collections import PolyCollection

    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    inset = _CHANGED_WIDTH / 2 + _BOX_WIDTH / 2 / panel.cell
    square = inset + corners * (1 - 2 * inset)
    squares = np.argwhere(changed)[:, None, ::-1] + square  # x is the column
    axes.add_collection(
        PolyCollection(
            list(squares),
            facecolors="none",
            edgecolors=CHANGED_COLOR,
            linewidths=panel.cell * _CHANGED_WIDTH,
            joinstyle="miter",
        )
    )
