"""One training step on one device, apart from what feeds and watches it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from trm.config import RunConfig
from trm.models import (
    Carry,
    Depth,
    PuzzleBatch,
    TinyRecursiveModel,
    concat_carries,
    initial_carry,
    replace_halted,
)
from trm.models.flops import train_step_flops
from trm.runtime.device import seeded
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.training.optim.adam_atan2 import AdamAtan2
from trm.training.optim.base import Optimizer
from trm.training.optim.ema import EMA
from trm.training.optim.lr_schedule import learning_rate_scale
from trm.training.optim.muon import MuonAdamW
from trm.training.schedule import depth_at
from trm.training.supervision import METRICS, measure, supervise

_LOSS = METRICS.index("loss")


@dataclass
class TrainState:
    """Everything that training changes."""

    model: TinyRecursiveModel
    optimizer: Optimizer
    average: EMA | None
    rollout: Carry | None = None
    step: int = 0

    @classmethod
    def create(cls, model: TinyRecursiveModel, config: RunConfig) -> "TrainState":
        """The state at step 0."""
        parameters = dict(model.named_parameters())
        ema = config.optim.ema
        kind = MuonAdamW if config.optim.optimizer == "muon" else AdamAtan2
        return cls(
            model,
            kind(parameters, config.optim),
            EMA(parameters, config.optim.ema_rate) if ema else None,
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
        group: ProcessGroup = SINGLE_PROCESS,
    ) -> None:
        self.state, self.config, self.total_steps = state, config, total_steps
        self.group = group
        self.failure: Failure | None = None

    def step(
        self, puzzles: PuzzleBatch, min_steps: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " m"] | None:
        """One step; returns the sums named in ``METRICS``, still on the device.

        None if loss or gradient was not finite and ``skip_nonfinite`` lets such steps be left out:
        then nothing was learned, and rows whose numbers are none begin anew.

        Args:
            puzzles: this process's share of the batch.
            min_steps: exploration, see :func:`trm.models.should_halt`.
        """
        state, model = self.state, self.state.model
        generator = self._generator()
        rollout = state.rollout
        if rollout is None:
            rollout = initial_carry(model, puzzles, generator)
        rollout = replace_halted(model, rollout, puzzles, generator)
        identifiers = rollout.puzzles.identifiers
        rows = model.puzzle_vectors(identifiers)
        state.rollout, sums = self._differentiate(rollout, rows, min_steps, generator)
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

    def step_flops(self, step: int) -> int:
        """Operations that step 1, 2, ... takes of an example, see :mod:`trm.models.flops`."""
        return train_step_flops(self.config.model, self.state.model.spec, self._depth(step))

    def _depth(self, step: int) -> Depth | None:
        return depth_at((step - 1) / self.total_steps, self.config.train.depth_curriculum)

    def _generator(self) -> torch.Generator | None:
        """What draws the noise and initial states of a step, None if there are none.

        From the seed, the step and the first row alone, so that a run can go on.
        """
        train = self.config.train
        if not train.state_noise and self.config.model.state_init == "fixed":
            return None
        first = self.group.shard(train.batch_size).start
        return seeded(self.state.model.device, train.seed, self.state.step, first)

    def _scale(self) -> float:
        return learning_rate_scale(self.state.step, self.config.optim, self.total_steps)

    def _differentiate(
        self,
        rollout: Carry,
        rows: Float[Tensor, "batch width"] | None,
        min_steps: Int[Tensor, " batch"] | None,
        generator: torch.Generator | None,
    ) -> tuple[Carry, Float[Tensor, " m"]]:
        """The gradients of a supervision step, in parts; what carries over, what it measures."""
        train, count = self.config.train, self.config.train.accumulate
        depth = self._depth(self.state.step + 1)
        size = len(rollout.steps) // count
        parts, measured = [], []
        for place in (slice(n * size, (n + 1) * size) for n in range(count)):
            part = rollout if count == 1 else rollout.rows(place)
            part_rows = rows if rows is None or count == 1 else rows[place]
            stays = min_steps if min_steps is None or count == 1 else min_steps[place]
            done = supervise(self.state.model, part, part_rows, stays, train, depth, generator)
            (done.loss.total / train.batch_size).backward()  # type: ignore[no-untyped-call]
            parts.append(done.rollout)
            measured.append(measure(done, train.batch_size))
        return concat_carries(parts), measured[0] if count == 1 else torch.stack(measured).sum(0)

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
            self.group.all_reduce_(bucket)
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
        broken = torch.stack([~part.isfinite().flatten(1).all(1) for part in latents]).any(0)
        state.rollout = Carry(latents, steps, halted | broken, puzzles)

    def _update(self, identifiers: Tensor, rows: Tensor | None) -> None:
        optim, state = self.config.optim, self.state
        table = state.model.puzzle_embedding
        if table is not None and rows is not None and rows.grad is not None:
            table.update_(
                self.group.all_gather(identifiers),
                self.group.all_gather(rows.grad),
                lr=optim.puzzle_emb_lr * self._scale(),
                weight_decay=optim.puzzle_emb_weight_decay,
            )
        state.optimizer.step(self._scale())
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

    def text(self, group: ProcessGroup, names: NDArray[np.bytes_] | None) -> str:
        """What failed, on which puzzles; all processes have to ask."""
        used = np.unique(group.all_gather(self.identifiers).cpu().numpy())
        shown = used[:5] if names is None else [names[i].decode() for i in used[:5]]
        more = f" and {len(used) - 5} more" if len(used) > 5 else ""
        return (
            f"loss or gradient not finite at step {int(self.step)}, with puzzle identifiers "
            f"{', '.join(map(str, shown))}{more}"
        )
