"""The solution of a puzzle: the answer, and the boards on the way to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.html_text import panel_html, panels_html, text_html
from trm.inference.options import SolveOptions
from trm.pictures.boards import BOARD_EXTENSIONS, check_picture_path, save_pictures
from trm.pictures.html import bars_svg, board_svg
from trm.pictures.moving import (
    MOVING_EXTENSIONS,
    Frame,
    check_moving_path,
    save_moving_picture,
)
from trm.python_calls import python_call
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
        confidence: (seq_len,), the probability of each cell's token, by the model; NaN where it is
            unknown, None if it was not computed.
        second: (seq_len,), the second most likely tokens; None if they were not computed.
        num_rollouts: the rollouts that took the step, or the copies with guesses.
    """

    step: int
    board: Tokens
    halt_probability: float
    num_valid: int = 0
    confidence: NDArray[np.float32] | None = None
    second: Tokens | None = None
    num_rollouts: int = 1

    def __repr__(self) -> str:
        return f"<SolutionStep {self.step}: halting probability {self.halt_probability:.3f}>"


@dataclass(frozen=True)
class Solution:
    """The solution of a puzzle.

    Attributes:
        puzzle: the puzzle.
        steps: one for each supervision step.
        options: the options that it was solved with.
        effort: the level of effort that was needed, or after which no answer was valid; see
            :mod:`trm.inference.effort`.
        num_steps: the supervision steps of all tries, over all rollouts; 0 if unknown.
    """

    task: Task
    puzzle: Puzzle
    steps: tuple[SolutionStep, ...]
    options: SolveOptions = field(default_factory=SolveOptions)
    effort: int = 0
    num_steps: int = 0

    def __repr__(self) -> str:
        return f"<Solution {shortened(self.answer)}: {', '.join(self._facts)}>"

    def __str__(self) -> str:
        """For ``print``: the answer as it is drawn, and a line about it."""
        drawn = self.task.render(self.steps[-1].board, given=self.puzzle.tokens)
        return f"{drawn}\n{', '.join(self._facts)}"

    def _repr_html_(self) -> str:
        """For notebooks: the puzzle, the answer, and the halting probability of each step."""
        panels = [panel_html(title, board_svg(board)) for title, board in self.pictures()]
        panels = panels or [panel_html("answer", text_html(self.answer))]
        bars = bars_svg([step.halt_probability for step in self.steps])
        panels.append(panel_html("halting probability of each step", bars))
        return panels_html(panels, ", ".join(self._facts))

    @property
    def _facts(self) -> list[str]:
        """What matters about the answer, in words."""
        valid = {True: ["valid"], False: ["not valid"], None: []}[self.valid]
        return [
            *valid,
            *([f"effort {self.effort}"] if self.effort else []),
            "1 step" if len(self.steps) == 1 else f"{len(self.steps)} steps",
            self.confidence,
            f"halting probability {self.steps[-1].halt_probability:.3f}",
        ]

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

    def frames(self) -> list[Frame]:
        """The puzzle, each step that changes the board, and the answer, for a moving picture.

        Empty if the task has no pictures.
        """
        given = before = self.puzzle.tokens
        board = self.task.board(given, given=given)
        frames = [Frame(f"puzzle {self.puzzle.name}".strip(), board)] if board else []
        for step in self.steps:
            changed = int((before != step.board).sum())
            is_last = step is self.steps[-1]
            board = self.task.board(step.board, given=given, before=before)
            before = step.board
            if board and (changed or is_last):
                notes = [cells_changed(changed)] if changed else []
                if is_last and self.valid is not None:
                    notes.append("valid" if self.valid else "not valid")
                title = f"step {step.step} of {len(self.steps)}: {', '.join(notes)}"
                frames.append(
                    Frame(title.removesuffix(": "), board, step.halt_probability, is_last)
                )
        return frames

    @python_call
    def save(self, path: str | Path) -> Path:
        """Draw the puzzle and the answer, or all steps as a moving picture.

        Args:
            path: ends in ``.png`` or ``.svg``, or in ``.gif``, ``.apng`` or ``.mp4`` for the steps.

        Raises:
            ConfigError: if matplotlib is not installed, or ffmpeg for ``.mp4``.
            InputError: if the extension is unknown, or the task draws no boards.
            StorageError: if the file cannot be written.
        """
        save_solutions(Path(path), [self])
        return Path(path)

    @property
    def valid(self) -> bool | None:
        """Whether the answer keeps the puzzle's rules; None if only a label can tell."""
        return self.task.is_valid(self.puzzle.tokens, self.steps[-1].board)

    @property
    def halt_step(self) -> int | None:
        """The first step at which the model would have halted; None if it would not have."""
        return next((s.step for s in self.steps if s.halt_probability > 0.5), None)

    @property
    def confidence(self) -> str:
        """In words, from which step on the model considered the answer correct.

        It considers a board correct if the halting probability is above 0.5.
        """
        answer = self.steps[-1].board
        first = other = None
        for step in self.steps:
            is_answer, is_sure = (step.board == answer).all(), step.halt_probability > 0.5
            first = (first or step.step) if is_answer and is_sure else None
            other = other or (step.step if is_sure and not is_answer else None)
        text = "did not consider it correct"
        if first is not None:
            text = f"considered it correct from step {first} on"
        return text if other is None else f"{text}, but another board at step {other}"

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
            **self.options.resolved.model_dump(exclude={"effort"}, exclude_defaults=True),
            **({"effort": self.effort} if self.effort else {}),
            **(found if self.options.until_valid else {}),
        }


def shortened(text: str) -> str:
    """A text of at most 81 characters, which a 9x9 Sudoku has."""
    return text if len(text) <= 81 else f"{text[:77]}..."


def cells_changed(count: int) -> str:
    """A number of cells in words.

    >>> cells_changed(1), cells_changed(12)
    ('1 cell changed', '12 cells changed')
    """
    return "1 cell changed" if count == 1 else f"{count} cells changed"


def check_solution_path(path: Path) -> None:
    """Check before puzzles are solved that :func:`save_solutions` can write to this path.

    Raises:
        ConfigError: if matplotlib is not installed.
        InputError: if the extension is unknown.
        StorageError: if the file cannot be written.
    """
    check_picture_path(path, BOARD_EXTENSIONS + MOVING_EXTENSIONS)
    if path.suffix.lower() in MOVING_EXTENSIONS:
        check_moving_path(path)


def save_solutions(path: Path, solutions: Sequence[Solution]) -> None:
    """Draw solutions into one file; see :meth:`Solution.save`."""
    check_solution_path(path)
    if path.suffix.lower() in MOVING_EXTENSIONS:
        save_moving_picture(path, [frame for one in solutions for frame in one.frames()])
    else:
        save_pictures(path, [picture for one in solutions for picture in one.pictures()])
