"""One training step on one device: supervision step, loss, gradients, optimizer and EMA."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from trm.config import RunConfig, TrainConfig
from trm.models import (
    Carry,
    Depth,
    PuzzleBatch,
    RecursiveModel,
    StateNoise,
    StepLoss,
    StepOutput,
    answer_losses,
    concat_carries,
    initial_carry,
    replace_halted,
    should_halt,
    step_loss,
)
from trm.models.flops import train_step_flops
from trm.models.layers import Hidden
from trm.runtime.device import seeded
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.training.optim.adam_atan2 import AdamAtan2
from trm.training.optim.base import Optimizer
from trm.training.optim.ema import EMA
from trm.training.optim.lr_schedule import learning_rate_scale
from trm.training.optim.muon import MuonAdamW
from trm.training.schedule import depth_at

#: The sums that a step returns. As published, accuracies and steps count the rows that halted;
#: losses count all rows. Each process has the sums of its shard, but the norm of all gradients.
METRICS = (
    "count", "loss", "answer_loss", "halting_loss", "continue_loss", "exact_accuracy",
    "cell_accuracy", "halting_accuracy", "mean_steps", "grad_norm",
)  # fmt: skip


@dataclass
class TrainState:
    """Everything that training changes."""

    model: RecursiveModel
    optimizer: Optimizer
    ema: EMA | None
    carry: Carry | None = None
    step: int = 0

    @classmethod
    def create(cls, model: RecursiveModel, config: RunConfig) -> "TrainState":
        """The state at step 0."""
        parameters = dict(model.named_parameters())
        kind = MuonAdamW if config.optim.optimizer == "muon" else AdamAtan2
        return cls(
            model,
            kind(parameters, config.optim),
            EMA(parameters, config.optim.ema_rate) if config.optim.ema else None,
        )


class SupervisionStep(NamedTuple):
    """The result of a supervision step, before the weights are updated."""

    carry: Carry
    loss: StepLoss
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]

    @torch.no_grad()
    def metrics(self, batch_size: int) -> Float[Tensor, " m"]:
        """The sums that ``METRICS`` names, without ``grad_norm``. Losses are divided by the batch.

        Args:
            batch_size: of the whole batch, over all processes and parts.
        """
        loss = self.loss
        counted = self.carry.halted & loss.scored
        sums = (
            counted.sum(),
            loss.total / batch_size,
            loss.answer / batch_size,
            loss.halting / batch_size,
            loss.continuing / batch_size,
            (counted & loss.exact).sum(),
            torch.where(counted, loss.cell_accuracy, 0).sum(),
            (counted & ((self.halt_logits >= 0) == loss.exact)).sum(),
            torch.where(counted, self.carry.steps, 0).sum(),
        )
        return torch.stack([value.to(loss.total.dtype) for value in sums]).detach()


def supervision_step(
    model: RecursiveModel,
    carry: Carry,
    puzzle_vectors: Float[Tensor, "batch width"] | None,
    min_steps: Int[Tensor, " batch"] | None,
    train: TrainConfig,
    depth: Depth | None = None,
    generator: torch.Generator | None = None,
) -> SupervisionStep:
    """One supervision step (paper, figure 3) and its loss.

    Args:
        model: the model.
        carry: the rows, after halted rows have been replaced.
        puzzle_vectors: the puzzle embedding of each row.
        min_steps: exploration, see :func:`trm.models.should_halt`.
        train: the settings.
        depth: of the recursion, None for the model's own.
        generator: draws ``train.state_noise``. None for no noise.
    """
    puzzles = carry.puzzles
    noise = None
    if generator is not None and train.state_noise:
        noise = StateNoise(train.state_noise, generator)
    embedded = model.embed(puzzles.inputs, puzzle_vectors)
    output = model.training_step(
        carry.latent_state,
        embedded,
        lambda logits: answer_losses(logits, puzzles.labels, train.loss, train.label_smoothing),
        depth,
        noise,
    )
    latent_state, logits, halt_logits, continue_logits = output
    steps, continuing = carry.steps + 1, None
    if model.config.continues and model.config.halt_max_steps > 1:
        targets = continue_targets(model, output, embedded.detach(), steps, depth, noise)
        continuing = continue_logits, targets
    decay = train.supervision_decay
    loss = step_loss(
        logits,
        halt_logits,
        puzzles.labels,
        train.loss,
        smoothing=train.label_smoothing,
        halting_weight=train.halting_weight,
        weights=None if decay == 1 else decay ** carry.steps.to(halt_logits.dtype),
        continuing=continuing,
        extra=model.extra_losses(output, puzzles.labels),
    )
    if not model.config.halts_in_training:
        min_steps = torch.full_like(steps, model.config.halt_max_steps)
    decision = model.halt_decision(output).detach()
    halted = should_halt(decision, steps, model.config.halt_max_steps, min_steps)
    return SupervisionStep(Carry(latent_state, steps, halted, puzzles), loss, logits, halt_logits)


@torch.no_grad()
def continue_targets(
    model: RecursiveModel,
    output: StepOutput,
    embedded: Hidden,
    steps: Int[Tensor, " batch"],
    depth: Depth | None = None,
    noise: StateNoise | None = None,
) -> Float[Tensor, " batch"]:
    """What continuing is worth: the better of halting and continuing after one more step.

    In the last step it is what halting is worth (HRM, arXiv 2506.21734; published ``trm.py``).

    Args:
        model: the model.
        output: of this supervision step.
        embedded: the puzzles.
        steps: number of steps that each row has taken, including this one.
        depth, noise: of this step.
    """
    after: StepOutput = model(output.state, embedded, depth, noise)
    is_last = steps >= model.config.halt_max_steps
    best = torch.maximum(after.halt_logits, after.continue_logits)
    return torch.where(is_last, after.halt_logits, best).sigmoid()


class TrainStep:
    """Takes training steps; call it with each batch.

    Args:
        state: what is trained.
        config: the run's settings.
        total_steps: the length of the run, for the learning rate.
        group: the processes that train together, each with its shard of the batch.

    Attributes:
        nonfinite: the first step whose loss or gradient was not finite, None before the first step.
        time_share: the share of the run's time that is over, 0 without ``train.max_minutes``. The
            schedules take it if it is larger than the share of the steps.
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
        self.nonfinite: NonFiniteStep | None = None
        self.time_share = 0.0
        self._scale = self._learning_rate_scale()

    def __call__(
        self, puzzles: PuzzleBatch, min_steps: Int[Tensor, " batch"] | None
    ) -> Float[Tensor, " m"] | None:
        """Take one step. Returns the sums that ``METRICS`` names, on the device.

        With ``skip_nonfinite``, a step whose loss or gradient is not finite is skipped: the weights
        stay, rows with non-finite latents start anew, and the result is None.

        Args:
            puzzles: this process's shard of the batch.
            min_steps: exploration, see :func:`trm.models.should_halt`.
        """
        state, model, optim = self.state, self.state.model, self.config.optim
        generator = self._generator()
        is_frozen = self._done(state.step + 1) < self.config.train.freeze_core_share
        for parameter in state.optimizer.parameters:
            parameter.requires_grad_(not is_frozen)
        # The new batch takes the places of the rows that have halted.
        carry = state.carry
        if carry is None:
            carry = initial_carry(model, puzzles, generator)
        carry = replace_halted(model, carry, puzzles, generator)
        identifiers = carry.puzzles.identifiers
        puzzle_vectors = model.puzzle_vectors(identifiers)

        state.carry, metrics = self._backward(carry, puzzle_vectors, min_steps, generator)
        is_finite, grad_norm = self._all_reduce_gradients(metrics[METRICS.index("loss")])
        state.step += 1
        scale = self._scale = self._learning_rate_scale()
        self._note_nonfinite(is_finite, identifiers)
        if self.config.train.skip_nonfinite and not bool(is_finite):  # waits for the device
            self._skip_step()
            return None

        table = model.puzzle_embedding
        if table is not None and puzzle_vectors is not None and puzzle_vectors.grad is not None:
            table.update_(
                self.group.all_gather(identifiers),
                self.group.all_gather(puzzle_vectors.grad),
                lr=optim.puzzle_emb_lr * scale,
                weight_decay=optim.puzzle_emb_weight_decay,
            )
        if not is_frozen:
            state.optimizer.step(scale)
            state.optimizer.zero_grad()
            if state.ema is not None:
                state.ema.update()
        return torch.cat((metrics, grad_norm.to(metrics.dtype).reshape(1)))

    @property
    def learning_rate(self) -> float:
        """The network's learning rate in the last step."""
        return self.config.optim.lr * self._scale

    def step_flops(self, step: int) -> int:
        """Operations per example in step 1, 2, ..., see :mod:`trm.models.flops`."""
        return train_step_flops(self.config.model, self.state.model.spec, self._depth(step))

    def _depth(self, step: int) -> Depth | None:
        return depth_at(self._done(step), self.config.train.depth_curriculum)

    def _done(self, step: int) -> float:
        """The share of the run that is over before step 1, 2, ..."""
        return max((step - 1) / self.total_steps, self.time_share)

    def _learning_rate_scale(self) -> float:
        return learning_rate_scale(
            self.state.step, self.config.optim, self.total_steps, self.time_share
        )

    def _generator(self) -> torch.Generator | None:
        """Draws the noise and initial latents of a step, None if there are none.

        Seeded by the run's seed, the step and the number of the first row, so that a resumed run
        draws the same numbers.
        """
        train = self.config.train
        if not train.state_noise and not self.config.model.draws_states:
            return None
        first_row = self.group.shard(train.batch_size).start
        return seeded(self.state.model.device, train.seed, self.state.step, first_row)

    def _backward(
        self,
        carry: Carry,
        puzzle_vectors: Float[Tensor, "batch width"] | None,
        min_steps: Int[Tensor, " batch"] | None,
        generator: torch.Generator | None,
    ) -> tuple[Carry, Float[Tensor, " m"]]:
        """Compute the gradients of a supervision step, in ``train.accumulate`` parts.

        Returns:
            The carry of the next step, and the metrics of this one.
        """
        train, count = self.config.train, self.config.train.accumulate
        depth = self._depth(self.state.step + 1)
        size = len(carry.steps) // count
        carries, metrics = [], []
        for rows in (slice(n * size, (n + 1) * size) for n in range(count)):
            done = supervision_step(
                self.state.model,
                carry if count == 1 else carry.rows(rows),
                puzzle_vectors if puzzle_vectors is None or count == 1 else puzzle_vectors[rows],
                min_steps if min_steps is None or count == 1 else min_steps[rows],
                train,
                depth,
                generator,
            )
            (done.loss.total / train.batch_size).backward()  # type: ignore[no-untyped-call]
            carries.append(done.carry)
            metrics.append(done.metrics(train.batch_size))
        return concat_carries(carries), metrics[0] if count == 1 else torch.stack(metrics).sum(0)

    @torch.no_grad()
    def _all_reduce_gradients(
        self, loss: Float[Tensor, ""]
    ) -> tuple[Bool[Tensor, ""], Float[Tensor, ""]]:
        """Sum the gradients of all processes, and clip them.

        All gradients and the loss travel in one flat tensor. Sending them earlier would gain
        nothing: every weight is used until the end of the backward pass.

        Returns:
            Whether loss and gradients are finite, and the gradients' norm before clipping.
        """
        optimizer = self.state.optimizer
        trained = [p for p in optimizer.parameters if p.requires_grad]
        if self.group.size > 1:
            own = optimizer.gradients() if trained else []
            dtype = optimizer.parameters[0].dtype
            flat = torch.cat([*(g.flatten() for g in own), loss.to(dtype).reshape(1)])
            self.group.all_reduce_(flat)
            *summed, total = torch.split(flat, [*(g.numel() for g in own), 1])
            for parameter, gradient in zip(trained, summed, strict=True):
                parameter.grad = gradient.view_as(parameter)
            loss = total[0]
        if not trained:
            return torch.isfinite(loss), torch.zeros_like(loss)
        gradients = [p.grad for p in optimizer.parameters if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        if (limit := self.config.optim.grad_clip) is not None:
            torch.nn.utils.clip_grads_with_norm_(optimizer.parameters, limit, norm)
        return torch.isfinite(loss) & torch.isfinite(norm), norm

    def _note_nonfinite(self, is_finite: Bool[Tensor, ""], identifiers: Tensor) -> None:
        """Remember the first step that is not finite, without waiting for the device."""
        step = torch.full_like(is_finite, self.state.step, dtype=torch.int64)
        if self.nonfinite is None:
            self.nonfinite = NonFiniteStep(torch.where(is_finite, 0, step), identifiers)
            return
        found = self.nonfinite.step != 0
        self.nonfinite = NonFiniteStep(
            torch.where(is_finite | found, self.nonfinite.step, step),
            torch.where(found, self.nonfinite.identifiers, identifiers),
        )

    @torch.no_grad()
    def _skip_step(self) -> None:
        """Drop the gradients, and let the next batch replace rows with non-finite latents."""
        state = self.state
        state.optimizer.zero_grad()
        assert state.carry is not None
        latent_state, steps, halted, puzzles = state.carry
        broken = torch.stack([~part.isfinite().flatten(1).all(1) for part in latent_state]).any(0)
        state.carry = Carry(latent_state, steps, halted | broken, puzzles)


class NonFiniteStep(NamedTuple):
    """The first step whose loss or gradient was not finite, on the device.

    Attributes:
        step: its number, 0 if there was none.
        identifiers: the puzzles of this process's rows in that step.
    """

    step: Int[Tensor, ""]
    identifiers: Int[Tensor, " batch"]

    def describe(self, group: ProcessGroup, names: NDArray[np.bytes_] | None) -> str:
        """The step and its puzzles, for an error message. All processes have to call this."""
        used = np.unique(group.all_gather(self.identifiers).cpu().numpy())
        shown = used[:5] if names is None else [names[i].decode() for i in used[:5]]
        more = f" and {len(used) - 5} more" if len(used) > 5 else ""
        return (
            f"loss or gradient not finite at step {int(self.step)}, with puzzle identifiers "
            f"{', '.join(map(str, shown))}{more}"
        )
