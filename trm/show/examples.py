"""Examples of a data set to look at, in a terminal and as pictures."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from trm.data import Split
from trm.show.solving import LONGEST_LINE
from trm.tasks.base import Board, Puzzle, Task, Tokens


@dataclass(frozen=True)
class Example:
    """A puzzle and its solution, as stored.

    Attributes:
        title: which one it is.
    """

    task: Task
    title: str
    puzzle: Puzzle
    solution: Tokens

    @property
    def text(self) -> str:
        """The puzzle on one line that ``trm solve`` reads."""
        return self.task.format_puzzle(self.puzzle)

    def pictures(self) -> list[tuple[str, Board]]:
        """Puzzle and solution to draw, with titles; empty where the task has no pictures."""
        given = self.puzzle.tokens
        drawn = (self.task.board(given), self.task.board(self.solution, given=given))
        titles = (self.title, "solution")
        return [(title, board) for title, board in zip(titles, drawn, strict=True) if board]


def examples_of(
    task: Task, name: str, split: Split, count: int, puzzle: str | None = None
) -> Iterator[Example]:
    """The first examples of a split, or all of one named puzzle."""
    for row in range(len(split.inputs) if puzzle is not None else min(count, len(split.inputs))):
        found = split.name_of(row)
        if puzzle in (None, found):
            tokens, solution = np.asarray(split.inputs[row]), np.asarray(split.labels[row])
            title = " ".join(filter(None, (name, str(row), found)))
            yield Example(task, title, Puzzle(tokens, found), solution)


def show_example(console: Console, example: Example) -> None:
    """Draw an example: puzzle and solution side by side where there is room."""
    title = Text(example.title, style="bold")
    if len(example.text) <= LONGEST_LINE:
        title.append(f": {example.text}", style="not bold")
    console.print(title, soft_wrap=True)
    given = example.puzzle.tokens
    drawn = (example.task.render(given), example.task.render(example.solution, given=given))
    widths = [console.measure(part).maximum for part in drawn]
    if sum(widths) + 4 > console.width:
        console.print(Group(*drawn))
        return
    beside = Table.grid(padding=(0, 4, 0, 0))
    beside.add_row(*drawn)
    console.print(beside)
