"""The answer of the server to a solve: a stream of JSON lines, one for each supervision step."""

import json
import math
import time
from collections.abc import AsyncGenerator

import anyio
import torch
from anyio import to_thread
from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from trm.errors import TrmError
from trm.python_calls import in_python
from trm.web.limits import Limits
from trm.web.solving import Solving
from trm.web.turns import Turns


class SolveStream(StreamingResponse):
    """The answer to a solve, which has a place among the turns until it ends.

    Args:
        turns: where it has a place.
        solving: what to solve when it is its turn.
        limits: how long it may take, and how long the client may take to read a line.
    """

    def __init__(self, turns: Turns, solving: Solving, limits: Limits) -> None:
        self._turns, self._limits = turns, limits
        self._lines = self._in_turn(solving)
        super().__init__(self._lines, media_type="application/x-ndjson")

    async def _in_turn(self, solving: Solving) -> AsyncGenerator[str, None]:
        async with self._turns.turn():
            async for line in _lines(solving, self._limits.seconds):
                yield line

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the lines. A client that goes away, or does not read, ends its solve."""

        async def send_soon(message: Message) -> None:
            with anyio.fail_after(self._limits.send_seconds):
                await send(message)

        try:
            await super().__call__(scope, receive, send_soon)
        except TimeoutError:
            pass  # the connection is closed, for its answer has no end
        finally:
            with anyio.CancelScope(shield=True):
                await self._lines.aclose()
            self._turns.leave()


async def _lines(solving: Solving, seconds: float) -> AsyncGenerator[str, None]:
    """The lines of the answer. Each step is computed when the line before it is sent."""
    deadline = time.monotonic() + seconds
    records = solving.records()
    while True:
        try:
            record = await to_thread.run_sync(next, records, None)
        except (TrmError, torch.OutOfMemoryError, MemoryError) as error:
            message = in_python(str(error).partition("\n")[0])
            record, deadline = {"error": message}, math.inf
        if record is None:
            return
        yield json.dumps(record, allow_nan=False) + "\n"
        if time.monotonic() > deadline:
            yield json.dumps({"error": f"stopped after {seconds:g} s. Ask for fewer steps."}) + "\n"
            return
