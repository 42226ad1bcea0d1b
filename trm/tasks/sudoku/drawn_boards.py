"""Sudokus as people write and draw them: which lines of a text are one puzzle.

A line with as many cells as a board is a puzzle. A line with as many cells as a row belongs to a
board that is drawn on several lines: the numbers differ, so a line is never both. Spaces, ``|``,
the lines around boxes, and the commas and brackets of an array are no cells.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from trm.tasks.sudoku.geometry import Geometry

#: The characters for a blank cell.
BLANKS = ".0_*"
#: What is drawn around cells: also the box-drawing characters of Unicode.
_FRAME = dict.fromkeys([*map(ord, "|!¦+-=,[]"), *range(0x2500, 0x2580)])
#: What ``trm inspect-data`` writes between a puzzle and its solution.
_GAP = re.compile(r"\s{4,}")
_WORD = re.compile("[A-Za-z]{2}")
#: What ``trm solve`` writes above and below the boards of an answer.
_ANSWER = re.compile(r"step \d+:|answer\b")
_CELLS = frozenset(BLANKS + "123456789")


@dataclass
class FoundBoard:
    """The lines of a text that are one puzzle.

    Attributes:
        line: the number of its first line, from 1.
        last_line: the number of its last line.
        lines: the lines that have cells.
        cells: the characters of its cells, row by row.
        problem: why it is no board; empty if its cells are as many as they should be.
    """

    line: int
    last_line: int = 0
    lines: list[str] = field(default_factory=list)
    cells: str = ""
    problem: str = ""
    num_rows: int = 0

    def add_row(self, number: int, line: str, cells: str, size: int) -> None:
        """Add a row. What stands between rows is left out."""
        self.last_line = number
        self.lines.append(line)
        self.num_rows += 1
        self.cells += cells
        if len(cells) != size and not self.problem:
            self.problem = f"row {self.num_rows} of the board has {len(cells)} cells, not {size}"

    def end(self, size: int) -> "FoundBoard":
        """Say what is wrong if rows are missing."""
        if self.num_rows < size and not self.problem:
            rows = "1 row" if self.num_rows == 1 else f"{self.num_rows} rows"
            self.problem = f"the board has {rows}, not {size}"
        return self


def find_boards(lines: Iterable[tuple[int, str]], geometry: Geometry) -> Iterator[FoundBoard]:
    """Divide a text into puzzles. Lines that are no puzzle are one too, with a problem.

    A line of words above a drawn board is its title. Of two boards side by side, as
    ``trm inspect-data`` draws a puzzle and its solution, the left one is taken.

    Args:
        lines: the number of each line, from 1, and its text.
        geometry: of the boards.
    """
    size = geometry.size
    board: FoundBoard | None = None
    title: FoundBoard | None = None
    for number, line in lines:
        cells = _cells(line, size)
        if not cells:
            if board and not line.strip() and board.num_rows % geometry.box_rows:
                yield board.end(size)
                board = None
            continue
        is_row = len(cells) == size and not _CELLS.isdisjoint(cells)
        is_title = bool(_WORD.search(line)) and not _ANSWER.match(line)
        whole = _whole(number, line, cells, geometry)
        if title and not is_row:
            yield title
        title = None
        if is_row or (board and not is_title and whole.problem):
            board = board or FoundBoard(number)
            board.add_row(number, line, cells, size)
            if board.num_rows == size:
                yield board.end(size)
                board = None
            continue
        if board:
            yield board.end(size)
            board = None
        if is_title:
            title = whole
        else:
            yield whole
    for rest in (title, board and board.end(size)):
        if rest:
            yield rest


def _cells(line: str, size: int) -> str:
    """The characters of the cells in a line. Of two rows with a gap, those of the left one."""
    cells = "".join(line.translate(_FRAME).split())
    if len(cells) == 2 * size:
        halves = ["".join(half.translate(_FRAME).split()) for half in _GAP.split(line.strip())]
        if [len(half) for half in halves] == [size, size]:
            return halves[0]
    return cells


def _whole(number: int, line: str, cells: str, geometry: Geometry) -> FoundBoard:
    """A line as a puzzle."""
    typed = line.strip()
    if len(typed) == geometry.num_cells:
        cells = typed  # its wrong characters can be named
    found = FoundBoard(number, number, [line], cells)
    if len(cells) != geometry.num_cells:
        count = "1 character" if len(typed) == 1 else f"{len(typed)} characters"
        found.problem = f"the puzzle has {count}, not {geometry.num_cells}"
    if _ANSWER.match(line):
        found.problem = "this line belongs to an answer of trm solve, not to a puzzle"
    return found
