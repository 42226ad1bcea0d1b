"""One solve at a time. A few wait, in the order in which they came."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from trm.errors import TrmError


class BusyError(TrmError):
    """Too many solves wait already."""


class Turns:
    """Who may use the model.

    Args:
        waiting: how many may wait for the one that runs.
    """

    def __init__(self, waiting: int) -> None:
        self._most, self._inside, self._lock = 1 + waiting, 0, anyio.Lock()

    def enter(self) -> None:
        """Take a place, to be given back by :meth:`leave`.

        Raises:
            BusyError: if there is none.
        """
        if self._inside >= self._most:
            raise BusyError(
                f"busy: {self._inside} solves run or wait already. Try again in a moment."
            )
        self._inside += 1

    def leave(self) -> None:
        """Give the place back."""
        self._inside -= 1

    @property
    def inside(self) -> int:
        """How many solves run or wait."""
        return self._inside

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until no other solve runs."""
        async with self._lock:
            yield
