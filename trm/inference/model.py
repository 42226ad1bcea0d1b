"""A trained model that solves puzzles."""

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch

from trm.checkpoints.open_checkpoint import OpenedCheckpoint, open_checkpoint
from trm.config import RunConfig
from trm.errors import CheckpointError, InputError
from trm.html_text import table_html
from trm.inference.effort import Attempt
from trm.inference.options import SolveOptions
from trm.inference.puzzle_file import without_comments
from trm.inference.solution import Solution, SolutionStep
from trm.inference.solver import Solver
from trm.models import RecursiveModel
from trm.python_calls import python_call
from trm.runs.layout import CONFIG_FILE
from trm.runtime.device import pick_device
from trm.tasks.base import Puzzle, single_puzzle
from trm.tasks.given_cells import as_lists, is_board
from trm.tasks.registry import get_task

#: Puzzles solved at once.
BATCH_SIZE = 64
#: One puzzle and several, as far as types can tell; arrays may be either. See :meth:`Model.solve`.
One = str | Mapping[str, Any] | Sequence[Sequence[int | None]] | Puzzle
Several = Sequence[str] | Sequence[Puzzle] | Sequence[Sequence[Sequence[int | None]]]


class Model:
    """A trained model, with its task. Made by :func:`trm.load`.

    Attributes:
        name: the name that it was loaded by.
        path: the checkpoint folder; for a checkpoint of the Hub, in its cache.
        notes: what was inferred, because a checkpoint of the published trainer leaves it out.
        names: (num_puzzle_identifiers,) byte strings, the names of the puzzles that the model was
            trained on; None if all puzzles share one identifier, or the names are unknown.
        solver: solves parsed puzzles.
    """

    def __init__(self, network: RecursiveModel, stored: OpenedCheckpoint) -> None:
        self.network = network.eval()
        self.name, self.path, self.notes = stored.name, stored.path, stored.notes
        self.checkpoint, self.names = stored.config, stored.names
        self.trained_on = stored.trained_on
        self.task = get_task(stored.config.run.task)
        if problem := self.task.find_problem(stored.config.data):
            raise CheckpointError(
                f"{self.path}: the data in {CONFIG_FILE} are damaged: {problem}. Use another "
                "checkpoint."
            )
        self.solver = Solver(
            self.network, self.task, self.checkpoint.data, self.config.train.loss,
            augmented=self.names is not None,
        )  # fmt: skip

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts.items())
        return f"<Model {self.name}: {facts}>"

    def _repr_html_(self) -> str:
        """For notebooks: what the model is."""
        return table_html(f"Model {self.name}", (), self._facts.items())

    @property
    def _facts(self) -> dict[str, str]:
        """What matters about the model, by name."""
        count = sum(parameter.numel() for parameter in self.network.parameters())
        data = self.checkpoint.data
        size = data.properties.get("size")
        is_square = isinstance(size, int) and size * size == data.seq_len
        return {
            "task": self.task.name,
            **({"boards": f"{size}x{size}"} if is_square else {"cells": f"{data.seq_len}"}),
            "parameters": f"{count:,}",
            "step": f"{self.checkpoint.step:,}",
            "device": str(self.network.device),
        }

    @property
    def config(self) -> RunConfig:
        """The settings that the model was trained with."""
        return self.checkpoint.run

    @property
    def has_comments(self) -> bool:
        """Whether a line of puzzles that begins with ``#`` is a comment.

        It is not where ``#`` is a symbol of the puzzles, such as the wall of a maze.
        """
        return "#" not in self.checkpoint.data.vocabulary

    def identifier(self, puzzle: Puzzle) -> int:
        """The row of the puzzle embedding of a puzzle.

        Raises:
            InputError: if the model was not trained on a puzzle of this name.
        """
        if self.names is None:
            return 0
        # A lone surrogate cannot be encoded, and is in no name.
        found = np.flatnonzero(self.names == puzzle.name.encode(errors="surrogatepass"))
        if not len(found):
            raise InputError(
                f"the model was not trained on a puzzle named {puzzle.name!r:.99}, so it has no "
                f"embedding that means it. Give one of its {len(self.names) - 1:,}, such as "
                f"{self.names[-1].decode()}."
            )
        return int(found[0])

    @python_call
    def parse(self, text: str, name: str = "", *, check: bool = True) -> list[Puzzle]:
        """The puzzles in a text, in the task's own notation.

        Args:
            text: the puzzles. Lines that begin with ``#`` are comments; see :attr:`has_comments`.
            name: the name of the file that the text was read from, without its extension.
            check: also refuse a puzzle that breaks the rules.

        Raises:
            InputError: if a puzzle cannot be read, or is refused.
        """
        properties = self.checkpoint.data.properties
        text = without_comments(text) if self.has_comments else text
        if check:
            return self.task.parse(text, properties, name)
        if "check" not in inspect.signature(self.task.parse).parameters:
            raise InputError(f"task {self.task.name} cannot leave out its check. Use check=True.")
        return self.task.parse(text, properties, name, check=False)

    def divide(self, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        """Divide lines into puzzles; see :meth:`trm.tasks.base.Task.divide`."""
        return self.task.divide(lines, self.checkpoint.data.properties)

    def parse_answer(self, text: str) -> str:
        """An answer, such as a known one, in the notation of the model's own answers.

        Raises:
            InputError: if it cannot be read.
        """
        answer = self.task.parse_answer(text, self.checkpoint.data.properties)
        return self.task.format(answer)

    def parse_one(self, text: str, *, check: bool = True) -> Puzzle:
        """The only puzzle in a text; see :meth:`parse`.

        Raises:
            InputError: if it is refused, or the model was not trained on a puzzle of this name.
        """
        puzzle = single_puzzle(self.parse(text, check=check))
        self.identifier(puzzle)
        return puzzle

    def puzzle_of(self, given: object, *, check: bool = True) -> Puzzle:
        """The one puzzle that a Python program gives; see :meth:`solve`.

        Raises:
            InputError: if it is refused, or the model was not trained on a puzzle of this name.
        """
        if isinstance(given, Puzzle):
            self.identifier(given)
            return given
        if isinstance(given, Path):
            raise InputError(f"{given} is a path. Use trm.solve_file, or give its text.")
        board = as_lists(given)
        if not isinstance(board, str | list | Mapping):
            raise InputError(
                f"{board!r:.60} is no puzzle. Give text, an array, a list of rows, or a list of "
                "such puzzles."
            )
        if not isinstance(board, str):
            board = self.task.text_of(board, self.checkpoint.data.properties)
        try:
            return self.parse_one(board, check=check)
        except InputError as error:
            if os.path.isfile(board):  # noqa: PTH113 (any text, however long)
                raise InputError(
                    f"{board} is a file, not a puzzle. Use trm.solve_file, or give its text."
                ) from error
            raise

    @overload
    def solve(
        self, puzzles: One, *, batch_size: int = ..., check: bool = ..., **options: Any
    ) -> Solution: ...

    @overload
    def solve(
        self, puzzles: Several, *, batch_size: int = ..., check: bool = ..., **options: Any
    ) -> list[Solution]: ...

    @overload
    def solve(
        self, puzzles: Any, *, batch_size: int = ..., check: bool = ..., **options: Any
    ) -> Any: ...

    @python_call
    def solve(
        self,
        puzzles: Any,
        *,
        batch_size: int = BATCH_SIZE,
        check: bool = True,
        **options: Any,
    ) -> Solution | list[Solution]:
        """Solve one puzzle, or several.

        For example, in a model of 4x4 Sudokus, three ways to give one puzzle, and one to give two::

            model.solve("1.3.341221434.21")
            model.solve([[1, 0, 3, 0], [3, 4, 1, 2], [2, 1, 4, 3], [4, 0, 2, 1]])
            model.solve(np.array(...))  # (4, 4)
            model.solve(["1.3.341221434.21", ".234341221434321"])

        Args:
            puzzles: one puzzle is a text in the task's own notation (for Sudoku digits and ``.``,
                row by row), an array or tensor of two dimensions, or a list of rows, which are
                lists of cells. Several puzzles are a list of these, or an array of three
                dimensions. For Sudoku 0 and None are blanks. Mazes take characters. ARC takes a
                dictionary like its JSON, ``{"ID": {"test": [{"input": grid}]}}``.
            batch_size: how many to solve at once.
            check: refuse a puzzle that breaks the rules.
            options: the flags of ``trm solve``, such as ``samples=4``; see
                :class:`trm.inference.options.SolveOptions`.

        Returns:
            A solution; for several puzzles, a list of solutions in their order.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if a puzzle is refused; for a list, the message has its number, from 1.
        """
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}. Give 1 or more.")
        given = as_lists(puzzles)
        if not isinstance(given, list) or is_board(given):
            return self.solve_batch([self.puzzle_of(given, check=check)], **options)[0]
        parsed = []
        for number, one in enumerate(given, 1):
            try:
                parsed.append(self.puzzle_of(one, check=check))
            except InputError as error:
                raise InputError(f"puzzle {number}: {error}{_rows_hint(given)}") from error
        starts = range(0, len(parsed), batch_size)
        batches = (parsed[start : start + batch_size] for start in starts)
        return [solution for batch in batches for solution in self.solve_batch(batch, **options)]

    def solve_batch(self, puzzles: Sequence[Puzzle], **options: Any) -> list[Solution]:
        """Solve parsed puzzles at once; see :meth:`solve`.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if the model was not trained on a puzzle of this name.
        """
        given = SolveOptions.of(**options)
        return self.solver.solve(puzzles, [self.identifier(one) for one in puzzles], given)

    def attempts(self, puzzle: Puzzle, **options: Any) -> Iterator[Attempt]:
        """The tries at one puzzle, to take until its answer is valid; see :meth:`solve`.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if the model was not trained on a puzzle of this name.
        """
        return self.solver.attempts(puzzle, self.identifier(puzzle), SolveOptions.of(**options))

    def solve_steps(self, puzzle: Any, **options: Any) -> Iterator[SolutionStep]:
        """Solve one puzzle step by step; see :meth:`solve`. It may be parsed already.

        These are the steps of the first try: see :meth:`attempts` for those that follow it.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if the puzzle is refused, or the model was not trained on one of this name.
        """
        attempt = next(self.attempts(self.puzzle_of(puzzle), **options))
        return iter(attempt.steps)


def load(
    checkpoint: str | Path | None = None,
    *,
    task: str | None = None,
    device: str | torch.device = "auto",
) -> Model:
    """Load a trained model.

    Args:
        checkpoint: a run folder (its best checkpoint), a checkpoint folder, a file or folder of the
            published trainer, or ``USER/NAME[/FILE][@REVISION]`` or an address on the Hub; the
            newest run in ``runs/`` if left out.
        task: the task of a published checkpoint that does not name it.
        device: ``auto``, ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or a torch device.

    Raises:
        CheckpointError: if it is missing or damaged.
        HubError: if it cannot be downloaded.
    """
    stored = open_checkpoint(checkpoint, task=task)
    return Model(stored.model(pick_device(str(device))), stored)


def _rows_hint(given: list[object]) -> str:
    """What to say if the texts of a list look like the rows of one board; else nothing."""
    is_square = all(isinstance(row, str) and len(row) == len(given) > 1 for row in given)
    return ' If these are the rows of one board, join them: "\\n".join(rows).' if is_square else ""
