"""Boards with captions, side by side as far as a terminal is wide."""

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from trm.evaluation.voted_solution import VotedSolution
from trm.show.text import Terminal
from trm.tasks.base import Task, Tokens
from trm.tasks.metrics import Attempt

_GAP = 4
#: The lines of a caption, and a board.
Panel = tuple[Sequence[str], RenderableType]


def show_boards(console: Terminal, panels: Sequence[Panel], *, captions: bool = True) -> None:
    """Show boards in as few rows as possible.

    Args:
        console: where to show them.
        panels: the boards.
        captions: whether boards that stand side by side have captions. A board that stands alone
            in its row always has, on one line.
    """
    row: list[Panel] = []
    room = console.width
    for caption, board in panels:
        width = console.measure(board).maximum
        width = max(width, *map(cell_len, caption)) if captions else width
        if row and width > room:
            _show_row(console, row, captions)
            row, room = [], console.width
        row.append((caption, board))
        room -= width + _GAP
    _show_row(console, row, captions)


def attempt_panels(task: Task, puzzle: Tokens, attempts: Sequence[Attempt]) -> list[Panel]:
    """A panel for each attempt at a puzzle (seq_len,)."""
    if not attempts:
        return [(("no answer",), "")]
    return [
        ((f"attempt {number}", *attempt.facts), task.render(attempt.answer, given=puzzle))
        for number, attempt in enumerate(attempts, 1)
    ]


def show_voted(console: Terminal, solution: VotedSolution) -> None:
    """Show a puzzle, its solution if it is known, and the attempts."""
    task, puzzle = solution.task, solution.puzzle
    copies = "1 copy" if solution.num_copies == 1 else f"{solution.num_copies:,} copies"
    console.print(f"puzzle {puzzle.name}, {copies}", style="bold")
    known: list[Panel] = [(("puzzle",), task.render(puzzle.tokens))]
    if puzzle.solution is not None:
        known.append((("solution",), task.render(puzzle.solution, given=puzzle.tokens)))
    show_boards(console, known + attempt_panels(task, puzzle.tokens, solution.attempts))


def _show_row(console: Terminal, row: Sequence[Panel], captions: bool) -> None:
    if len(row) == 1:
        ((caption, board),) = row
        console.print(", ".join(caption), style="dim")
        console.print(board, soft_wrap=True)
        return
    grid = Table.grid(padding=(0, _GAP, 0, 0))
    if captions:
        grid.add_row(*(Text("\n".join(caption), "dim") for caption, _ in row))
    grid.add_row(*(board for _, board in row))
    console.print(grid)
