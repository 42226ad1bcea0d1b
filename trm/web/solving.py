"""Solving for the page and the widget: a record for each supervision step."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from pydantic import Field, ValidationError

from trm.config import Frozen, first_problem
from trm.errors import InputError
from trm.inference.effort import choose_solution
from trm.inference.model import Model
from trm.inference.options import SolveOptions
from trm.inference.solution import Solution, SolutionStep
from trm.tasks.base import Puzzle
from trm.web.limits import Limits


class SolveRequest(Frozen):
    """What the page asks for.

    Attributes:
        models: one, or two that are shown side by side.
        puzzle: in the notation of the task.
        options: those of :class:`trm.inference.options.SolveOptions`.
    """

    models: tuple[str, ...] = Field(min_length=1, max_length=2)
    puzzle: str
    options: dict[str, Any] = {}

    @classmethod
    def of(cls, value: object) -> "SolveRequest":
        """A request from parsed JSON.

        Raises:
            InputError: if it has another form.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            raise InputError(f"{first_problem(error)}. Correct it.") from None


class Solving:
    """A puzzle that one or two models solve step by step.

    Args:
        load: gives the model of a name.
        request: what to solve, and how.
        limits: bounds of the request.

    Raises:
        InputError: if a model cannot read the puzzle, or too much is asked for.
        ConfigError: if an option is unknown or out of range.
    """

    def __init__(self, load: Callable[[str], Model], request: SolveRequest, limits: Limits) -> None:
        self.options = SolveOptions.of(**request.options)
        limits.check(self.options)
        self._models = [load(name) for name in request.models]
        self._puzzles = [model.puzzle_of(request.puzzle) for model in self._models]

    def records(self) -> Iterator[dict[str, Any]]:
        """The steps of the models in turn, computed as they are taken, and the end of each."""
        pairs = zip(self._models, self._puzzles, strict=True)
        running = {number: self._records_of(*pair) for number, pair in enumerate(pairs)}
        while running:
            for number, records in list(running.items()):
                record = next(records, None)
                if record is None:
                    del running[number]
                else:
                    yield {"model": number, **record}

    def _records_of(self, model: Model, puzzle: Puzzle) -> Iterator[dict[str, Any]]:
        """The steps of each try until an answer is valid, and the end.

        Step numbers continue from one try to the next.
        """
        tried: list[Solution] = []
        count = 0
        for attempt in model.attempts(puzzle, **self.options.model_dump(exclude_defaults=True)):
            own: list[SolutionStep] = []
            for step in attempt.steps:
                count += 1
                own.append(replace(step, step=count))
                yield {"effort": attempt.level, **step_json(model, puzzle, own[-1])}
            solution = Solution(model.task, puzzle, tuple(own), attempt.options, attempt.level)
            tried.append(solution)
            if solution.valid is not False:
                break
        yield {"end": _end_json(choose_solution(tried))}


def step_json(model: Model, puzzle: Puzzle, step: SolutionStep) -> dict[str, Any]:
    """A supervision step: the board, how sure the model is, and whether it keeps the rules."""
    cells = None if step.confidence is None else step.confidence.astype(float).round(4).tolist()
    return {
        "step": step.step,
        "tokens": step.board.tolist(),
        "answer": model.task.format(step.board),
        "confidence": cells and [None if math.isnan(cell) else cell for cell in cells],
        "halt": round(step.halt_probability, 6),
        "valid": model.task.is_valid(puzzle.tokens, step.board),
    }


def _end_json(solution: Solution) -> dict[str, Any]:
    return {
        "shown": solution.steps[-1].step,
        "answer": solution.answer,
        "valid": solution.valid,
        "halt_step": solution.halt_step,
        "confidence": solution.confidence,
    }
