"""Boards as SVG, for notebooks. They have their own background, and what they show is escaped."""

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

from trm.pictures.boards import BOX_COLOR, CHANGED_COLOR, FILLED_IN_COLOR, GRID_COLOR
from trm.tasks.base import Board

#: The longer side of a board and the side of a cell, in pixels.
_BOARD_SIZE, _MIN_CELL, _MAX_CELL = 270, 8, 30
_BAR_COLOR, _BAR_HEIGHT, _BAR_WIDTH = "#3b82c4", 36, 12


def board_svg(board: Board) -> str:
    """A board: its colours and symbols, lines around boxes, and frames of changed cells."""
    rows, columns = board.colors.shape[:2]
    cell = max(_MIN_CELL, min(_MAX_CELL, _BOARD_SIZE // max(1, rows, columns)))
    light = board.colors @ np.array([0.299, 0.587, 0.114]) > 128  # ITU-R BT.601
    parts: list[str] = []
    frames: list[str] = []
    for number, (y, x) in enumerate(np.ndindex(rows, columns)):
        color = "#" + bytes(board.colors[y, x].tolist()).hex()
        place = f'x="{x * cell}" y="{y * cell}" width="{cell}" height="{cell}"'
        parts.append(f'<rect {place} fill="{color}" stroke="{GRID_COLOR}" stroke-width="0.5"/>')
        symbol = board.symbols[number] if board.symbols else ""
        filled_in = board.filled_in is not None and bool(board.filled_in[y, x])
        if symbol:
            weight = "normal" if filled_in or board.filled_in is None else "bold"
            ink = FILLED_IN_COLOR if filled_in else "black"
            size = cell * min(0.6, 1 / max(1, len(symbol)))
            parts.append(
                f'<text x="{(x + 0.5) * cell}" y="{(y + 0.5) * cell}" font-size="{size:.1f}" '
                f'font-weight="{weight}" fill="{ink if light[y, x] else "white"}" '
                f'text-anchor="middle" dominant-baseline="central">{escape(symbol)}</text>'
            )
        if board.changed is not None and board.changed[y, x]:
            inset = cell * 0.08
            frames.append(
                f'<rect x="{x * cell + inset:.1f}" y="{y * cell + inset:.1f}" '
                f'width="{cell - 2 * inset:.1f}" height="{cell - 2 * inset:.1f}" fill="none" '
                f'stroke="{CHANGED_COLOR}" stroke-width="{cell * 0.09:.1f}"/>'
            )
    lines = "".join(
        f'<line x1="{x1 * cell}" y1="{y1 * cell}" x2="{x2 * cell}" y2="{y2 * cell}"/>'
        for x1, y1, x2, y2 in _box_lines(board)
    )
    width, height = columns * cell, rows * cell
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2}" height="{height + 2}" '
        f'viewBox="-1 -1 {width + 2} {height + 2}" font-family="sans-serif">{"".join(parts)}'
        f'<g stroke="{BOX_COLOR}" stroke-width="2" stroke-linecap="square">{lines}</g>'
        f"{''.join(frames)}</svg>"
    )


def _box_lines(board: Board) -> Iterable[tuple[int, int, int, int]]:
    """The ends of the lines around boxes, in cells."""
    if board.box is None:
        return
    rows, columns = board.colors.shape[:2]
    for y in range(0, rows + 1, board.box[0]):
        yield 0, y, columns, y
    for x in range(0, columns + 1, board.box[1]):
        yield x, 0, x, rows


def bars_svg(shares: Sequence[float]) -> str:
    """A bar for each share (0 to 1), from left to right, on a line."""
    width = len(shares) * _BAR_WIDTH
    bars = "".join(
        f'<rect x="{x * _BAR_WIDTH + 1}" y="{_BAR_HEIGHT * (1 - share):.1f}" '
        f'width="{_BAR_WIDTH - 2}" height="{_BAR_HEIGHT * share:.1f}" fill="{_BAR_COLOR}">'
        f"<title>step {x + 1}: {share:.1%}</title></rect>"
        for x, share in enumerate(shares)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{_BAR_HEIGHT + 1}">'
        f'<rect width="{width}" height="{_BAR_HEIGHT}" fill="currentColor" opacity="0.1"/>{bars}'
        f'<line x1="0" x2="{width}" y1="{_BAR_HEIGHT + 0.5}" y2="{_BAR_HEIGHT + 0.5}" '
        'stroke="currentColor"/></svg>'
    )
