"""One training step on one device, apart from what feeds and watches it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from trm.config import RunConfig, TrainConfig
from trm.engine.distributed import ALONE, Group
from trm.engine.optim import AdamAtan2, WeightAverage, learning_rate_scale
from trm.models import (
    Puzzles,
    RolloutState,
    StepLoss,
    TinyRecursiveModel,
    halts,
    joined_rollouts,
    replace_halted,
    start_rollout,
    step_loss,
)

#: What a step measures, summed; the rows that halted count, as published. Losses: all rows.
#: Each process has its share of these, but for the norm of the gradient, which is the same in all.
METRICS = (
    "count", "loss", "answer_loss", "halting_loss", "exact_accuracy", "cell_accuracy",
    "halting_accuracy", "mean_steps", "grad_norm",
)  # fmt: skip
_LOSS = METRICS.index("loss")


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
    train: TrainConfig,
) -> Supervised:
    """One supervision step of a rollout whose halted rows have been replaced."""
    puzzles = rollout.puzzles
    latents, logits, halt_logits = model(rollout.latents, model.embed(puzzles.inputs, puzzle_rows))
    loss = step_loss(
        logits,
        halt_logits,
        puzzles.labels,
        train.loss,
        smoothing=train.label_smoothing,
        halting_weight=train.halting_weight,
    )
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
        group: the processes that take each step together, each with its share of the batch.
    """

    def __init__(
        self,
        state: TrainState,
        config: RunConfig,
        total_steps: int,
        *,
        group: Group = ALONE,
    ) -> None:
        self.state, self.config, self.total_steps = state, config, total_steps
        self.group = group
        self.failure: Failure | None = None

    def step(
        self, puzzles: Puzzles, min_steps: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " m"] | None:
        """One step; returns the sums named in ``METRICS``, still on the device.

        None if loss or gradient was not finite and ``skip_nonfinite`` lets such steps be left out:
        then nothing was learned, and rows whose numbers are none begin anew.

        Args:
            puzzles: this process's share of the batch.
            min_steps: exploration, see :func:`trm.models.halts`.
        """
        state, model = self.state, self.state.model
        rollout = start_rollout(model, puzzles) if state.rollout is None else state.rollout
        rollout = replace_halted(model, rollout, puzzles)
        identifiers = rollout.puzzles.identifiers
        rows = model.puzzle_rows(identifiers)
        state.rollout, sums = self._differentiate(rollout, rows, min_steps)
        finite, grad_norm = self._sum_gradients(sums[_LOSS])
        state.step += 1
        if self._fails(finite, identifiers):
            self._leave_out()
            return None
        self._update(identifiers, rows)
        return torch.cat((sums, grad_norm.to(sums.dtype).reshape(1)))

    @property
    def learning_rate(self) -> float:
        """The network's learning rate at the step last taken."""
        return self.config.optim.lr * self._scale()

    def _scale(self) -> float:
        return learning_rate_scale(self.state.step, self.config.optim, self.total_steps)

    def _differentiate(
        self,
        rollout: RolloutState,
        rows: Float[Tensor, "batch width"] | None,
        min_steps: Int[Tensor, " batch"] | None,
    ) -> tuple[RolloutState, Float[Tensor, " m"]]:
        """The gradients of a supervision step, in parts; what carries over, what it measures."""
        train, count = self.config.train, self.config.train.accumulate
        size = len(rollout.steps) // count
        parts, measured = [], []
        for place in (slice(n * size, (n + 1) * size) for n in range(count)):
            part = rollout if count == 1 else rollout.rows(place)
            part_rows = rows if rows is None or count == 1 else rows[place]
            stays = min_steps if min_steps is None or count == 1 else min_steps[place]
            done = supervise(self.state.model, part, part_rows, stays, train)
            (done.loss.total / train.batch_size).backward()  # type: ignore[no-untyped-call]
            parts.append(done.rollout)
            measured.append(_measure(done, train.batch_size))
        return joined_rollouts(parts), measured[0] if count == 1 else torch.stack(measured).sum(0)

    @torch.no_grad()
    def _sum_gradients(self, loss: Float[Tensor, ""]) -> tuple[Bool[Tensor, ""], Float[Tensor, ""]]:
        """Add up the gradients of all processes; whether they and the loss are finite, their norm.

        One flat bucket, in which the loss travels too. There is nothing to overlap it with: every
        weight is used until the last moment of the backward pass.
        """
        optimizer = self.state.optimizer
        if self.group.size > 1:
            own = optimizer.gradients()
            bucket = torch.cat([*(g.flatten() for g in own), loss.to(own[0].dtype).reshape(1)])
            self.group.sum_(bucket)
            *summed, total = torch.split(bucket, [*(g.numel() for g in own), 1])
            for parameter, gradient in zip(optimizer.parameters, summed, strict=True):
                parameter.grad = gradient.view_as(parameter)
            loss = total[0]
        gradients = [p.grad for p in optimizer.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if (limit := self.config.optim.grad_clip) is not None:
            torch.nn.utils.clip_grads_with_norm_(optimizer.parameters, limit, norm)
        return torch.isfinite(loss) & torch.isfinite(norm), norm

    def _fails(self, finite: Bool[Tensor, ""], identifiers: Int[Tensor, " batch"]) -> bool:
        """Note a step that is not finite; whether to leave it out, for which the host has to wait.

        Without ``skip_nonfinite`` nobody waits: the note is read when the next line is logged.
        """
        step = torch.full_like(finite, self.state.step, dtype=torch.int64)
        if self.failure is None:
            self.failure = Failure(torch.where(finite, 0, step), identifiers)
        else:
            first = self.failure.step != 0
            self.failure = Failure(
                torch.where(finite | first, self.failure.step, step),
                torch.where(first, self.failure.identifiers, identifiers),
            )
        return self.config.train.skip_nonfinite > 0 and not bool(finite)

    @torch.no_grad()
    def _leave_out(self) -> None:
        state = self.state
        state.optimizer.zero_grad()
        assert state.rollout is not None
        latents, steps, halted, puzzles = state.rollout
        broken = torch.stack([~part.isfinite().all(-1).all(-1) for part in latents]).any(0)
        state.rollout = RolloutState(latents, steps, halted | broken, puzzles)

    def _update(self, identifiers: Tensor, rows: Tensor | None) -> None:
        optim, state = self.config.optim, self.state
        table = state.model.puzzle_embedding
        if table is not None and rows is not None and rows.grad is not None:
            table.move_(
                self.group.gather(identifiers),
                self.group.gather(rows.grad),
                lr=optim.puzzle_emb_lr * self._scale(),
                weight_decay=optim.puzzle_emb_weight_decay,
            )
        state.optimizer.step(self.learning_rate)
        state.optimizer.zero_grad()
        if state.average is not None:
            state.average.update()


class Failure(NamedTuple):
    """The first step whose loss or gradient was not finite, on the device.

    Attributes:
        step: its number, 0 if there was none.
        identifiers: the puzzles of this process's rows in that step.
    """

    step: Int[Tensor, ""]
    identifiers: Int[Tensor, " batch"]

    def text(self, group: Group, names: NDArray[np.bytes_] | None) -> str:
        """What failed, on which puzzles; all processes have to ask."""
        used = np.unique(group.gather(self.identifiers).cpu().numpy())
        shown = used[:5] if names is None else [names[i].decode() for i in used[:5]]
        more = f" and {len(used) - 5} more" if len(used) > 5 else ""
        return (
            f"loss or gradient not finite at step {int(self.step)}, with puzzle identifiers "
            f"{', '.join(map(str, shown))}{more}"
        )


@torch.no_grad()
def _measure(done: Supervised, batch_size: int) -> Float[Tensor, " m"]:
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
