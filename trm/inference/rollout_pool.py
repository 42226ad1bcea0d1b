"""Answers to batch after batch, from a pool of slots on the device.

With a halting threshold the pool works as a server does that keeps its batch full: an example that
halts leaves, and the next one takes its slot. So no example waits for another, and no answer
depends on the other examples. Without a threshold all slots end together.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trm.data import Batch
from trm.inference.latent_noise import LatentNoise
from trm.inference.rollouts import Rollouts
from trm.models import RecursiveModel, answer_losses
from trm.runtime.device import copy_to
from trm.tasks.metrics import EvalBatch


@dataclass(frozen=True)
class Request:
    """A batch to answer by one rollout, or by several rollouts that end together.

    Attributes:
        batches: for each rollout, the batch or a symmetric copy of it.
        samples: for each rollout, the number of its sample, from 0.
    """

    batches: tuple[Batch, ...]
    samples: tuple[int, ...] = (0,)


class Response(NamedTuple):
    """The answers to a batch.

    Attributes:
        rollouts: the index of the rollout that gave each answer.
        losses: the loss of each answer, None if the pool computes none.
    """

    request: Request
    answers: EvalBatch
    rollouts: NDArray[np.int64]
    losses: NDArray[np.float64] | None = None


@dataclass
class _Pending:
    """A request, and its response so far.

    Attributes:
        started: rows of its batch that have started.
        missing: rows that have no answer yet.
    """

    response: Response
    started: int
    missing: int

    @classmethod
    def of(cls, request: Request, *, has_losses: bool) -> "_Pending":
        batch = request.batches[0]
        count = len(batch)
        answers = EvalBatch(
            inputs=batch.inputs,
            labels=batch.labels,
            answers=np.zeros_like(batch.inputs),
            halt_logits=np.zeros(count, np.float32),
            halt_steps=np.zeros(count, np.int32),
            steps=np.zeros(count, np.float32),
            puzzle_identifiers=batch.puzzle_identifiers,
            examples=batch.examples,
            puzzles=batch.puzzles,
        )
        losses = np.zeros(count) if has_losses else None
        return cls(Response(request, answers, np.zeros(count, np.int64), losses), 0, count)


class RolloutPool:
    """Slots on the device, each of which works on one example.

    A slot has a row for each rollout of its example. These start together. They end together when
    the first of them halts, or after all steps; the answer is that of the most confident one.

    Args:
        model: the model.
        size: rows on the device. A compiled model always works on all of them; other models only
            on the busy ones.
        threshold: the halting probability above which an example ends; None: after all steps, or
            as the model's own rule says if it has one for evaluations.
        max_steps: supervision steps at most; None: those of the model.
        rollouts: the number of rollouts of each example.
        noise: what disturbs the latents of all samples but the first.
        loss: the loss of the answers, a key of ``LOSSES``; None to compute none.
    """

    def __init__(
        self,
        model: RecursiveModel,
        size: int,
        *,
        threshold: float | None = None,
        max_steps: int | None = None,
        rollouts: int = 1,
        noise: LatentNoise | None = None,
        loss: str | None = None,
    ) -> None:
        self._model, self._noise, self._loss = model, noise, loss
        #: Whether examples end by the model's own rule, and whether they end early at all.
        self._own_rule = threshold is None and model.config.halts_in_evaluation
        self._halts = threshold is not None or self._own_rule
        #: Without a threshold this only tells the step at which an example would have halted.
        self._logit = 0.0 if threshold is None else math.log(threshold / (1 - threshold))
        self._max_steps = max_steps or model.config.halt_max_steps
        self._num_rollouts, self._num_slots = rollouts, max(1, size // rollouts)

    def answer(self, requests: Iterable[Request]) -> Iterator[Response]:
        """Answer batches in their order. A request is taken when a slot is idle."""
        self._waiting = iter(requests)
        self._pending: dict[int, _Pending] = {}
        self._count = 0
        self._reset()
        while True:
            self._fill()
            if not self._pending:
                return
            self._step()
            for number, pending in list(self._pending.items()):
                if pending.missing:
                    break
                yield self._pending.pop(number).response

    def _reset(self) -> None:
        """Make all slots idle."""
        count = self._num_slots
        size = count * self._num_rollouts
        self._rollouts = Rollouts(self._model, size, self._noise, own_rule=self._own_rule)
        #: For each slot: the number of the request it serves (-1 if idle), the row in the batch
        #: of the request, and the steps taken so far.
        self._serves = np.full(count, -1)
        self._row, self._steps = np.zeros(count, np.int64), np.zeros(count, np.int32)
        #: The halting logits (slots * rollouts,) of the steps that the host has not looked at.
        self._unread: list[Float[Tensor, " rows"]] = []

    def _fill(self) -> None:
        """Start the next examples in the idle slots; remove the slots that stay idle."""
        if not self._halts:  # all slots end together, and a batch starts after the one before
            if (self._serves >= 0).any():
                return
            self._reset()
        idle = np.flatnonzero(self._serves < 0)
        while len(idle) and (number := self._next_request()) is not None:
            idle = idle[self._start(number, idle) :]
            if not self._halts:
                break
        if len(idle) and not self._model.is_compiled:
            kept = np.flatnonzero(self._serves >= 0)
            self._rollouts.keep(self._rows(kept).ravel())
            self._serves, self._row = self._serves[kept], self._row[kept]
            self._steps = self._steps[kept]

    def _rows(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows (slots, rollouts) of some slots."""
        return slots[:, None] * self._num_rollouts + np.arange(self._num_rollouts)

    def _next_request(self) -> int | None:
        """The number of the request of the next example; None if there is no more."""
        last = self._pending.get(self._count - 1)
        if last is None or last.started == len(last.response.rollouts):
            request = next(self._waiting, None)
            if request is None:
                return None
            self._pending[self._count] = _Pending.of(request, has_losses=self._loss is not None)
            self._count += 1
        return self._count - 1

    def _start(self, number: int, idle: NDArray[np.int64]) -> int:
        """Start the next examples of a request in idle slots; returns their number."""
        pending = self._pending[number]
        request, start = pending.response.request, pending.started
        stop = min(start + len(idle), len(pending.response.rollouts))
        slots = idle[: stop - start]
        for rows, batch, sample in zip(
            self._rows(slots).T, request.batches, request.samples, strict=True
        ):
            inputs, identifiers = batch.inputs[start:stop], batch.puzzle_identifiers[start:stop]
            self._rollouts.start(rows, inputs, identifiers, sample)
        self._serves[slots], self._row[slots] = number, np.arange(start, stop)
        self._steps[slots] = 0
        pending.started = stop
        return len(slots)

    @torch.inference_mode()
    def _step(self) -> None:
        """Take one supervision step; the examples that end with it leave their slots."""
        logits, halt_logits, decision = self._rollouts.step()
        self._unread.append(halt_logits)
        self._steps += 1
        busy = self._serves >= 0
        ends = busy & (self._steps >= self._max_steps)
        if not (self._halts or ends.any()):
            return  # the host does not wait for the device
        halting = torch.stack(self._unread).float().cpu().numpy()
        halting = halting.reshape(len(self._unread), -1, self._num_rollouts)
        halted = halting.max(axis=2) > self._logit  # (unread steps, slots)
        if decision is not None:
            own_rule = (decision > 0).cpu().numpy().reshape(-1, self._num_rollouts)
            ends |= busy & own_rule.any(axis=1)
        elif self._halts:
            ends |= busy & halted[-1]
        before = self._steps - len(self._unread)
        halt_steps = np.where(halted.any(axis=0), before + halted.argmax(axis=0) + 1, self._steps)
        self._unread.clear()
        slots = np.flatnonzero(ends)
        best = halting[-1].argmax(axis=1)[slots]
        rows = torch.from_numpy(slots * self._num_rollouts + best).to(logits.device)
        logits = logits[rows]
        answers = logits.argmax(-1).to(torch.int32).cpu().numpy()
        for number in np.unique(self._serves[slots]).tolist():
            of_request = self._serves[slots] == number
            own, pending = slots[of_request], self._pending[number]
            response, row = pending.response, self._row[own]
            response.answers.answers[row] = answers[of_request]
            response.answers.halt_logits[row] = halting[-1].max(axis=1)[own]
            response.answers.halt_steps[row] = halt_steps[own]
            response.answers.steps[row] = self._steps[own]
            response.rollouts[row] = best[of_request]
            if self._loss is not None and response.losses is not None:
                labels = copy_to(torch.from_numpy(response.answers.labels[row]), logits.device)
                which = torch.from_numpy(of_request).to(logits.device)
                losses = answer_losses(logits[which], labels, self._loss)
                response.losses[row] = losses.double().cpu().numpy()
            pending.missing -= len(own)
        self._serves[slots] = -1
