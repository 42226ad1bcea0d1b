"""Solving a puzzle by a vote of all its copies: ``trm solve --copies``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trm.errors import InputError
from trm.evaluation.loop import run_evaluation
from trm.html_text import panel_html, panels_html, text_html
from trm.inference.model import BATCH_SIZE, Model
from trm.inference.options import InferenceOptions
from trm.inference.solve_file import CPU_BATCH_SIZE
from trm.pictures.boards import check_picture_path, save_pictures
from trm.pictures.html import board_svg
from trm.python_calls import python_call
from trm.runtime.device import device_errors
from trm.tasks.base import Board, Puzzle, Task
from trm.tasks.metrics import Attempt


@dataclass(frozen=True)
class VotedSolution:
    """The answers that the copies of a puzzle voted for.

    Attributes:
        puzzle: the puzzle, and its solution if it is known.
        attempts: the answers to hand in, best first; empty if no copy gave one.
        num_copies: the copies that were solved, the original included.
        options: how each copy was solved.
    """

    task: Task
    puzzle: Puzzle
    attempts: tuple[Attempt, ...]
    num_copies: int
    options: InferenceOptions

    def __repr__(self) -> str:
        return f"<VotedSolution of {self.puzzle.name}: {self.summary}>"

    def _repr_html_(self) -> str:
        """For notebooks: the puzzle, its solution and the attempts."""
        panels = [panel_html(title, board_svg(board)) for title, board in self.pictures()]
        return panels_html(panels or [text_html(self.answer)], self.summary)

    @property
    def answer(self) -> str:
        """The first attempt, in the task's own notation; empty without one."""
        return self.task.format(self.attempts[0].answer) if self.attempts else ""

    @property
    def summary(self) -> str:
        """The number of copies and what they say of each attempt, on one line."""
        copies = "1 copy" if self.num_copies == 1 else f"{self.num_copies:,} copies"
        found = [f"attempt {n}: {', '.join(a.facts)}" for n, a in enumerate(self.attempts, 1)]
        return "; ".join([copies, *(found or ["no answer"])])

    def pictures(self) -> list[tuple[str, Board]]:
        """Titles and boards of the puzzle, its solution and the attempts."""
        given, solution = self.puzzle.tokens, self.puzzle.solution
        boards = [(f"puzzle {self.puzzle.name}".strip(), given)]
        boards += [] if solution is None else [("solution", solution)]
        boards += [
            (f"attempt {number}: {', '.join(attempt.facts)}", attempt.answer)
            for number, attempt in enumerate(self.attempts, 1)
        ]
        drawn = [(title, self.task.board(tokens, given=given)) for title, tokens in boards]
        return [(title, board) for title, board in drawn if board]

    @python_call
    def save(self, path: str | Path) -> Path:
        """Draw the puzzle, its solution and the attempts into a ``.png`` or ``.svg`` file.

        Raises:
            ConfigError: if matplotlib is not installed.
            InputError: if the extension is unknown.
            StorageError: if the file cannot be written.
        """
        save_voted([self], Path(path))
        return Path(path)

    def as_json(self) -> dict[str, Any]:
        """For ``trm solve --copies N --json``."""
        solution = self.puzzle.solution
        return {
            "name": self.puzzle.name,
            "puzzle": self.task.format(self.puzzle.tokens),
            "solution": None if solution is None else self.task.format(solution),
            "copies": self.num_copies,
            "attempts": [
                {
                    "answer": self.task.format(one.answer),
                    "votes": one.votes,
                    "confidence": one.confidence,
                    "verdict": one.verdict or None,
                }
                for one in self.attempts
            ],
            **self.options.model_dump(exclude_defaults=True),
        }


def solve_copies(
    model: Model,
    *,
    puzzles: str | Mapping[str, Any] | Sequence[Puzzle],
    copies: int,
    batch_size: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> list[VotedSolution]:
    """Solve several copies of each puzzle, and vote (ARC): ``trm solve --copies``.

    The model is asked for the copies that it was trained on. Their answers are turned back, and
    voted on as in :func:`trm.evaluate`.

    Args:
        model: the model that answers.
        puzzles: a text or a dictionary like ARC's JSON, ``{"ID": {"test": [{"input": grid}]}}``;
            or parsed puzzles. With an ``"output"``, the attempts are compared with it.
        copies: the copies to solve, the original included. If the model knows fewer, all of them.
        batch_size: copies at a time. Default: 64 on a GPU, 16 on a CPU.
        on_progress: called before the first and after each batch, with the copies of a puzzle that
            are done, and all of them.
        options: how each copy is solved, such as ``samples=4``; see
            :class:`trm.inference.options.InferenceOptions`.

    Returns:
        One for each test input.

    Raises:
        ConfigError: if an option is unknown or out of range, or they contradict each other.
        InputError: if a puzzle cannot be read, or the model does not know it or any copies by name.
    """
    checked = InferenceOptions.of(**options).resolved
    for name, number in (("copies", copies), ("batch_size", batch_size)):
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}. Give 1 or more.")
    if batch_size is None:
        batch_size = CPU_BATCH_SIZE if model.network.device.type == "cpu" else BATCH_SIZE
    if isinstance(puzzles, Mapping):
        puzzles = model.task.text_of(puzzles, model.checkpoint.data.properties)
    parsed = model.parse(puzzles) if isinstance(puzzles, str) else puzzles
    for puzzle in parsed:
        model.identifier(puzzle)
    return [_solve(model, one, copies, batch_size, checked, on_progress) for one in parsed]


def _solve(
    model: Model,
    puzzle: Puzzle,
    copies: int,
    batch_size: int,
    options: InferenceOptions,
    on_progress: Callable[[int, int], None] | None,
) -> VotedSolution:
    meta, split = model.checkpoint.data, None
    if model.names is not None:
        split = model.task.known_copies(puzzle, meta, model.names.astype(np.bytes_, copy=False))
    if split is None:
        raise InputError(
            f"--copies {copies}: this model of task {model.task.name} knows no copies of puzzles "
            "by name. Leave it out."
        )
    evaluator = model.task.evaluator(meta, split)
    with device_errors():
        run_evaluation(
            model.network,
            evaluator,
            split,
            batch_size=batch_size,
            max_examples=copies,
            options=options,
            on_progress=on_progress,
        )
    num_copies = min(copies, split.num_puzzles)
    return VotedSolution(model.task, puzzle, tuple(evaluator.attempts(0)), num_copies, options)


def save_voted(solutions: Sequence[VotedSolution], path: Path) -> None:
    """Draw solutions into one file; see :meth:`VotedSolution.save`."""
    check_picture_path(path)
    save_pictures(path, [picture for one in solutions for picture in one.pictures()])
