"""A trained model as something to ask: puzzles in, answers and the way to them out."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from trm.config import RunConfig
from trm.engine.device import pick_device
from trm.engine.rollouts import supervision_steps
from trm.engine.stored import Stored, open_stored
from trm.errors import InputError
from trm.models import TinyRecursiveModel
from trm.plugins import get_task
from trm.tasks.base import Board, Puzzle, Task, Tokens, only

#: Puzzles solved at once.
BATCH_SIZE = 64


@dataclass(frozen=True)
class Thought:
    """A board after one supervision step, and the chance that the model gives it to be right."""

    step: int
    board: Tokens
    halt_probability: float


@dataclass(frozen=True)
class Solution:
    """What a model made of a puzzle.

    Attributes:
        puzzle: as given.
        thoughts: one for each supervision step.
    """

    task: Task
    puzzle: Puzzle
    thoughts: tuple[Thought, ...]

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

    def as_json(self) -> dict[str, Any]:
        """For ``trm solve --json``."""
        return {
            **({"name": self.puzzle.name} if self.puzzle.name else {}),
            "puzzle": self.task.format(self.puzzle.tokens),
            "answer": self.answer,
            "valid": self.valid,
            "halt_step": self.halt_step,
            "halt_probabilities": [round(t.halt_probability, 6) for t in self.thoughts],
            "boards": list(self.boards),
        }


class Model:
    """A trained model, with its task. Made by :func:`trm.load`.

    Attributes:
        name: what it was loaded as.
        path: the checkpoint folder, for one of the Hub in its cache.
        notes: what a checkpoint of the published trainer leaves out, and was inferred.
        names: what the puzzle identifiers stand for, (num_puzzle_identifiers,) byte strings; None
            where all puzzles have the same one, or nobody knows.
    """

    def __init__(self, network: TinyRecursiveModel, stored: Stored) -> None:
        self.network = network.eval()
        self.name, self.path, self.notes = stored.name, stored.path, stored.notes
        self.checkpoint, self.names = stored.config, stored.names
        self.made_for = stored.made_for
        self.task = get_task(stored.config.run.task)

    @property
    def config(self) -> RunConfig:
        """The settings that it was trained with."""
        return self.checkpoint.run

    def identifier(self, puzzle: Puzzle) -> int:
        """The row of the puzzle embedding that a puzzle has.

        Raises:
            InputError: if the model was not trained on a puzzle of this name.
        """
        if self.names is None:
            return 0
        found = np.flatnonzero(self.names == puzzle.name.encode())
        if not len(found):
            raise InputError(
                f"the model was not trained on a puzzle named {puzzle.name!r}, so it has no "
                f"embedding that means it. Give one of its {len(self.names) - 1:,}, such as "
                f"{self.names[1].decode()}."
            )
        return int(found[0])

    def parse(self, text: str, name: str = "", *, check: bool = True) -> list[Puzzle]:
        """The puzzles in a text, in the task's own notation.

        Args:
            text: the puzzles.
            name: of the file that the text was read from, without its ending.
            check: refuse one that breaks the puzzle's rules, and not only what cannot be read.

        Raises:
            InputError: if one is refused.
        """
        properties = self.checkpoint.data.properties
        if check:
            return self.task.parse(text, properties, name)
        if "check" not in inspect.signature(self.task.parse).parameters:
            raise InputError(f"task {self.task.name} cannot leave out its check. Use check=True.")
        return self.task.parse(text, properties, name, check=False)

    def parse_answer(self, text: str) -> str:
        """An answer to a puzzle, such as one known to be right, as the model writes its own.

        Raises:
            InputError: if it cannot be read.
        """
        answer = self.task.parse_answer(text, self.checkpoint.data.properties)
        return self.task.format(answer)

    def parse_one(self, text: str, *, check: bool = True) -> Puzzle:
        """The one puzzle in a text, which the model knows how to solve; see :meth:`parse`.

        Raises:
            InputError: if it is refused, or the model was not trained on a puzzle of its name.
        """
        puzzle = only(self.parse(text, check=check))
        self.identifier(puzzle)
        return puzzle

    @overload
    def solve(  # type: ignore[overload-overlap]
        self, puzzles: str, *, batch_size: int = BATCH_SIZE, check: bool = True
    ) -> Solution: ...

    @overload
    def solve(
        self, puzzles: Sequence[str], *, batch_size: int = BATCH_SIZE, check: bool = True
    ) -> list[Solution]: ...

    def solve(
        self, puzzles: str | Sequence[str], *, batch_size: int = BATCH_SIZE, check: bool = True
    ) -> Solution | list[Solution]:
        """Solve a puzzle, or many.

        Args:
            puzzles: each in the task's own notation, for Sudoku digits and ``.``, row by row.
            batch_size: how many to solve at once.
            check: refuse one that breaks the puzzle's rules, and not only what cannot be read.

        Returns:
            A solution, or where a list was given the solutions in its order.

        Raises:
            InputError: if one is refused; of a list, the message has its number, from 1 on.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}. Give 1 or more.")
        if isinstance(puzzles, str):
            return self.solve_batch([self.parse_one(puzzles, check=check)])[0]
        parsed = [self._numbered(number, text, check) for number, text in enumerate(puzzles, 1)]
        starts = range(0, len(parsed), batch_size)
        return [s for start in starts for s in self.solve_batch(parsed[start : start + batch_size])]

    def _numbered(self, number: int, text: str, check: bool) -> Puzzle:
        try:
            return self.parse_one(text, check=check)
        except InputError as error:
            raise InputError(f"puzzle {number}: {error}") from error

    def solve_batch(self, puzzles: Sequence[Puzzle]) -> list[Solution]:
        """Solve puzzles at once.

        Raises:
            InputError: if the model was not trained on a puzzle of one's name.
        """
        each = zip(*self._think(puzzles), strict=True)
        return [
            Solution(self.task, puzzle, thoughts)
            for puzzle, thoughts in zip(puzzles, each, strict=True)
        ]

    def think(self, puzzle: Puzzle) -> Iterator[Thought]:
        """The boards (seq_len,) of a puzzle, one supervision step after the other.

        Raises:
            InputError: if the model was not trained on a puzzle of this name.
        """
        for (thought,) in self._think([puzzle]):
            yield thought

    def _think(self, puzzles: Sequence[Puzzle]) -> Iterator[list[Thought]]:
        """A thought on each puzzle, one supervision step after the other."""
        device = self.network.device
        tokens = np.stack([puzzle.tokens for puzzle in puzzles]).astype(np.int32)
        rows = [self.identifier(puzzle) for puzzle in puzzles]
        steps = supervision_steps(
            self.network,
            torch.from_numpy(tokens).to(device),
            torch.tensor(rows, dtype=torch.int32, device=device),
        )
        for number, (answers, halt_logits) in enumerate(steps, start=1):
            boards: NDArray[np.int32] = answers.cpu().numpy()
            chances = halt_logits.float().sigmoid().tolist()
            yield [Thought(number, *found) for found in zip(boards, chances, strict=True)]


def load(path: str | Path | None = None, *, task: str | None = None, device: str = "auto") -> Model:
    """Load a trained model.

    Args:
        path: a run folder (its best checkpoint), a checkpoint folder, a file or folder of the
            published trainer, or ``USER/NAME[@REVISION]`` of the Hub; the newest run in ``runs/``
            if left out.
        task: of a published checkpoint that does not say which it was trained for.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        CheckpointError: if there is none, or it is damaged.
        HubError: if it cannot be fetched.
    """
    stored = open_stored(path, task=task)
    return Model(stored.model(pick_device(device)), stored)
