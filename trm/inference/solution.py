"""What a model made of a puzzle: the answer, and the boards on the way to it."""

from dataclasses import dataclass
from typing import Any

from trm.inference.options import Solving
from trm.tasks.base import Board, Puzzle, Task, Tokens

#: One answer after all steps.
USUAL = Solving()


@dataclass(frozen=True)
class Thought:
    """A board after one supervision step, and the chance that the model gives it to be right.

    Of several rollouts it is the one that is chosen, or of those that are looked for a valid one.

    Attributes:
        num_valid: rollouts whose board is valid, where that ends a solution; else 0.
    """

    step: int
    board: Tokens
    halt_probability: float
    num_valid: int = 0


@dataclass(frozen=True)
class Solution:
    """What a model made of a puzzle.

    Attributes:
        puzzle: as given.
        thoughts: one for each supervision step.
        how: it came about.
    """

    task: Task
    puzzle: Puzzle
    thoughts: tuple[Thought, ...]
    how: Solving = USUAL

    @property
    def answer(self) -> str:
        """The last board, in the task's own notation."""
        return self.task.format(self.thoughts[-1].board)

    @property
    def boards(self) -> tuple[str, ...]:
        """The board after each supervision step, in the task's own notation."""
        return tuple(self.task.format(thought.board) for thought in self.thoughts)

    def pictures(self) -> list[tuple[str, Board]]:
        """The puzzle and the answer to draw, with titles; empty where the task has no pictures."""
        given, answer = self.puzzle.tokens, self.thoughts[-1].board
        drawn = (self.task.board(given), self.task.board(answer, given=given))
        titles = (f"puzzle {self.puzzle.name}".strip(), f"answer after {len(self.thoughts)} steps")
        return [(title, board) for title, board in zip(titles, drawn, strict=True) if board]

    @property
    def valid(self) -> bool | None:
        """Whether the answer keeps the puzzle's rules, None where only a label can tell."""
        return self.task.is_valid(self.puzzle.tokens, self.thoughts[-1].board)

    @property
    def halt_step(self) -> int | None:
        """The first step at which the model would have halted, None if at none."""
        return next((t.step for t in self.thoughts if t.halt_probability > 0.5), None)

    @property
    def valid_step(self) -> int | None:
        """With ``until_valid`` the step at which a valid board was found, None if at none."""
        return self.thoughts[-1].step if self.thoughts[-1].num_valid else None

    def as_json(self) -> dict[str, Any]:
        """For ``trm solve --json``: how it came about only where that is not the usual way."""
        last = self.thoughts[-1]
        found = {"valid_step": self.valid_step, "valid_rollouts": last.num_valid}
        return {
            **({"name": self.puzzle.name} if self.puzzle.name else {}),
            "puzzle": self.task.format(self.puzzle.tokens),
            "answer": self.answer,
            "valid": self.valid,
            "halt_step": self.halt_step,
            "halt_probabilities": [round(t.halt_probability, 6) for t in self.thoughts],
            "boards": list(self.boards),
            **self.how.settled.model_dump(exclude_defaults=True),
            **(found if self.how.until_valid else {}),
        }
