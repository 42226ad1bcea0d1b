"""One training step on one device, apart from what feeds and watches it."""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trm.config import RunConfig
from trm.engine.optim import AdamAtan2, WeightAverage, learning_rate_scale
from trm.models import (
    Puzzles,
    RolloutState,
    StepLoss,
    TinyRecursiveModel,
    halts,
    replace_halted,
    sign_sgd_,
    start_rollout,
    step_loss,
)

#: What a step measures, summed; the rows that halted count, as published. Losses: all rows.
METRICS = (
    "count", "loss", "answer_loss", "halting_loss", "exact_accuracy", "cell_accuracy",
    "halting_accuracy", "mean_steps", "grad_norm",
)  # fmt: skip


class Supervised(NamedTuple):
    """A supervision step with its loss, before anything is updated."""

    rollout: RolloutState
    loss: StepLoss
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]


def supervise(
    model: TinyRecursiveModel,
    rollout: RolloutState,
    puzzle_rows: Float[Tensor, "batch width"] | None,
    min_steps: Int[Tensor, " batch"] | None,
    loss_name: str,
) -> Supervised:
    """One supervision step of a rollout whose halted rows have been replaced."""
    puzzles = rollout.puzzles
    latents, logits, halt_logits = model(rollout.latents, model.embed(puzzles.inputs, puzzle_rows))
    loss = step_loss(logits, halt_logits, puzzles.labels, loss_name)
    steps = rollout.steps + 1
    halted = halts(halt_logits.detach(), steps, model.config.halt_max_steps, min_steps)
    return Supervised(RolloutState(latents, steps, halted, puzzles), loss, logits, halt_logits)


@dataclass
class TrainState:
    """Everything that training changes."""

    model: TinyRecursiveModel
    optimizer: AdamAtan2
    average: WeightAverage | None
    rollout: RolloutState | None = None
    step: int = 0

    @classmethod
    def create(cls, model: TinyRecursiveModel, config: RunConfig) -> "TrainState":
        """The state at step 0."""
        parameters = dict(model.named_parameters())
        ema = config.optim.ema
        return cls(
            model,
            AdamAtan2(parameters.values(), config.optim),
            WeightAverage(parameters, config.optim.ema_rate) if ema else None,
        )


class Trainer:
    """Takes training steps.

    Args:
        state: what is trained.
        config: the run's settings.
        total_steps: the length of the run, for the learning rate.
        compiled: use torch.compile.
    """

    def __init__(
        self, state: TrainState, config: RunConfig, total_steps: int, *, compiled: bool = False
    ) -> None:
        self.state, self.config, self.total_steps = state, config, total_steps
        self._supervise = torch.compile(supervise) if compiled else supervise

    def step(
        self, puzzles: Puzzles, min_steps: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " m"]:
        """One step; returns the sums named in ``METRICS``, still on the device."""
        state, model = self.state, self.state.model
        rollout = start_rollout(model, puzzles) if state.rollout is None else state.rollout
        rollout = replace_halted(model, rollout, puzzles)
        rows = model.puzzle_rows(rollout.puzzles.identifiers)
        done = self._supervise(model, rollout, rows, min_steps, self.config.train.loss)
        (done.loss.total / len(puzzles.inputs)).backward()  # type: ignore[no-untyped-call]
        gradients = [p.grad for p in state.optimizer.parameters if p.grad is not None]
        grad_norm = torch.nn.utils.get_total_norm(gradients)
        state.step += 1
        self._update(rollout.puzzles.identifiers, rows)
        state.rollout = done.rollout
        return _measure(done, grad_norm)

    @property
    def learning_rate(self) -> float:
        """The network's learning rate at the step last taken."""
        return self.config.optim.lr * self._scale()

    def _scale(self) -> float:
        return learning_rate_scale(self.state.step, self.config.optim, self.total_steps)

    def _update(self, identifiers: Tensor, rows: Tensor | None) -> None:
        optim, state = self.config.optim, self.state
        table = state.model.puzzle_embedding
        if table is not None and rows is not None and rows.grad is not None:
            sign_sgd_(
                table.weight,
                identifiers,
                rows.grad,
                lr=optim.puzzle_emb_lr * self._scale(),
                weight_decay=optim.puzzle_emb_weight_decay,
            )
        state.optimizer.step(self.learning_rate)
        state.optimizer.zero_grad()
        if state.average is not None:
            state.average.update()


@torch.no_grad()
def _measure(done: Supervised, grad_norm: Tensor) -> Float[Tensor, " m"]:
    loss, rollout = done.loss, done.rollout
    counted = rollout.halted & loss.scored
    size = len(counted)
    return torch.stack(
        [
            value.to(loss.total.dtype)
            for value in (
                counted.sum(),
                loss.total / size,
                loss.answer / size,
                loss.halting / size,
                (counted & loss.exact).sum(),
                torch.where(counted, loss.cell_accuracy, 0).sum(),
                (counted & ((done.halt_logits >= 0) == loss.exact)).sum(),
                torch.where(counted, rollout.steps, 0).sum(),
                grad_norm,
            )
        ]
    ).detach()
