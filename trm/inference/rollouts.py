"""The ways to an answer that an example has: its symmetric copies, each solved several times."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from trm.data import Batch, Split
from trm.data.augmentation import Augmentation, Transforms
from trm.errors import ConfigError
from trm.inference.latent_noise import LatentNoise
from trm.models import LatentState, TinyRecursiveModel
from trm.models.layers import Hidden
from trm.tasks.metrics import EvalBatch


@dataclass(frozen=True)
class Asked:
    """A batch to be answered by one rollout, or by several that end together.

    Attributes:
        batches: of each rollout the batch, or a symmetric copy of it.
        samples: of each rollout which time it is that this is solved, from 0 on.
    """

    batches: tuple[Batch, ...]
    samples: tuple[int, ...] = (0,)


class Answered(NamedTuple):
    """What came of a batch: of each example the answer of one rollout, (batch,) which."""

    asked: Asked
    found: EvalBatch
    rollout: NDArray[np.int64]


class Rows(NamedTuple):
    """What the device works on, a row for each rollout."""

    embedded: Hidden
    state: LatentState

    def keep(self, places: Int[Tensor, " kept"]) -> "Rows":
        """Some of the rows."""
        return Rows(self.embedded[places], LatentState(*(part[places] for part in self.state)))


def initial_state(model: TinyRecursiveModel, count: int, samples: Sequence[int]) -> LatentState:
    """The state that so many puzzles begin with, those of the first sample before the next's."""
    states = [model.initial_state(count, sample) for sample in samples]
    # Contiguous as the states after it are, or a compiled step would be compiled twice.
    if len(states) == 1:
        return LatentState(*(part.contiguous() for part in states[0]))
    return LatentState(*(torch.cat(parts) for parts in zip(*states, strict=True)))


class Lockstep:
    """Rows that take their supervision steps together.

    Args:
        model: what thinks.
        inputs: equally many puzzles of each sample, those of the first one before the next's.
        identifiers: of their embeddings.
        samples: which rollouts begin.
        noise: what disturbs all samples but the first; None for nothing.
    """

    def __init__(
        self,
        model: TinyRecursiveModel,
        inputs: Int[Tensor, "batch seq"],
        identifiers: Int[Tensor, " batch"],
        samples: Sequence[int] = (0,),
        noise: LatentNoise | None = None,
    ) -> None:
        self._model, self._noise = model, noise
        count = len(inputs) // len(samples)
        self._samples, self._taken = np.repeat(samples, count), 0
        with torch.inference_mode():
            embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
            self._rows = Rows(embedded, initial_state(model, count, samples))

    @torch.inference_mode()
    def step(self) -> tuple[Int[Tensor, "batch seq"], Float[Tensor, " batch"]]:
        """One supervision step; the answers (batch, seq) and halting logits (batch,) after it."""
        embedded, state = self._rows
        if self._noise is not None:
            taken = np.full_like(self._samples, self._taken)
            latent = self._noise.disturb(state.latent, self._samples, taken)
            state = state._replace(latent=latent)
        self._taken += 1
        state, logits, halt_logits = self._model(state, embedded)
        self._rows = Rows(embedded, state)
        return logits.argmax(-1).to(torch.int32), halt_logits

    @torch.inference_mode()
    def keep(self, rows: NDArray[np.integer[Any]]) -> None:
        """Go on with these rows only."""
        self._rows = self._rows.keep(torch.from_numpy(rows).to(self._model.device))
        self._samples = self._samples[rows]


def supervision_steps(
    model: TinyRecursiveModel,
    inputs: Int[Tensor, "batch seq"],
    identifiers: Int[Tensor, " batch"],
    steps: int | None = None,
    sample: int = 0,
    noise: LatentNoise | None = None,
) -> Iterator[tuple[Int[Tensor, "batch seq"], Float[Tensor, " batch"]]]:
    """The answer (batch, seq) and halting logits (batch,) after each supervision step."""
    rows = Lockstep(model, inputs, identifiers, (sample,), noise)
    for _ in range(steps or model.config.halt_max_steps):
        yield rows.step()


def split_copies(split: Split, votes: int) -> list[Transforms]:
    """How the copies beside the original are made: the same for every example and evaluation.

    Raises:
        ConfigError: if there are not so many.
    """
    copied = split.identifiers is not None or split.symmetry is not None
    return symmetric_copies(split.augmentation, votes, copied)


def symmetric_copies(
    augmentation: Augmentation | None, votes: int, copied: bool
) -> list[Transforms]:
    """The copies of any puzzles; see :func:`split_copies`.

    Args:
        augmentation: their symmetries.
        votes: how many copies, the original included.
        copied: whether the puzzles are augmented copies themselves.
    """
    if votes == 1:
        return []
    if augmentation is None or copied:
        why = "are augmented copies already" if copied else "have none"
        raise ConfigError(
            f"--votes {votes} needs symmetries, but these puzzles {why}. Leave it out."
        )
    # Of few symmetries all have to come up: so many draws leave out one of eight never.
    drawn = augmentation.draw(100 * votes, np.random.default_rng(0))
    kinds = np.column_stack(drawn)
    original = np.concatenate(([0], np.arange(drawn[1].shape[1])))
    _, first = np.unique(np.concatenate((original[None], kinds)), axis=0, return_index=True)
    places = np.sort(first)[1:votes] - 1
    if len(places) < votes - 1:
        raise ConfigError(
            f"--votes {votes}: these puzzles have only {1 + len(places)} symmetric copies. "
            "Ask for fewer."
        )
    return [Transforms(drawn[0][i : i + 1], drawn[1][i : i + 1]) for i in places]


def turned_back(split: Split, original: Batch, answered: Answered) -> EvalBatch:
    """The answers to symmetric copies of a batch, as answers to the batch itself."""
    asked, found, rollout = answered
    if all(batch is original for batch in asked.batches):
        return found
    answers = found.answers
    for number, copy in enumerate(asked.batches):
        mine = rollout == number
        if copy is not original and mine.any():
            assert split.augmentation is not None
            assert copy.transforms is not None
            back = split.augmentation.undo(found.answers, copy.transforms).astype(np.int32)
            answers = np.where(mine[:, None], back, answers)
    return replace(found, inputs=original.inputs, labels=original.labels, answers=answers)
