"""The Tiny Recursive Model: one small network, applied again and again to its own answer.

``answer`` is the paper's y (published ``z_H``), ``latent`` its z (``z_L``). Below this model lie
:mod:`trm.models.recursion`, its cycles, and :mod:`trm.models.base`, embeddings and heads.
"""

from collections.abc import Callable
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trm.config.model import ModelConfig, TRMConfig
from trm.models.base import Depth, Passes, StateNoise, StepOutput
from trm.models.best_latent import best_latent_step
from trm.models.layers import Hidden, truncated_normal_
from trm.models.published import WITH_PREFIX, PublishedModel
from trm.models.recursion import BlockModel, TwoStateCore


class LatentState(NamedTuple):
    """The state that the recursion passes from one supervision step to the next.

    Training with several latents (``num_latents``) stores ``latent`` as (batch, latents, tokens,
    hidden).
    """

    answer: Hidden
    latent: Hidden


class TinyRecursiveModel(BlockModel):
    """A TRM for puzzles of one kind; see :class:`~trm.models.base.RecursiveModel`.

    Two settings are ablations of the paper (table 1): ``separate_networks`` has one network for the
    latent and one for the answer; the ``one_step`` gradient covers the last update of each.
    """

    name = "trm"
    summary = "Tiny Recursive Model: one network updates a latent and the answer."
    config_class: ClassVar[type[ModelConfig]] = TRMConfig
    state_class = LatentState
    published = PublishedModel(
        network="recursive_reasoning.trm@TinyRecursiveReasoningModel_ACTV1",
        settings=WITH_PREFIX,
        fixed={"H_layers": 0},
        implied={
            "swiglu": "silu",
            "state_init": "fixed",
            "damping": 1.0,
            "separate_networks": False,
            "gradient": "last_cycle",
        },
    )

    config: TRMConfig
    core: TwoStateCore
    answer_init: Tensor
    latent_init: Tensor
    other_latent_inits: Tensor | None

    def build_core(self) -> TwoStateCore:
        """See :meth:`RecursiveModel.build_core`."""
        config = self.config
        return TwoStateCore(
            config,
            self.spec,
            config.l_layers,
            config.l_layers if config.separate_networks else 0,
            depth=Depth(config.h_cycles, config.l_cycles),
            damping=config.damping,
            one_step=config.gradient == "one_step",
        )

    @classmethod
    def passes(cls, config: TRMConfig, depth: Depth | None = None) -> Passes:
        """See :meth:`RecursiveModel.passes`.

        With several latents, each takes the whole step forward, and then the best one repeats the
        last h-cycle with a gradient.
        """
        h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
        layers, cycle, latents = config.l_layers, l_cycles + 1, config.num_latents
        learned = 2 if config.gradient == "one_step" else cycle
        repeated = latents * h_cycles - (h_cycles - 1) if latents > 1 else 0
        return Passes(
            layers * h_cycles * cycle,
            layers * learned,
            layers * repeated * cycle,
            latents if latents > 1 else 0,
        )

    def register_more_states(self) -> None:
        """Register the initial states of the other latents."""
        others = self.config.num_latents - 1
        self.register_buffer(
            "other_latent_inits", torch.empty(others, self.config.hidden_size) if others else None
        )

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """See :meth:`RecursiveModel.reset_parameters`."""
        super().reset_parameters(generator)
        if self.other_latent_inits is not None:
            truncated_normal_(self.other_latent_inits, 1.0, generator)

    def initial_state(self, batch_size: int, sample: int = 0) -> LatentState:
        """The initial state for evaluation, the same for all puzzles.

        Args:
            batch_size: number of puzzles.
            sample: number of the rollout. With several latents, rollouts start from each of them in
                turn; with ``state_init`` random, from different random numbers.
        """
        shape = (batch_size, *self.state_shape)
        if self.config.state_init == "random":
            # Drawn on the CPU and for one puzzle, so that it depends on the sample alone.
            generator = torch.Generator().manual_seed(sample)
            one = (1, *self.state_shape)
            parts = (_truncated_normal(one, generator) for _ in LatentState._fields)
            return LatentState(*(part.to(self.device, self.dtype).expand(shape) for part in parts))
        latent_init = self._latent_inits()[sample % self.config.num_latents]
        return LatentState(
            self.answer_init.to(self.dtype).expand(shape), latent_init.to(self.dtype).expand(shape)
        )

    def initial_training_state(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> LatentState:
        """The initial state for training, with all latents: see :class:`LatentState`.

        With ``state_init`` random each puzzle has its own (EqR, Huang et al. 2026), drawn from
        ``generator``, which is on the model's device.
        """
        latents = self.config.num_latents
        if self.config.state_init == "fixed":
            answer, latent = self.initial_state(batch_size)
            if latents > 1:  # a view, since every step needs this
                inits = torch.stack(self._latent_inits()).to(self.dtype).unsqueeze(1)
                latent = inits.expand(batch_size, latents, *self.state_shape)
            return LatentState(answer, latent)
        shape = (batch_size, *self.state_shape)
        latent_shape = (batch_size, latents, *self.state_shape) if latents > 1 else shape
        parts = (_truncated_normal(s, generator, self.device) for s in (shape, latent_shape))
        return LatentState(*(part.to(self.dtype) for part in parts))

    def _latent_inits(self) -> list[Tensor]:
        others = () if self.other_latent_inits is None else self.other_latent_inits
        return [self.latent_init, *others]

    def training_step(
        self,
        state: LatentState,
        embedded: Hidden,
        answer_losses: Callable[[Tensor], Float[Tensor, " batch"]],
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> StepOutput:
        """See :meth:`RecursiveModel.training_step`. With several latents the best one learns."""
        if self.config.num_latents == 1:
            return super().training_step(state, embedded, answer_losses, depth, noise)
        depth = depth or self.core.depth
        return best_latent_step(self, state, embedded, answer_losses, depth, noise)


def _truncated_normal(
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> Tensor:
    tensor = torch.empty(shape, device=device)
    truncated_normal_(tensor, 1.0, generator)
    return tensor
