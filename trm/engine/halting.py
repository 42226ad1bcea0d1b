"""Evaluation that lets each example halt when the halting head is sure enough.

As a server keeps its batch full: a row that halts leaves, and the next example takes its place. So
no example pays for the steps of its neighbours, and how a row is answered does not depend on them.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int
from numpy.typing import NDArray
from torch import Tensor

from trm.data import Batch
from trm.engine.device import copy_to
from trm.errors import InputError
from trm.models import LatentState, TinyRecursiveModel
from trm.models.layers import Hidden
from trm.tasks.metrics import EvalBatch


@dataclass
class _Open:
    """A batch of which some rows are not answered yet."""

    batch: Batch
    answered: EvalBatch
    taken: int = 0
    missing: int = 0

    @classmethod
    def of(cls, batch: Batch) -> "_Open":
        count = len(batch)
        answered = EvalBatch(
            inputs=batch.inputs,
            labels=batch.labels,
            answers=np.zeros_like(batch.inputs),
            halt_logits=np.zeros(count, np.float32),
            halt_steps=np.zeros(count, np.int32),
            puzzle_identifiers=batch.puzzle_identifiers,
            examples=batch.examples,
            puzzles=batch.puzzles,
        )
        return cls(batch, answered, missing=count)


class _Rows(NamedTuple):
    """What the device works on, a row for each place."""

    embedded: Hidden
    state: LatentState

    def keep(self, places: Int[Tensor, " kept"]) -> "_Rows":
        return _Rows(self.embedded[places], LatentState(*(part[places] for part in self.state)))


class HaltingPool:
    """Places on the device, each with an example that has not halted yet.

    Args:
        model: what answers.
        batches: what is to be answered, in order.
        size: the number of places; of a compiled model none is given up.
        threshold: the halting probability above which an example ends.

    Raises:
        InputError: if the threshold is no probability between 0 and 1.
    """

    def __init__(
        self,
        model: TinyRecursiveModel,
        batches: Iterable[Batch],
        size: int,
        threshold: float,
    ) -> None:
        if not 0 < threshold < 1:
            raise InputError(
                f"--halt {threshold} is no probability to stop at. Give one such as 0.9."
            )
        self._model, self._batches = model, iter(batches)
        self._logit = math.log(threshold / (1 - threshold))
        self._open: deque[_Open] = deque()
        #: Of each place: whose row it works on (None: of nobody's), which, and its steps so far.
        self._owners: list[_Open | None] = [None] * size
        self._row = np.zeros(size, np.int64)
        self._steps = np.zeros(size, np.int32)
        with torch.inference_mode():
            start = LatentState(*(part.contiguous() for part in model.initial_state(size)))
            self._rows = _Rows(torch.zeros_like(start.answer), start)

    def answered(self) -> Iterator[tuple[Batch, EvalBatch]]:
        """Each batch with its answers, in the order in which they came."""
        while True:
            self._fill()
            if not self._open:
                return
            self._advance()
            while self._open and not self._open[0].missing:
                first = self._open.popleft()
                yield first.batch, first.answered

    def _fill(self) -> None:
        """Put examples into the places that are free; without any left, give up those places."""
        free = [place for place, owner in enumerate(self._owners) if owner is None]
        filled = 0
        while filled < len(free) and (source := self._source()) is not None:
            count = min(len(free) - filled, len(source.batch) - source.taken)
            self._place(source, np.array(free[filled : filled + count]))
            filled += count
        if filled < len(free) and not self._model.is_compiled:
            kept = np.array([p for p, owner in enumerate(self._owners) if owner is not None], int)
            self._owners = [self._owners[place] for place in kept]
            self._row, self._steps = self._row[kept], self._steps[kept]
            with torch.inference_mode():
                self._rows = self._rows.keep(torch.from_numpy(kept).to(self._model.device))

    def _source(self) -> _Open | None:
        """The batch that the next example comes from."""
        if self._open and self._open[-1].taken < len(self._open[-1].batch):
            return self._open[-1]
        batch = next(self._batches, None)
        if batch is None:
            return None
        self._open.append(_Open.of(batch))
        return self._open[-1]

    @torch.inference_mode()
    def _place(self, source: _Open, places: NDArray[np.int64]) -> None:
        """The next examples of a batch begin in these places."""
        model, rows = self._model, slice(source.taken, source.taken + len(places))
        source.taken = rows.stop
        inputs, identifiers = (
            copy_to(torch.from_numpy(array[rows]), model.device)
            for array in (source.batch.inputs, source.batch.puzzle_identifiers)
        )
        index = copy_to(torch.from_numpy(places), model.device)
        self._rows.embedded[index] = model.embed(inputs, model.puzzle_rows(identifiers))
        for part, start in zip(self._rows.state, model.initial_state(len(places)), strict=True):
            part[index] = start
        for place in places:
            self._owners[place] = source
        self._row[places] = np.arange(rows.start, rows.stop)
        self._steps[places] = 0

    def _advance(self) -> None:
        """One supervision step; the rows that end with it leave."""
        with torch.inference_mode():
            state, logits, halt_logits = self._model(self._rows.state, self._rows.embedded)
            halting = halt_logits.float().cpu().numpy()
            self._steps += 1
            ends = (halting > self._logit) | (self._steps >= self._model.config.halt_max_steps)
            ends &= np.array([owner is not None for owner in self._owners])
            places = np.flatnonzero(ends)
            index = torch.from_numpy(places).to(logits.device)
            answers = logits[index].argmax(-1).to(torch.int32).cpu().numpy()
            self._rows = _Rows(self._rows.embedded, state)
        for place, answer in zip(places, answers, strict=True):
            owner, row = self._owners[place], self._row[place]
            assert owner is not None
            owner.answered.answers[row] = answer
            owner.answered.halt_logits[row] = halting[place]
            owner.answered.halt_steps[row] = self._steps[place]
            owner.missing -= 1
            self._owners[place] = None
