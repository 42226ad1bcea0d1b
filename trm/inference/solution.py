"""The solution of a puzzle: the answer, and the boards on the way to it."""

from dataclasses import dataclass, field
from typing import Any

from trm.inference.options import SolveOptions
from trm.tasks.base import Board, Puzzle, Task, Tokens


@dataclass(frozen=True)
class SolutionStep:
    """The board after one supervision step, and the model's confidence in it.

    With several rollouts it is the board of the chosen one.

    Attributes:
        step: the number of the step, from 1.
        board: (seq_len,), the tokens.
        halt_probability: the probability that the board is correct, by the model.
        num_valid: the rollouts that have a valid board, with ``until_valid``; else 0.
    """

    step: int
    board: Tokens
    halt_probability: float
    num_valid: int = 0


@dataclass(frozen=True)
class Solution:
    """The solution of a puzzle.

    Attributes:
        puzzle: the puzzle.
        steps: one for each supervision step.
        options: the options that it was solved with.
    """

    task: Task
    puzzle: Puzzle
    steps: tuple[SolutionStep, ...]
    options: SolveOptions = field(default_factory=SolveOptions)

    @property
    def answer(self) -> str:
        """The last board, in the task's own notation."""
        return self.task.format(self.steps[-1].board)

    @property
    def boards(self) -> tuple[str, ...]:
        """The board after each supervision step, in the task's own notation."""
        return tuple(self.task.format(step.board) for step in self.steps)

    def pictures(self) -> list[tuple[str, Board]]:
        """Titles and boards of the puzzle and the answer; empty if the task has no pictures."""
        given, answer = self.puzzle.tokens, self.steps[-1].board
        drawn = (self.task.board(given), self.task.board(answer, given=given))
        titles = (f"puzzle {self.puzzle.name}".strip(), f"answer after {len(self.steps)} steps")
        return [(title, board) for title, board in zip(titles, drawn, strict=True) if board]

    @property
    def valid(self) -> bool | None:
        """Whether the answer keeps the puzzle's rules; None if only a label can tell."""
        return self.task.is_valid(self.puzzle.tokens, self.steps[-1].board)

    @property
    def halt_step(self) -> int | None:
        """The first step at which the model would have halted; None if it would not have."""
        return next((s.step for s in self.steps if s.halt_probability > 0.5), None)

    @property
    def valid_step(self) -> int | None:
        """With ``until_valid``, the step that found a valid board; None if there was none."""
        return self.steps[-1].step if self.steps[-1].num_valid else None

    def as_json(self) -> dict[str, Any]:
        """For ``trm solve --json``. Of the options, only those that are not the default."""
        last = self.steps[-1]
        found = {"valid_step": self.valid_step, "valid_rollouts": last.num_valid}
        return {
            **({"name": self.puzzle.name} if self.puzzle.name else {}),
            "puzzle": self.task.format(self.puzzle.tokens),
            "answer": self.answer,
            "valid": self.valid,
            "halt_step": self.halt_step,
            "halt_probabilities": [round(s.halt_probability, 6) for s in self.steps],
            "boards": list(self.boards),
            **self.options.resolved.model_dump(exclude_defaults=True),
            **(found if self.options.until_valid else {}),
        }
