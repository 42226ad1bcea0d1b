"""What a widget asks the kernel of its notebook, and the replies.

A message is ``{"id": ..., "ask": ..., ...}``. Each reply has the ``id`` of the message:

=====================  ==============================================================
``{"line": {...}}``    a record of a solve; see :class:`trm.web.solving.Solving`
``{"more": True}``     the solve has more; ask for ``next`` to go on
``{"value": ...}``     the end; a puzzle that was read or drawn
``{"error": "..."}``   the end; one line
=====================  ==============================================================

A solve goes on only as long as it is asked to. So the kernel can run other cells and hear a
``stop`` in between, and the solve of a widget that was closed ends.
"""

import time
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, ValidationError

from trm.config import Frozen, first_problem
from trm.errors import InputError, TrmError
from trm.python_calls import in_python
from trm.web.catalogue import Catalogue
from trm.web.limits import Limits
from trm.web.puzzles import draw_puzzle, read_puzzle
from trm.web.solving import SolveRequest, Solving

#: Solves that may go on at the same time, for a widget can be shown several times.
_MOST_SOLVES = 4


class WidgetMessage(Frozen):
    """A message of the widget; ``trm/web/notebook/kernel.js`` sends it.

    Attributes:
        id: of the call that it belongs to.
        ask: what it asks for.
        model, text, difficulty, seed: what to read or draw.
        request: what to solve; see :class:`trm.web.solving.SolveRequest`.
    """

    id: str = Field(min_length=1, max_length=99)
    ask: Literal["read", "draw", "solve", "next", "stop"]
    model: str = ""
    text: str = ""
    difficulty: str = ""
    seed: int = 0
    request: dict[str, Any] = {}

    @classmethod
    def of(cls, value: object) -> "WidgetMessage":
        """A message from what arrived.

        Raises:
            InputError: if it has another form.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as error:
            problem = first_problem(error) if isinstance(value, dict) else "it is no dictionary"
            raise InputError(
                f"the kernel cannot read a message of the widget: {problem}. Run the cell again."
            ) from None


class Conversation:
    """Answers the messages of a widget.

    Args:
        catalogue: the models that it offers.
        limits: bounds of a solve.
        seconds: how long a solve goes on until it has to be asked again.
    """

    def __init__(
        self, catalogue: Catalogue, limits: Limits | None = None, seconds: float = 0.2
    ) -> None:
        self._catalogue, self._limits = catalogue, limits or Limits()
        self._seconds = seconds
        self._solves: OrderedDict[str, Iterator[dict[str, Any]]] = OrderedDict()

    def offered(self) -> dict[str, Any]:
        """The models, and the bounds of a solve."""
        limits = {"steps": self._limits.steps, "rollouts": self._limits.rollouts}
        return {"models": [one.as_json() for one in self._catalogue.models()], "limits": limits}

    def replies(self, message: object) -> Iterator[dict[str, Any]]:
        """The replies to a message, computed as they are taken."""
        known = message.get("id") if isinstance(message, dict) else None
        name = known if isinstance(known, str) else ""
        try:
            for reply in self._replies(WidgetMessage.of(message)):
                yield {"id": name, **reply}
        except TrmError as error:
            yield {"id": name, "error": in_python(" ".join(str(error).split()))}
        except (Exception, KeyboardInterrupt) as error:
            problem = f"{type(error).__name__}: {error}".partition("\n")[0].rstrip(": ")
            yield {"id": name, "error": f"stopped in the kernel: {problem:.200}"}
            if not isinstance(error, KeyboardInterrupt | MemoryError):
                raise

    def _replies(self, message: WidgetMessage) -> Iterator[dict[str, Any]]:
        match message.ask:
            case "read":
                model = self._catalogue.load(message.model)
                yield {"value": read_puzzle(model, message.text)}
            case "draw":
                model = self._catalogue.load(message.model)
                yield {"value": draw_puzzle(model, message.difficulty, message.seed)}
            case "stop":
                self._solves.pop(message.id, None)
            case "solve":
                request = SolveRequest.of(message.request)
                solving = Solving(self._catalogue.load, request, self._limits)
                self._solves[message.id] = solving.records()
                while len(self._solves) > _MOST_SOLVES:
                    self._solves.popitem(last=False)
                yield from self._go_on(message.id)
            case "next":
                yield from self._go_on(message.id)

    def _go_on(self, name: str) -> Iterator[dict[str, Any]]:
        """Some more records of a solve. An error ends it."""
        records = self._solves.pop(name, None)
        if records is None:
            raise InputError("this solve has ended. Solve the puzzle again.")
        deadline = time.monotonic() + self._seconds
        for record in records:
            yield {"line": record}
            if time.monotonic() >= deadline:
                self._solves[name] = records
                yield {"more": True}
                return
        yield {"value": None}
