"""A trained model as something to ask: puzzles in, answers and the way to them out."""

from collections.abc import Iterator
from dataclasses import dataclass
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
from trm.tasks.base import Task, Tokens


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
        puzzle: (seq_len,), as given.
        thoughts: one for each supervision step.
    """

    task: Task
    puzzle: Tokens
    thoughts: tuple[Thought, ...]

    @property
    def answer(self) -> str:
        """The last board, in the task's own notation."""
        return self.task.format(self.thoughts[-1].board)

    @property
    def boards(self) -> tuple[str, ...]:
        """The board after each supervision step, in the task's own notation."""
        return tuple(self.task.format(thought.board) for thought in self.thoughts)

    @property
    def valid(self) -> bool | None:
        """Whether the answer keeps the puzzle's rules, None where only a label can tell."""
        return self.task.is_valid(self.puzzle, self.thoughts[-1].board)

    @property
    def halt_step(self) -> int | None:
        """The first step at which the model would have halted, None if at none."""
        return next((t.step for t in self.thoughts if t.halt_probability > 0.5), None)

    def as_json(self) -> dict[str, Any]:
        """For ``trm solve --json``."""
        return {
            "puzzle": self.task.format(self.puzzle),
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

    def parse(self, text: str) -> list[Tokens]:
        """The puzzles in a text, in the task's own notation.

        Raises:
            InputError: if one cannot be read or breaks the puzzle's rules.
        """
        return self.task.parse(text, self.checkpoint.data.properties)

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
        tokens = puzzles[0]
        return Solution(self.task, tokens, tuple(self.think(tokens)))

    def think(self, puzzle: Tokens) -> Iterator[Thought]:
        """The boards (seq_len,) of a puzzle, one supervision step after the other."""
        inputs = torch.from_numpy(puzzle.astype(np.int32))[None].to(self.network.device)
        identifiers = torch.zeros(1, dtype=torch.int32, device=self.network.device)
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
