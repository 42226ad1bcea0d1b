"""Solving parsed puzzles: a first answer, and further tries while it breaks the rules."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trm.data import DatasetMeta
from trm.errors import InputError
from trm.inference.effort import Attempt, choose_solution, options_of_levels
from trm.inference.guesses import GuessedPuzzle, GuessSearch
from trm.inference.latent_noise import LatentNoise
from trm.inference.options import SolveOptions
from trm.inference.search import Search
from trm.inference.solution import Solution, SolutionStep
from trm.inference.symmetric_copies import SymmetricCopies
from trm.models import RecursiveModel
from trm.tasks.base import Puzzle, Task, Tokens

#: Copies with guesses that are solved at once.
_MOST_ROWS = 1024


class Solver:
    """Solves puzzles with a model.

    Args:
        network: the model.
        task: of the puzzles.
        data: describes the puzzles that it was trained on.
        loss: that it was trained with, a key of :data:`trm.models.LOSSES`.
        augmented: whether symmetric copies are those of the augmentation, as in ARC.
    """

    def __init__(
        self, network: RecursiveModel, task: Task, data: DatasetMeta, loss: str, *, augmented: bool
    ) -> None:
        self._network, self._task, self._data, self._loss = network, task, data, loss
        self._augmented = augmented
        self._own_steps = network.config.halt_max_steps
        self._noise: LatentNoise | None = None

    def solve(
        self, puzzles: Sequence[Puzzle], identifiers: Sequence[int], options: SolveOptions
    ) -> list[Solution]:
        """Solve puzzles together.

        Args:
            puzzles: at least one.
            identifiers: the rows of their puzzle embeddings.
            options: how.

        Raises:
            InputError: if the task's rules cannot tell what the options have to know.
        """
        tried: list[list[Solution]] = [[] for _ in puzzles]
        remaining = list(range(len(puzzles)))
        for tries, level in enumerate(self.levels(puzzles[0].tokens, options)):
            effort = 0 if options.guesses else tries
            lasts = [tried[number][0].steps[-1] for number in remaining if tried[number]]
            given = [puzzles[number] for number in remaining]
            found = self._try(given, [identifiers[number] for number in remaining], level, lasts)
            for number, steps in zip(remaining, found, strict=True):
                tried[number].append(Solution(self._task, puzzles[number], steps, level, effort))
            remaining = [number for number in remaining if tried[number][-1].valid is False]
            if not remaining:
                break
        return [replace(choose_solution(own), num_steps=_num_steps(own)) for own in tried]

    def attempts(self, puzzle: Puzzle, identifier: int, options: SolveOptions) -> Iterator[Attempt]:
        """The tries at one puzzle, to take until its answer is valid; see :meth:`solve`."""
        first = list[SolutionStep]()
        for number, level in enumerate(self.levels(puzzle.tokens, options)):
            search = self._search([puzzle], [identifier], level, first[-1:])
            steps = (found[0] for found in search.steps())
            most = (level.steps or self._own_steps) * level.rounds
            recorded = steps if number else _recorded(steps, first)
            yield Attempt(recorded, most, level, 0 if options.guesses else number)

    def levels(self, puzzle: Tokens, options: SolveOptions) -> list[SolveOptions]:
        """The options of each level of effort, for puzzles such as this one.

        Raises:
            InputError: if the task's rules cannot tell what the options have to know.
        """
        can_guess = bool(self._values)
        if options.guesses and not can_guess:
            raise InputError(
                f"--guesses {options.guesses}: in task {self._task.name} no cell can be filled in "
                "by a guess. Use --samples."
            )
        levels = options_of_levels(options, self._own_steps, can_guess=can_guess)
        if self._task.is_valid(puzzle, puzzle) is not None:
            return levels
        if options.searches:
            flag = "--until-valid" if options.until_valid else f"--effort {options.effort}"
            flag = f"--guesses {options.guesses}" if options.guesses else flag
            raise InputError(
                f"{flag}: in task {self._task.name} only a label can tell whether an answer is "
                "right. Leave it out."
            )
        return levels[:1]

    @property
    def _values(self) -> tuple[int, ...]:
        """The tokens that a guess may fill in."""
        return self._task.interchangeable(self._data)

    def _try(
        self,
        puzzles: Sequence[Puzzle],
        identifiers: Sequence[int],
        options: SolveOptions,
        lasts: Sequence[SolutionStep],
    ) -> list[tuple[SolutionStep, ...]]:
        steps: list[list[SolutionStep]] = [[] for _ in puzzles]
        size = max(1, _MOST_ROWS // options.guesses) if options.guesses else len(puzzles)
        for first in range(0, len(puzzles), size):
            part = slice(first, first + size)
            search = self._search(puzzles[part], identifiers[part], options, lasts[part])
            for found in search.steps():
                for number, step in found.items():
                    steps[first + number].append(step)
        return [tuple(own) for own in steps]

    def _search(
        self,
        puzzles: Sequence[Puzzle],
        identifiers: Sequence[int],
        options: SolveOptions,
        lasts: Sequence[SolutionStep],
    ) -> Search | GuessSearch:
        """Solve puzzles together. ``lasts``: their last steps so far, from which guesses start."""
        options = options.resolved
        augmentation = self._task.augmentation(self._data, "test")
        copies = SymmetricCopies(augmentation, options.votes, augmented=self._augmented)
        if options.noise and (self._noise is None or self._noise.scale != options.noise):
            self._noise = LatentNoise(self._network, options.noise)  # kept for the next puzzles
        noise = self._noise if options.noise else None
        tokens = np.stack([puzzle.tokens for puzzle in puzzles]).astype(np.int32)
        rows = np.array(identifiers, np.int32)

        def start(
            numbers: Sequence[int], guesses: Sequence[NDArray[np.int32]] | None = None
        ) -> Search:
            given = list(numbers)
            return Search(
                self._network, self._task, tokens[given], rows[given], options, copies, noise,
                self._loss, guesses,
            )  # fmt: skip

        if not options.guesses:
            return start(range(len(puzzles)))
        first = [GuessedPuzzle(*pair) for pair in zip(tokens, lasts, strict=True)]
        return GuessSearch(first, self._values, options.guesses, options.rounds, start)


def _num_steps(tried: Iterable[Solution]) -> int:
    """The supervision steps of all rollouts of several tries."""
    return sum(step.num_rollouts for solution in tried for step in solution.steps)


def _recorded(steps: Iterable[SolutionStep], seen: list[SolutionStep]) -> Iterator[SolutionStep]:
    """The steps as they are taken, each put into a list."""
    for step in steps:
        seen.append(step)
        yield step
