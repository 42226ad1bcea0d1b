"""A trained model that solves puzzles."""

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray

from trm.checkpoints.open_checkpoint import OpenedCheckpoint, open_checkpoint
from trm.config import RunConfig
from trm.errors import CheckpointError, InputError
from trm.html_text import table_html
from trm.inference.effort import Attempt, choose_solution, options_of_levels
from trm.inference.guesses import GuessedPuzzle, GuessSearch
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import SolveOptions
from trm.inference.puzzle_file import without_comments
from trm.inference.search import Search
from trm.inference.solution import Solution, SolutionStep
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import RecursiveModel
from trm.python_calls import python_call
from trm.runs.layout import CONFIG_FILE
from trm.runtime.device import pick_device
from trm.tasks.base import Puzzle, single_puzzle
from trm.tasks.given_cells import as_lists, is_board
from trm.tasks.registry import get_task

#: Puzzles solved at once, and copies of them with guesses.
BATCH_SIZE, _MOST_ROWS = 64, 1024
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
        self._noise: LatentNoise | None = None

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
        levels = self._levels(puzzles[0], given)
        tried: list[list[Solution]] = [[] for _ in puzzles]
        remaining = list(range(len(puzzles)))
        for tries, level in enumerate(levels):
            effort = 0 if given.guesses else tries
            lasts = [tried[number][0].steps[-1] for number in remaining if tried[number]]
            found = self._solve_once([puzzles[number] for number in remaining], level, lasts)
            for number, steps in zip(remaining, found, strict=True):
                tried[number].append(Solution(self.task, puzzles[number], steps, level, effort))
            remaining = [number for number in remaining if tried[number][-1].valid is False]
            if not remaining:
                break
        return [choose_solution(own) for own in tried]

    def _solve_once(
        self, puzzles: Sequence[Puzzle], options: SolveOptions, lasts: Sequence[SolutionStep]
    ) -> list[tuple[SolutionStep, ...]]:
        steps: list[list[SolutionStep]] = [[] for _ in puzzles]
        size = max(1, _MOST_ROWS // options.guesses) if options.guesses else len(puzzles)
        for first in range(0, len(puzzles), size):
            part = slice(first, first + size)
            for found in self._search(puzzles[part], options, lasts[part]).steps():
                for number, step in found.items():
                    steps[first + number].append(step)
        return [tuple(own) for own in steps]

    def attempts(self, puzzle: Puzzle, **options: Any) -> Iterator[Attempt]:
        """The tries at one puzzle, to take until its answer is valid; see :meth:`solve`.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if the model was not trained on a puzzle of this name.
        """
        given, first = SolveOptions.of(**options), list[SolutionStep]()
        for number, level in enumerate(self._levels(puzzle, given)):
            steps = (found[0] for found in self._search([puzzle], level, first[-1:]).steps())
            most = (level.steps or self.config.model.halt_max_steps) * level.rounds
            recorded = steps if number else _recorded(steps, first)
            yield Attempt(recorded, most, level, 0 if given.guesses else number)

    def _levels(self, puzzle: Puzzle, options: SolveOptions) -> list[SolveOptions]:
        """The options of each level of effort."""
        can_guess = bool(self._values)
        if options.guesses and not can_guess:
            raise InputError(
                f"--guesses {options.guesses}: in task {self.task.name} no cell can be filled in "
                "by a guess. Use --samples."
            )
        levels = options_of_levels(options, self.config.model.halt_max_steps, can_guess=can_guess)
        if self.task.is_valid(puzzle.tokens, puzzle.tokens) is not None:
            return levels
        if options.effort or options.until_valid or options.guesses:
            flag = "--until-valid" if options.until_valid else f"--effort {options.effort}"
            flag = f"--guesses {options.guesses}" if options.guesses else flag
            raise InputError(
                f"{flag}: in task {self.task.name} only a label can tell whether an answer is "
                "right. Leave it out."
            )
        return levels[:1]

    @property
    def _values(self) -> tuple[int, ...]:
        """The tokens that a guess may fill in."""
        return self.task.interchangeable(self.checkpoint.data)

    def solve_steps(self, puzzle: Any, **options: Any) -> Iterator[SolutionStep]:
        """Solve one puzzle step by step; see :meth:`solve`. It may be parsed already.

        These are the steps of the first try: see :meth:`attempts` for those that follow it.

        Raises:
            ConfigError: if an option is unknown or out of range, or they contradict each other.
            InputError: if the puzzle is refused, or the model was not trained on one of this name.
        """
        attempt = next(self.attempts(self.puzzle_of(puzzle), **options))
        return iter(attempt.steps)

    def _search(
        self, puzzles: Sequence[Puzzle], options: SolveOptions, lasts: Sequence[SolutionStep]
    ) -> Search | GuessSearch:
        """Solve puzzles together. ``lasts`` are the last steps of first answers, for guesses."""
        options = options.resolved
        augmentation = self.task.augmentation(self.checkpoint.data, "test")
        copies = SymmetricCopies(augmentation, options.votes, augmented=self.names is not None)
        if options.noise and (self._noise is None or self._noise.scale != options.noise):
            self._noise = LatentNoise(self.network, options.noise)  # kept for the next puzzles
        tokens = np.stack([puzzle.tokens for puzzle in puzzles]).astype(np.int32)
        identifiers = np.array([self.identifier(puzzle) for puzzle in puzzles], np.int32)
        noise, loss = self._noise if options.noise else None, self.config.train.loss

        def start(
            numbers: Sequence[int], guesses: Sequence[NDArray[np.int32]] | None = None
        ) -> Search:
            given, known = tokens[list(numbers)], identifiers[list(numbers)]
            return Search(
                self.network, self.task, given, known, options, copies, noise, loss, guesses
            )

        if not options.guesses:
            return start(range(len(puzzles)))
        first = [GuessedPuzzle(*pair) for pair in zip(tokens, lasts, strict=True)]
        return GuessSearch(first, self._values, options.guesses, options.rounds, start)


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


def _recorded(steps: Iterable[SolutionStep], seen: list[SolutionStep]) -> Iterator[SolutionStep]:
    """The steps as they are taken, each put into a list."""
    for step in steps:
        seen.append(step)
        yield step


def _rows_hint(given: list[object]) -> str:
    """What to say if the texts of a list look like the rows of one board; else nothing."""
    is_square = all(isinstance(row, str) and len(row) == len(given) > 1 for row in given)
    return ' If these are the rows of one board, join them: "\\n".join(rows).' if is_square else ""
