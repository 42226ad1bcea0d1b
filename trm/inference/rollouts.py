"""Rollouts on the device: rows that take their supervision steps together."""

from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from trm.inference.latent_noise import LatentNoise
from trm.models import RecursiveModel
from trm.runtime.device import copy_to


class RolloutStep(NamedTuple):
    """What a supervision step gives.

    Attributes:
        logits: of the answers.
        halt_logits: the halting logits.
        halt_decision: above 0 where the model's own rule halts; None without ``own_rule``.
    """

    logits: Float[Tensor, "rows seq vocab"]
    halt_logits: Float[Tensor, " rows"]
    halt_decision: Float[Tensor, " rows"] | None


class Rollouts:
    """Rows on the device, each with one rollout: one way to an answer of one puzzle.

    Args:
        model: the model.
        count: the number of rows. Each is idle until a rollout starts in it.
        noise: what disturbs the latents of all samples but the first; None for no noise.
        own_rule: whether each step says which rows the model's own rule halts.
    """

    def __init__(
        self,
        model: RecursiveModel,
        count: int,
        noise: LatentNoise | None = None,
        *,
        own_rule: bool = False,
    ) -> None:
        self._model, self._noise, self._own_rule = model, noise, own_rule
        #: For each row: the sample, and the supervision steps taken so far.
        self._samples, self._steps = np.zeros(count, np.int64), np.zeros(count, np.int64)
        with torch.inference_mode():
            # Contiguous as the states after it are, or a compiled step would be compiled twice.
            state = model.initial_state(count)
            self._state = type(state)(*(part.contiguous() for part in state))
            self._embedded = torch.zeros_like(self._state[0])

    def __len__(self) -> int:
        return len(self._samples)

    @torch.inference_mode()
    def start(
        self,
        rows: NDArray[np.integer[Any]],
        inputs: NDArray[np.integer[Any]],
        identifiers: NDArray[np.integer[Any]],
        sample: int = 0,
    ) -> None:
        """Start a rollout in each of these rows.

        Args:
            rows: (batch,), the rows.
            inputs: (batch, seq_len), the puzzles.
            identifiers: (batch,), the rows of their puzzle embeddings.
            sample: decides the noise and the initial state.
        """
        model, device = self._model, self._model.device
        index, tokens, places = (
            copy_to(torch.from_numpy(array), device) for array in (rows, inputs, identifiers)
        )
        self._embedded[index] = model.embed(tokens, model.puzzle_vectors(places))
        for part, initial in zip(self._state, model.initial_state(len(rows), sample), strict=True):
            part[index] = initial
        self._samples[rows], self._steps[rows] = sample, 0

    @torch.inference_mode()
    def step(self) -> RolloutStep:
        """Take one supervision step in every row."""
        state = self._state
        if self._noise is not None:
            # The answer is disturbed only if there is nothing else.
            names = state._fields[1:] or state._fields
            state = state._replace(
                **{
                    name: self._noise.disturb(getattr(state, name), self._samples, self._steps)
                    for name in names
                }
            )
        output = self._model(state, self._embedded)
        self._state = output.state
        self._steps += 1
        decision = self._model.halt_decision(output) if self._own_rule else None
        return RolloutStep(output.logits, output.halt_logits, decision)

    @torch.inference_mode()
    def keep(self, rows: NDArray[np.integer[Any]]) -> None:
        """Remove all other rows."""
        index = copy_to(torch.from_numpy(rows), self._model.device)
        self._embedded = self._embedded[index]
        self._state = type(self._state)(*(part[index] for part in self._state))
        self._samples, self._steps = self._samples[rows], self._steps[rows]
