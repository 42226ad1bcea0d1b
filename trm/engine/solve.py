"""A trained model as something to ask: puzzles in, answers and the way to them out."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from trm.config import RunConfig
from trm.engine import checkpoint, runs
from trm.engine.device import pick_device
from trm.engine.evaluate import supervision_steps
from trm.errors import InputError
from trm.models import TinyRecursiveModel
from trm.plugins import get_task
from trm.tasks.base import Board, Puzzle, Task, Tokens


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
        path: the checkpoint folder.
        config: the settings that it was trained with.
    """

    def __init__(
        self, network: TinyRecursiveModel, config: checkpoint.CheckpointConfig, path: Path
    ) -> None:
        self.network = network.eval()
        self.path = path
        self.checkpoint = config
        self.task = get_task(config.run.task)

    @property
    def config(self) -> RunConfig:
        """The settings that it was trained with."""
        return self.checkpoint.run

    @cached_property
    def names(self) -> checkpoint.Names | None:
        """What the puzzle identifiers stand for, (num_puzzle_identifiers,) byte strings.

        None where all puzzles have the same one.
        """
        return checkpoint.read_names(self.path)

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

    def parse(self, text: str, name: str = "") -> list[Puzzle]:
        """The puzzles in a text, in the task's own notation.

        Args:
            text: the puzzles.
            name: of the file that the text was read from, without its ending.

        Raises:
            InputError: if one cannot be read or breaks the puzzle's rules.
        """
        return self.task.parse(text, self.checkpoint.data.properties, name)

    def solve(self, puzzle: str) -> Solution:
        """Solve one puzzle.

        Args:
            puzzle: in the task's own notation, for Sudoku digits and ``.``, row by row.

        Raises:
            InputError: if it is not one puzzle, cannot be read or breaks the puzzle's rules.
        """
        puzzles = self.parse(puzzle)
        if len(puzzles) != 1:
            raise InputError(f"{len(puzzles)} puzzles were given. Give one at a time.")
        return Solution(self.task, puzzles[0], tuple(self.think(puzzles[0])))

    def think(self, puzzle: Puzzle) -> Iterator[Thought]:
        """The boards (seq_len,) of a puzzle, one supervision step after the other.

        Raises:
            InputError: if the model was not trained on a puzzle of this name.
        """
        device = self.network.device
        inputs = torch.from_numpy(puzzle.tokens.astype(np.int32))[None].to(device)
        identifiers = torch.tensor([self.identifier(puzzle)], dtype=torch.int32, device=device)
        steps = supervision_steps(self.network, inputs, identifiers)
        for number, (boards, halt_logits) in enumerate(steps, start=1):
            board: NDArray[np.int32] = boards[0].cpu().numpy()
            yield Thought(number, board, float(halt_logits[0].float().sigmoid()))


def load(path: str | Path | None = None, *, device: str = "auto") -> Model:
    """Load a trained model.

    Args:
        path: a run folder (its best checkpoint) or a checkpoint folder; the newest run in
            ``runs/`` if left out.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    found = runs.find_checkpoint(None if path is None else str(path))
    network, config = checkpoint.load_model(found, pick_device(device))
    return Model(network, config, found)
