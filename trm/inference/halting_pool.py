"""Evaluation that lets each example halt when the halting head is sure enough.

As a server keeps its batch full: an example that halts leaves, and the next one takes its place. So
no example pays for the steps of its neighbours, and how a row is answered does not depend on them.
"""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from trm.inference.latent_noise import LatentNoise
from trm.inference.rollouts import Answered, Asked, Rows, initial_state
from trm.models import TinyRecursiveModel
from trm.runtime.device import copy_to
from trm.tasks.metrics import EvalBatch


@dataclass
class _Open:
    """A batch of which some rows are not answered yet."""

    asked: Asked
    answered: EvalBatch
    rollout: NDArray[np.int64]
    taken: int = 0
    missing: int = 0

    @classmethod
    def of(cls, asked: Asked) -> "_Open":
        batch = asked.batches[0]
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
        return cls(asked, answered, np.zeros(count, np.int64), missing=count)

    def __len__(self) -> int:
        return len(self.rollout)


class HaltingPool:
    """Places on the device, each with an example that has not halted yet.

    An example takes a row for each of its rollouts. They begin together, and end together as soon
    as one of them halts, or after all steps: its answer is that of the surest one then.

    Args:
        model: what answers.
        asked: what is to be answered, in order.
        size: the number of rows, as far as rollouts fill them; of a compiled model none is given
            up.
        threshold: the halting probability above which an example ends.
        max_steps: supervision steps at most; None: those of the model.
        rollouts: of each example.
        noise: what disturbs all samples but the first.
    """

    def __init__(
        self,
        model: TinyRecursiveModel,
        asked: Iterable[Asked],
        size: int,
        threshold: float,
        *,
        max_steps: int | None = None,
        rollouts: int = 1,
        noise: LatentNoise | None = None,
    ) -> None:
        self._model, self._asked, self._noise = model, iter(asked), noise
        self._logit = math.log(threshold / (1 - threshold))
        self._max_steps = max_steps or model.config.halt_max_steps
        self._rollouts, places = rollouts, max(1, size // rollouts)
        self._open: deque[_Open] = deque()
        #: Of each place: whose row it works on (None: of nobody's), which, and its steps so far.
        self._owners: list[_Open | None] = [None] * places
        self._row = np.zeros(places, np.int64)
        self._steps = np.zeros(places, np.int32)
        #: Of each place and rollout, which sample it is.
        self._samples = np.zeros((places, rollouts), np.int64)
        with torch.inference_mode():
            start = initial_state(model, places * rollouts, (0,))
            self._rows = Rows(torch.zeros_like(start.answer), start)

    def answered(self) -> Iterator[Answered]:
        """Each batch with its answers, in the order in which they came."""
        while True:
            self._fill()
            if not self._open:
                return
            self._advance()
            while self._open and not self._open[0].missing:
                first = self._open.popleft()
                yield Answered(first.asked, first.answered, first.rollout)

    def _fill(self) -> None:
        """Put examples into the places that are free; without any left, give up those places."""
        free = [place for place, owner in enumerate(self._owners) if owner is None]
        filled = 0
        while filled < len(free) and (source := self._source()) is not None:
            count = min(len(free) - filled, len(source) - source.taken)
            self._place(source, np.array(free[filled : filled + count]))
            filled += count
        if filled < len(free) and not self._model.is_compiled:
            kept = np.array([p for p, owner in enumerate(self._owners) if owner is not None], int)
            self._owners = [self._owners[place] for place in kept]
            self._row, self._steps = self._row[kept], self._steps[kept]
            self._samples = self._samples[kept]
            rows = (kept[:, None] * self._rollouts + np.arange(self._rollouts)).ravel()
            with torch.inference_mode():
                self._rows = self._rows.keep(torch.from_numpy(rows).to(self._model.device))

    def _source(self) -> _Open | None:
        """The batch that the next example comes from."""
        if self._open and self._open[-1].taken < len(self._open[-1]):
            return self._open[-1]
        asked = next(self._asked, None)
        if asked is None:
            return None
        self._open.append(_Open.of(asked))
        return self._open[-1]

    @torch.inference_mode()
    def _place(self, source: _Open, places: NDArray[np.int64]) -> None:
        """The next examples of a batch begin in these places."""
        model, rows = self._model, slice(source.taken, source.taken + len(places))
        source.taken = rows.stop
        asked = source.asked
        for number, (batch, sample) in enumerate(zip(asked.batches, asked.samples, strict=True)):
            inputs, identifiers = (
                copy_to(torch.from_numpy(array[rows]), model.device)
                for array in (batch.inputs, batch.puzzle_identifiers)
            )
            index = copy_to(torch.from_numpy(places * self._rollouts + number), model.device)
            self._rows.embedded[index] = model.embed(inputs, model.puzzle_vectors(identifiers))
            start = model.initial_state(len(places), sample)
            for part, begun in zip(self._rows.state, start, strict=True):
                part[index] = begun
        for place in places:
            self._owners[place] = source
        self._row[places] = np.arange(rows.start, rows.stop)
        self._steps[places], self._samples[places] = 0, asked.samples

    def _advance(self) -> None:
        """One supervision step; the examples that end with it leave."""
        with torch.inference_mode():
            state = self._rows.state
            if self._noise is not None:
                taken = np.repeat(self._steps, self._rollouts)
                latent = self._noise.disturb(state.latent, self._samples.ravel(), taken)
                state = state._replace(latent=latent)
            state, logits, halt_logits = self._model(state, self._rows.embedded)
            halting = halt_logits.float().cpu().numpy().reshape(-1, self._rollouts)
            surest = halting.argmax(axis=1)  # of equals the first
            sure = halting.max(axis=1)
            self._steps += 1
            ends = (sure > self._logit) | (self._steps >= self._max_steps)
            ends &= np.array([owner is not None for owner in self._owners])
            places = np.flatnonzero(ends)
            index = torch.from_numpy(places * self._rollouts + surest[places]).to(logits.device)
            answers = logits[index].argmax(-1).to(torch.int32).cpu().numpy()
            self._rows = Rows(self._rows.embedded, state)
        for place, answer in zip(places, answers, strict=True):
            owner, row = self._owners[place], self._row[place]
            assert owner is not None
            owner.answered.answers[row] = answer
            owner.answered.halt_logits[row] = sure[place]
            owner.answered.halt_steps[row] = self._steps[place]
            owner.rollout[row] = surest[place]
            owner.missing -= 1
            self._owners[place] = None
