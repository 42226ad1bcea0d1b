"""A supervision step in training: its loss, and what is measured of it."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trm.config import TrainConfig
from trm.models import (
    Carry,
    Depth,
    StateNoise,
    StepLoss,
    TinyRecursiveModel,
    answer_losses,
    best_latent_step,
    should_halt,
    step_loss,
)

#: What a step measures, summed; the rows that halted count, as published. Losses: all rows.
#: Each process has its share of these, but for the norm of the gradient, which is the same in all.
METRICS = (
    "count", "loss", "answer_loss", "halting_loss", "exact_accuracy", "cell_accuracy",
    "halting_accuracy", "mean_steps", "grad_norm",
)  # fmt: skip


class Supervised(NamedTuple):
    """A supervision step with its loss, before anything is updated."""

    rollout: Carry
    loss: StepLoss
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]


def supervise(
    model: TinyRecursiveModel,
    rollout: Carry,
    puzzle_vectors: Float[Tensor, "batch width"] | None,
    min_steps: Int[Tensor, " batch"] | None,
    train: TrainConfig,
    depth: Depth | None = None,
    generator: torch.Generator | None = None,
) -> Supervised:
    """One supervision step of a rollout whose halted rows have been replaced.

    Args:
        model: with the weights.
        rollout: what the rows work on, and how far they are.
        puzzle_vectors: their puzzle embeddings.
        min_steps: exploration, see :func:`trm.models.should_halt`.
        train: the settings.
        depth: of the recursion, if not the model's own.
        generator: where ``train.state_noise`` is drawn from; None for none.
    """
    puzzles = rollout.puzzles
    noise = None
    if generator is not None and train.state_noise:
        noise = StateNoise(train.state_noise, generator)
    latents, logits, halt_logits = best_latent_step(
        model,
        rollout.latents,
        model.embed(puzzles.inputs, puzzle_vectors),
        lambda logits: answer_losses(logits, puzzles.labels, train.loss, train.label_smoothing),
        depth,
        noise,
    )
    decay = train.supervision_decay
    loss = step_loss(
        logits,
        halt_logits,
        puzzles.labels,
        train.loss,
        smoothing=train.label_smoothing,
        halting_weight=train.halting_weight,
        weights=None if decay == 1 else decay ** rollout.steps.to(halt_logits.dtype),
    )
    steps = rollout.steps + 1
    halted = should_halt(halt_logits.detach(), steps, model.config.halt_max_steps, min_steps)
    return Supervised(Carry(latents, steps, halted, puzzles), loss, logits, halt_logits)


@torch.no_grad()
def measure(done: Supervised, batch_size: int) -> Float[Tensor, " m"]:
    """What ``METRICS`` names, but for the norm of the gradient; losses as shares of the batch's."""
    loss, rollout = done.loss, done.rollout
    counted = rollout.halted & loss.scored
    return torch.stack(
        [
            value.to(loss.total.dtype)
            for value in (
                counted.sum(),
                loss.total / batch_size,
                loss.answer / batch_size,
                loss.halting / batch_size,
                (counted & loss.exact).sum(),
                torch.where(counted, loss.cell_accuracy, 0).sum(),
                (counted & ((done.halt_logits >= 0) == loss.exact)).sum(),
                torch.where(counted, rollout.steps, 0).sum(),
            )
        ]
    ).detach()
