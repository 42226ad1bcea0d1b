"""Examples of a dataset, shown in a terminal or drawn as pictures."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rich.cells import cell_len
from rich.text import Text

from trm.data import PAD, Split
from trm.show.boards import Panel, attempt_panels, show_boards
from trm.show.solution import MAX_LINE_LENGTH
from trm.show.text import Terminal, printable
from trm.tasks.base import Board, Puzzle, Task, Tokens
from trm.tasks.metrics import Attempt, Evaluator


@dataclass(frozen=True)
class DatasetExample:
    """A puzzle and its solution, as stored in a dataset.

    Attributes:
        title: the split, the row and the puzzle's name.
        solution: None if it is unknown.
        attempts: the answers of a model, best first; None if they are not to be shown.
    """

    task: Task
    title: str
    puzzle: Puzzle
    solution: Tokens | None
    attempts: Sequence[Attempt] | None = None

    @property
    def text(self) -> str:
        """The puzzle on one line, as ``trm solve`` reads it."""
        return self.task.format_puzzle(self.puzzle)

    def pictures(self) -> list[tuple[str, Board]]:
        """Titles and boards of the puzzle, its solution and the attempts.

        Empty if the task draws no boards.
        """
        given = self.puzzle.tokens
        boards = [(self.title, self.task.board(given))]
        if self.solution is not None:
            boards.append(("solution", self.task.board(self.solution, given=given)))
        for number, one in enumerate(self.attempts or (), 1):
            title = f"attempt {number}: {', '.join(one.facts)}"
            boards.append((title, self.task.board(one.answer, given=given)))
        return [(title, board) for title, board in boards if board]


def select_examples(
    task: Task,
    split_name: str,
    split: Split,
    count: int,
    puzzle: str | None = None,
    evaluator: Evaluator | None = None,
) -> Iterator[DatasetExample]:
    """The first ``count`` examples of a split, or all examples of the named puzzle.

    Args:
        task: the task of the dataset.
        split_name: the name of the split.
        split: the split.
        count: how many examples.
        puzzle: the name of a puzzle.
        evaluator: has the answers of a model to this split, if they are to be shown.
    """
    for row in range(len(split.inputs) if puzzle is not None else min(count, len(split.inputs))):
        name = split.name_of(row)
        if puzzle in (None, name):
            tokens, solution = np.asarray(split.inputs[row]), np.asarray(split.labels[row])
            known = solution if (solution != PAD).any() else None
            unknown = None if known is not None else "(solution unknown)"
            title = " ".join(filter(None, (split_name, str(row), name, unknown)))
            attempts = None if evaluator is None else evaluator.attempts(row)
            yield DatasetExample(task, title, Puzzle(tokens, name), known, attempts)


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
    panels: list[Panel] = [(("puzzle",), example.task.render(given))]
    if example.solution is not None:
        panels.append((("solution",), example.task.render(example.solution, given=given)))
    if example.attempts is not None:
        panels += attempt_panels(example.task, given, example.attempts)
    show_boards(console, panels, captions=example.attempts is not None)
