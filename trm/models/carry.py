"""The training carry: rows at different supervision steps, each replaced when it halts."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trm.models.base import RecursiveModel, State, tensors_of


class PuzzleBatch(NamedTuple):
    """A batch of puzzles on a device; labels are -100 where nothing is scored."""

    inputs: Int[Tensor, "batch seq"]
    labels: Int[Tensor, "batch seq"]
    identifiers: Int[Tensor, " batch"]


class Carry(NamedTuple):
    """What one training step passes on to the next (published: ``carry``).

    Attributes:
        latent_state: the answers and latents, detached from the gradient.
        steps: number of supervision steps that each row has taken.
        halted: the rows that the next batch replaces.
        puzzles: the puzzle of each row.
    """

    latent_state: State
    steps: Int[Tensor, " batch"]
    halted: Bool[Tensor, " batch"]
    puzzles: PuzzleBatch

    def tensors(self) -> dict[str, Tensor]:
        """All tensors by name. The first axis of each is the batch."""
        latent_state, steps, halted, puzzles = self
        return {**tensors_of(latent_state), "steps": steps, "halted": halted, **puzzles._asdict()}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], state_class: Any) -> "Carry":
        """The inverse of :meth:`tensors`, with the class of the model's states."""
        return cls(
            state_class(*(tensors[name] for name in state_class._fields)),
            tensors["steps"],
            tensors["halted"],
            PuzzleBatch(*(tensors[name] for name in PuzzleBatch._fields)),
        )

    def rows(self, rows: slice) -> "Carry":
        """A slice of the batch."""
        parts = {name: tensor[rows] for name, tensor in self.tensors().items()}
        return self.from_tensors(parts, type(self.latent_state))


def concat_carries(parts: Sequence[Carry]) -> Carry:
    """Concatenate the rows of several carries."""
    if len(parts) == 1:
        return parts[0]
    tensors = [part.tensors() for part in parts]
    joined = {name: torch.cat([t[name] for t in tensors]) for name in tensors[0]}
    return Carry.from_tensors(joined, type(parts[0].latent_state))


def initial_carry(
    model: RecursiveModel, puzzles: PuzzleBatch, generator: torch.Generator | None = None
) -> Carry:
    """A carry with every row halted, so that the first batch replaces them all."""
    batch_size, device = len(puzzles.inputs), puzzles.inputs.device
    return Carry(
        latent_state=model.initial_training_state(batch_size, generator),
        steps=torch.zeros(batch_size, dtype=torch.int32, device=device),
        halted=torch.ones(batch_size, dtype=torch.bool, device=device),
        puzzles=puzzles,
    )


def replace_halted(
    model: RecursiveModel,
    carry: Carry,
    puzzles: PuzzleBatch,
    generator: torch.Generator | None = None,
) -> Carry:
    """Replace the halted rows by the same rows of a new batch; the other rows stay.

    Args:
        model: gives the new rows their initial state.
        carry: the carry after a training step.
        puzzles: the new batch.
        generator: see :meth:`RecursiveModel.initial_training_state`.
    """
    halted = carry.halted
    initial = model.initial_training_state(len(halted), generator)

    def select(new: Tensor, old: Tensor) -> Tensor:
        return torch.where(halted.view(-1, *(1,) * (old.ndim - 1)), new, old)

    return Carry(
        latent_state=type(initial)(*map(select, initial, carry.latent_state)),
        steps=torch.where(halted, 0, carry.steps),
        halted=torch.zeros_like(halted),
        puzzles=PuzzleBatch(*map(select, puzzles, carry.puzzles)),
    )


def should_halt(
    halt_logits: Float[Tensor, " batch"],
    steps: Int[Tensor, " batch"],
    halt_max_steps: int,
    min_steps: Int[Tensor, " batch"] | None = None,
) -> Bool[Tensor, " batch"]:
    """Which rows halt after this step: the halting head says so, or it was the last step.

    Args:
        halt_logits: from this step, see :meth:`RecursiveModel.halt_decision`.
        steps: number of steps that each row has taken, including this one.
        halt_max_steps: maximum number of steps.
        min_steps: minimum number of steps of each row (exploration).
    """
    halt = (steps >= halt_max_steps) | (halt_logits > 0)
    return halt if min_steps is None else halt & (steps >= min_steps)
