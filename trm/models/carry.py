"""A rollout: rows of a training batch at different supervision steps, replaced as they halt."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trm.models.recursion import LatentState
from trm.models.trm import TinyRecursiveModel


class PuzzleBatch(NamedTuple):
    """A batch of puzzles on a device; labels are -100 where nothing is scored."""

    inputs: Int[Tensor, "batch seq"]
    labels: Int[Tensor, "batch seq"]
    identifiers: Int[Tensor, " batch"]


class Carry(NamedTuple):
    """What carries over from one training step to the next (published: ``carry``).

    Attributes:
        latents: detached from the steps before.
        steps: supervision steps that each row has had.
        halted: rows that the next batch replaces.
        puzzles: what each row is working on.
    """

    latents: LatentState
    steps: Int[Tensor, " batch"]
    halted: Bool[Tensor, " batch"]
    puzzles: PuzzleBatch

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name; each has a row for each row of the batch."""
        latents, steps, halted, puzzles = self
        return {**latents._asdict(), "steps": steps, "halted": halted, **puzzles._asdict()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> "Carry":
        """The inverse of :meth:`tensors`."""
        return cls(
            LatentState(*(tensors[name] for name in LatentState._fields)),
            tensors["steps"],
            tensors["halted"],
            PuzzleBatch(*(tensors[name] for name in PuzzleBatch._fields)),
        )

    def rows(self, rows: slice) -> "Carry":
        """Some of its rows."""
        return self.from_tensors({name: tensor[rows] for name, tensor in self.tensors().items()})


def concat_carries(parts: Sequence[Carry]) -> Carry:
    """The rows of several rollouts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    every = [part.tensors() for part in parts]
    return Carry.from_tensors(
        {name: torch.cat([part[name] for part in every]) for name in every[0]}
    )


def initial_carry(
    model: TinyRecursiveModel, puzzles: PuzzleBatch, generator: torch.Generator | None = None
) -> Carry:
    """A state whose rows have all halted, so that the first batch takes every place."""
    batch_size, device = len(puzzles.inputs), puzzles.inputs.device
    return Carry(
        latents=model.initial_training_state(batch_size, generator),
        steps=torch.zeros(batch_size, dtype=torch.int32, device=device),
        halted=torch.ones(batch_size, dtype=torch.bool, device=device),
        puzzles=puzzles,
    )


def replace_halted(
    model: TinyRecursiveModel,
    state: Carry,
    puzzles: PuzzleBatch,
    generator: torch.Generator | None = None,
) -> Carry:
    """Put the new batch's rows in the places of those that halted; the others stay.

    ``generator`` draws what they begin with, see :meth:`TinyRecursiveModel.initial_training_state`.
    """
    halted = state.halted
    fresh = model.initial_training_state(len(halted), generator)
    return Carry(
        latents=LatentState(
            *(_select(halted, n, o) for n, o in zip(fresh, state.latents, strict=True))
        ),
        steps=torch.where(halted, 0, state.steps),
        halted=torch.zeros_like(halted),
        puzzles=PuzzleBatch(
            *(_select(halted, n, o) for n, o in zip(puzzles, state.puzzles, strict=True))
        ),
    )


def should_halt(
    halt_logits: Float[Tensor, " batch"],
    steps: Int[Tensor, " batch"],
    halt_max_steps: int,
    min_steps: Int[Tensor, " batch"] | None = None,
) -> Bool[Tensor, " batch"]:
    """Which rows end after this step: the head says so, or it was the last one.

    Args:
        halt_logits: of this step.
        steps: steps each row has had, this one included.
        halt_max_steps: steps at most.
        min_steps: exploration, the steps before which a row may not end.
    """
    ends = (steps >= halt_max_steps) | (halt_logits > 0)
    return ends if min_steps is None else ends & (steps >= min_steps)


def _select(mask: Bool[Tensor, " batch"], new: Tensor, old: Tensor) -> Tensor:
    return torch.where(mask.view(-1, *(1,) * (old.ndim - 1)), new, old)
