"""Examples of a dataset, shown in a terminal or drawn as pictures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from trm.data import Split
from trm.show.solution import MAX_LINE_LENGTH
from trm.show.text import Terminal, printable
from trm.tasks.base import Board, Puzzle, Task, Tokens


@dataclass(frozen=True)
class DatasetExample:
    """A puzzle and its solution, as stored in a dataset.

    Attributes:
        title: the split, the row and the puzzle's name.
    """

    task: Task
    title: str
    puzzle: Puzzle
    solution: Tokens

    @property
    def text(self) -> str:
        """The puzzle on one line, as ``trm solve`` reads it."""
        return self.task.format_puzzle(self.puzzle)

    def pictures(self) -> list[tuple[str, Board]]:
        """Title and board of the puzzle and its solution. Empty if the task draws no boards."""
        given = self.puzzle.tokens
        boards = (self.task.board(given), self.task.board(self.solution, given=given))
        titles = (self.title, "solution")
        return [(title, board) for title, board in zip(titles, boards, strict=True) if board]


def select_examples(
    task: Task, split_name: str, split: Split, count: int, puzzle: str | None = None
) -> Iterator[DatasetExample]:
    """The first ``count`` examples of a split, or all examples of the named puzzle."""
    for row in range(len(split.inputs) if puzzle is not None else min(count, len(split.inputs))):
        name = split.name_of(row)
        if puzzle in (None, name):
            tokens, solution = np.asarray(split.inputs[row]), np.asarray(split.labels[row])
            title = " ".join(filter(None, (split_name, str(row), name)))
            yield DatasetExample(task, title, Puzzle(tokens, name), solution)


def show_example(console: Terminal, example: DatasetExample) -> None:
    """Show puzzle and solution, side by side if the terminal is wide enough."""
    title = Text(printable(example.title), style="bold")
    text = printable(f": {example.text}")
    room = console.width - title.cell_len if console.is_terminal else MAX_LINE_LENGTH
    if cell_len(text) <= min(room, MAX_LINE_LENGTH):
        title.append(text, style="not bold")
    console.print()
    console.print(title, soft_wrap=True)
    given = example.puzzle.tokens
    boards = (example.task.render(given), example.task.render(example.solution, given=given))
    widths = [console.measure(board).maximum for board in boards]
    if sum(widths) + 4 > console.width:
        for name, board in zip(("puzzle", "solution"), boards, strict=True):
            console.print(name, style="dim")
            console.print(board, soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(*boards)
    console.print(grid)
