"""A trained model as something to ask: puzzles in, answers and the way to them out."""

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Unpack, overload

import numpy as np
import torch

from trm.checkpoints.opened import OpenedCheckpoint, open_checkpoint
from trm.config import RunConfig
from trm.errors import InputError
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import How, Solving
from trm.inference.search import Search
from trm.inference.solution import Solution, Thought
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import TinyRecursiveModel
from trm.runtime.device import pick_device
from trm.tasks.base import Puzzle, single_puzzle
from trm.tasks.registry import get_task

#: Puzzles solved at once.
BATCH_SIZE = 64


class Model:
    """A trained model, with its task. Made by :func:`trm.load`.

    Attributes:
        name: what it was loaded as.
        path: the checkpoint folder, for one of the Hub in its cache.
        notes: what a checkpoint of the published trainer leaves out, and was inferred.
        names: what the puzzle identifiers stand for, (num_puzzle_identifiers,) byte strings; None
            where all puzzles have the same one, or nobody knows.
    """

    def __init__(self, network: TinyRecursiveModel, stored: OpenedCheckpoint) -> None:
        self.network = network.eval()
        self.name, self.path, self.notes = stored.name, stored.path, stored.notes
        self.checkpoint, self.names = stored.config, stored.names
        self.trained_on = stored.trained_on
        self.task = get_task(stored.config.run.task)
        self._noise: LatentNoise | None = None

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
        puzzle = single_puzzle(self.parse(text, check=check))
        self.identifier(puzzle)
        return puzzle

    @overload
    def solve(  # type: ignore[overload-overlap]
        self, puzzles: str, *, batch_size: int = BATCH_SIZE, check: bool = True, **how: Unpack[How]
    ) -> Solution: ...

    @overload
    def solve(
        self,
        puzzles: Sequence[str],
        *,
        batch_size: int = BATCH_SIZE,
        check: bool = True,
        **how: Unpack[How],
    ) -> list[Solution]: ...

    def solve(
        self,
        puzzles: str | Sequence[str],
        *,
        batch_size: int = BATCH_SIZE,
        check: bool = True,
        **how: Unpack[How],
    ) -> Solution | list[Solution]:
        """Solve a puzzle, or many.

        Args:
            puzzles: each in the task's own notation, for Sudoku digits and ``.``, row by row.
            batch_size: how many to solve at once.
            check: refuse one that breaks the puzzle's rules, and not only what cannot be read.
            how: ``steps``, ``samples``, ``noise``, ``choose``, ``votes``, ``halt`` and
                ``until_valid``, as the flags of ``trm solve``; see
                :class:`trm.inference.options.Solving`.

        Returns:
            A solution, or where a list was given the solutions in its order.

        Raises:
            ConfigError: for a ``how`` that is out of range, or does not go together.
            InputError: if one is refused; of a list, the message has its number, from 1 on.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}. Give 1 or more.")
        if isinstance(puzzles, str):
            return self.solve_batch([self.parse_one(puzzles, check=check)], **how)[0]
        parsed = [self._numbered(number, text, check) for number, text in enumerate(puzzles, 1)]
        starts = range(0, len(parsed), batch_size)
        batches = (parsed[start : start + batch_size] for start in starts)
        return [solution for batch in batches for solution in self.solve_batch(batch, **how)]

    def _numbered(self, number: int, text: str, check: bool) -> Puzzle:
        try:
            return self.parse_one(text, check=check)
        except InputError as error:
            raise InputError(f"puzzle {number}: {error}") from error

    def solve_batch(self, puzzles: Sequence[Puzzle], **how: Unpack[How]) -> list[Solution]:
        """Solve puzzles at once; see :meth:`solve`.

        Raises:
            ConfigError: for a ``how`` that is out of range, or does not go together.
            InputError: if the model was not trained on a puzzle of one's name.
        """
        solving = Solving.of(**how)
        thoughts: list[list[Thought]] = [[] for _ in puzzles]
        for found in self._search(puzzles, solving).thoughts():
            for number, thought in found.items():
                thoughts[number].append(thought)
        return [
            Solution(self.task, puzzle, tuple(own), solving)
            for puzzle, own in zip(puzzles, thoughts, strict=True)
        ]

    def think(self, puzzle: Puzzle, **how: Unpack[How]) -> Iterator[Thought]:
        """The boards (seq_len,) of a puzzle, one supervision step after the other.

        Raises:
            ConfigError: for a ``how`` that is out of range, or does not go together.
            InputError: if the model was not trained on a puzzle of this name.
        """
        search = self._search([puzzle], Solving.of(**how))
        return (found[0] for found in search.thoughts())

    def _search(self, puzzles: Sequence[Puzzle], solving: Solving) -> Search:
        how, given = solving.settled, puzzles[0].tokens
        if how.until_valid and self.task.is_valid(given, given) is None:
            raise InputError(
                f"--until-valid: in task {self.task.name} only a label can tell whether an answer "
                "is right. Leave it out."
            )
        augmentation = self.task.augmentation(self.checkpoint.data, "test")
        copies = SymmetricCopies(augmentation, how.votes, augmented=self.names is not None)
        rows = [self.identifier(puzzle) for puzzle in puzzles]
        return Search(
            self.network,
            self.task,
            np.stack([puzzle.tokens for puzzle in puzzles]).astype(np.int32),
            np.array(rows, np.int32),
            how,
            copies,
            self._noise_of(how.noise) if how.noise else None,
        )

    def _noise_of(self, scale: float) -> LatentNoise:
        """What was drawn is kept for the next puzzles."""
        if self._noise is None or self._noise.scale != scale:
            self._noise = LatentNoise(self.network, scale)
        return self._noise


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
    stored = open_checkpoint(path, task=task)
    return Model(stored.model(pick_device(device)), stored)


def weights_digest(model: Model) -> str:
    """A digest of a model's weights, however they are stored."""
    found = hashlib.sha256()
    for name, tensor in sorted(model.network.state_dict().items()):
        found.update(name.encode())
        found.update(tensor.cpu().contiguous().view(torch.uint8).numpy().data)
    return found.hexdigest()
