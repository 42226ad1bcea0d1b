"""Solving for the page: a stream of JSON lines, one for each supervision step."""

import json
import math
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import replace
from typing import Any

import anyio
import torch
from anyio import to_thread
from pydantic import Field, ValidationError
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from trm.config import Frozen
from trm.errors import InputError, TrmError
from trm.inference.model import Model
from trm.inference.options import SolveOptions
from trm.inference.solution import Solution, SolutionStep
from trm.python_calls import in_python
from trm.tasks.base import Puzzle
from trm.web.catalogue import Catalogue
from trm.web.limits import Limits
from trm.web.turns import Turns


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
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"])) or "the request"
            raise InputError(f"{where}: {first['msg']}. Correct it.") from None


class Solving:
    """A puzzle that one or two models solve step by step.

    Args:
        catalogue: the models.
        request: what to solve, and how.
        limits: bounds of the request.

    Raises:
        InputError: if a model cannot read the puzzle, or too much is asked for.
        ConfigError: if an option is unknown or out of range.
    """

    def __init__(self, catalogue: Catalogue, request: SolveRequest, limits: Limits) -> None:
        self.options, self._limits = SolveOptions.of(**request.options), limits
        limits.check(self.options)
        self._models = [catalogue.load(name) for name in request.models]
        self._puzzles = [model.puzzle_of(request.puzzle) for model in self._models]

    async def lines(self) -> AsyncGenerator[str, None]:
        """The lines of the answer. Each step is computed when the line before it is sent."""
        deadline = time.monotonic() + self._limits.seconds
        lines = self._records()
        while True:
            try:
                record = await to_thread.run_sync(next, lines, None)
            except (TrmError, torch.OutOfMemoryError, MemoryError) as error:
                message = in_python(str(error).partition("\n")[0])
                record, deadline = {"error": message}, math.inf
            if record is None:
                return
            yield json.dumps(record, allow_nan=False) + "\n"
            if time.monotonic() > deadline:
                message = f"stopped after {self._limits.seconds:g} s. Ask for fewer steps."
                yield json.dumps({"error": message}) + "\n"
                return

    def _records(self) -> Iterator[dict[str, Any]]:
        """The steps of the models in turn, and the end of each."""
        pairs = list(zip(self._models, self._puzzles, strict=True))
        taken: list[list[SolutionStep]] = [[] for _ in pairs]
        running = {n: self._thinking(*pair) for n, pair in enumerate(pairs)}
        while running:
            for number, steps in list(running.items()):
                model, puzzle = pairs[number]
                effort, step = next(steps, (0, None))
                if step is None:
                    del running[number]
                    solution = Solution(model.task, puzzle, tuple(taken[number]), self.options)
                    yield {"model": number, "end": _end_json(solution)}
                else:
                    taken[number].append(replace(step, step=1 + len(taken[number])))
                    record = step_json(model, puzzle, taken[number][-1])
                    yield {"model": number, "effort": effort, **record}

    def _thinking(self, model: Model, puzzle: Puzzle) -> Iterator[tuple[int, SolutionStep]]:
        """The steps of each try until an answer is valid, with the level of effort."""
        for attempt in model.attempts(puzzle, **self.options.model_dump(exclude_defaults=True)):
            step = None
            for step in attempt.steps:
                yield attempt.level, step
            if step and model.task.is_valid(puzzle.tokens, step.board) is not False:
                return


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
        "answer": solution.answer,
        "valid": solution.valid,
        "halt_step": solution.halt_step,
        "confidence": solution.confidence,
    }


class SolveStream(StreamingResponse):
    """The answer to a solve, which has a place among the turns until it ends.

    Args:
        turns: where it has a place.
        solving: what to solve when it is its turn.
        send_seconds: how long the client may take to read a line.
    """

    def __init__(self, turns: Turns, solving: Solving, send_seconds: float) -> None:
        self._turns, self._send_seconds = turns, send_seconds
        self._lines = self._in_turn(solving)
        super().__init__(self._lines, media_type="application/x-ndjson")

    async def _in_turn(self, solving: Solving) -> AsyncGenerator[str, None]:
        async with self._turns.turn():
            async for line in solving.lines():
                yield line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines. A client that goes away, or does not read, ends its solve."""

        async def send_soon(message: Message) -> None:
            with anyio.fail_after(self._send_seconds):
                await send(message)

        try:
            await super().__call__(scope, receive, send_soon)
        except TimeoutError:
            pass  # the connection is closed, for its answer has no end
        finally:
            with anyio.CancelScope(shield=True):
                await self._lines.aclose()
            self._turns.leave()
