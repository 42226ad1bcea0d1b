"""The Tiny Recursive Model: one small network, applied again and again to its own answer.

``answer`` is the paper's y (published ``z_H``), ``latent`` its z (``z_L``).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.input_embedding import InputEmbedding
from trm.models.layers import Block, Hidden, rotary_table, truncated_normal_
from trm.models.puzzle_embedding import PuzzleEmbedding


class LatentState(NamedTuple):
    """The state that the recursion passes from one supervision step to the next.

    Training with several latents (``num_latents``) stores ``latent`` as (batch, latents, tokens,
    hidden).
    """

    answer: Hidden
    latent: Hidden


class StepOutput(NamedTuple):
    """The result of one supervision step.

    ``continue_logits`` are trained and read with ``act_continue`` only.
    """

    state: LatentState
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]
    continue_logits: Float[Tensor, " batch"]


class Depth(NamedTuple):
    """The depth of the recursion in a supervision step; see :class:`ModelConfig`."""

    h_cycles: int
    l_cycles: int


@dataclass(frozen=True)
class StateNoise:
    """Normal noise, added to the answer or latent after each application of the network.

    Attributes:
        scale: the standard deviation.
        generator: on the device of the model.
    """

    scale: float
    generator: torch.Generator

    def sample_like(self, hidden: Hidden) -> Hidden:
        """New noise with the shape and dtype of ``hidden``."""
        shape, device, dtype = hidden.shape, hidden.device, hidden.dtype
        normal = torch.randn(shape, generator=self.generator, device=device, dtype=dtype)
        return self.scale * normal


class RecursiveCore(nn.Module):
    """The network and its recursion (paper, figure 3).

    Two settings are ablations of the paper (table 1): ``separate_networks`` has one network for the
    latent and one for the answer; the ``one_step`` gradient covers the last update of each.
    """

    cos: Tensor | None
    sin: Tensor | None

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__()
        self.depth = Depth(config.h_cycles, config.l_cycles)
        self.damping = config.damping
        self.one_step = config.gradient == "one_step"
        self.layers = nn.ModuleList(Block(config, num_tokens) for _ in range(config.l_layers))
        self.answer_layers: nn.ModuleList | None = None
        if config.separate_networks:
            layers = (Block(config, num_tokens) for _ in range(config.l_layers))
            self.answer_layers = nn.ModuleList(layers)
        rotary = config.pos_encodings == "rope" and not config.mlp_t
        table = rotary_table(num_tokens, config.head_dim, config.rope_theta) if rotary else None
        self.register_buffer("cos", table[0] if table else None, persistent=False)
        self.register_buffer("sin", table[1] if table else None, persistent=False)

    def forward(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> LatentState:
        """All h-cycles. Only the last one is differentiated, or with ``one_step`` its end."""
        h_cycles, l_cycles = depth or self.depth
        with torch.no_grad():
            for _ in range(h_cycles - 1):
                state = self.h_cycle(state, embedded, l_cycles, noise)
        return self.h_cycle(state, embedded, l_cycles, noise)

    def h_cycle(
        self, state: LatentState, embedded: Hidden, l_cycles: int, noise: StateNoise | None
    ) -> LatentState:
        """Update the latent ``l_cycles`` times, then the answer once."""
        answer, latent = state
        injected = answer + embedded
        of_latent = of_answer = self.apply_network
        if self.answer_layers is not None:
            of_answer = self.apply_answer_network
        constant = l_cycles - 1 if self.one_step else 0
        with torch.no_grad():
            for _ in range(constant):
                latent = self.update(latent, injected, noise, of_latent)
        for _ in range(l_cycles - constant):
            latent = self.update(latent, injected, noise, of_latent)
        return LatentState(self.update(answer, latent, noise, of_answer), latent)

    def update(
        self,
        hidden: Hidden,
        injected: Hidden,
        noise: StateNoise | None,
        apply: Callable[[Hidden, Hidden], Hidden],
    ) -> Hidden:
        """Apply the network, move by the share ``damping`` (EqR, Huang et al. 2026), add noise."""
        updated = apply(hidden, injected)
        if self.damping != 1:
            updated = torch.lerp(hidden, updated, self.damping)
        return updated if noise is None else updated + noise.sample_like(updated)

    def apply_network(self, hidden: Hidden, injected: Hidden) -> Hidden:
        """One application of the network."""
        return self._through(self.layers, hidden + injected)

    def apply_answer_network(self, hidden: Hidden, injected: Hidden) -> Hidden:
        """One application of the answer's own network."""
        assert self.answer_layers is not None
        return self._through(self.answer_layers, hidden + injected)

    def _through(self, layers: nn.ModuleList, hidden: Hidden) -> Hidden:
        rotary = None if self.cos is None or self.sin is None else (self.cos, self.sin)
        for layer in layers:
            hidden = layer(hidden, rotary)
        return hidden


class TinyRecursiveModel(nn.Module):
    """A TRM for puzzles of one kind.

    Args:
        config: the architecture.
        spec: vocabulary, length and number of identifiers of the puzzles.
        generator: draws the initial weights.
        init_weights: False leaves the weights uninitialised, for a caller that loads them.

    Raises:
        ConfigError: if ``forward_dtype`` is still ``auto``.
    """

    answer_init: Tensor
    latent_init: Tensor
    other_latent_inits: Tensor | None

    def __init__(
        self,
        config: ModelConfig,
        spec: PuzzleSpec,
        *,
        generator: torch.Generator | None = None,
        init_weights: bool = True,
    ) -> None:
        super().__init__()
        if config.forward_dtype == "auto":
            raise ConfigError("forward_dtype is 'auto', which training decides. Name a type.")
        self.config, self.spec = config, spec
        self.is_compiled = False
        self.dtype: torch.dtype = getattr(torch, config.forward_dtype)
        num_tokens = config.prefix_len + spec.seq_len
        self.embedding = InputEmbedding(config, spec)
        self.puzzle_embedding: PuzzleEmbedding | None = None
        if config.puzzle_emb_width:
            self.puzzle_embedding = PuzzleEmbedding(
                spec.num_puzzle_identifiers, config.puzzle_emb_width
            )
        self.core = RecursiveCore(config, num_tokens)
        self.output_head = nn.Linear(config.hidden_size, spec.vocab_size, bias=False)
        # Two outputs as published: halt and continue.
        self.halt_head = nn.Linear(config.hidden_size, 2)
        self.register_buffer("answer_init", torch.empty(config.hidden_size))
        self.register_buffer("latent_init", torch.empty(config.hidden_size))
        others = config.num_latents - 1
        self.register_buffer(
            "other_latent_inits", torch.empty(others, config.hidden_size) if others else None
        )
        if init_weights:
            self.reset_parameters(generator)
        if self.dtype == torch.float64:
            self.double()

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draw new weights.

        ==================================  ==========================================
        linear layers                       truncated normal, std 1 / sqrt(inputs)
        token and position embeddings       truncated normal, std 1 / sqrt(hidden_size)
        initial answer and latent (fixed)   truncated normal, std 1
        halting head                        weight 0, bias -5: nothing halts at first
        puzzle embedding                    0
        ==================================  ==========================================
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                truncated_normal_(module.weight, module.in_features**-0.5, generator)
            elif isinstance(module, nn.Embedding):
                truncated_normal_(module.weight, module.embedding_dim**-0.5, generator)
            elif isinstance(module, PuzzleEmbedding):
                module.weight.zero_()
        truncated_normal_(self.answer_init, 1.0, generator)
        truncated_normal_(self.latent_init, 1.0, generator)
        if self.other_latent_inits is not None:
            truncated_normal_(self.other_latent_inits, 1.0, generator)
        self.halt_head.weight.zero_()
        self.halt_head.bias.fill_(-5.0)

    @property
    def device(self) -> torch.device:
        """The device of the weights."""
        return self.answer_init.device

    @property
    def num_parameters(self) -> int:
        """Number of trained parameters, without the puzzle embedding."""
        return sum(p.numel() for p in self.parameters())

    def initial_state(self, batch_size: int, sample: int = 0) -> LatentState:
        """The initial state for evaluation, the same for all puzzles.

        Args:
            batch_size: number of puzzles.
            sample: number of the rollout. With several latents, rollouts start from each of them in
                turn; with ``state_init`` random, from different random numbers.
        """
        shape = (batch_size, *self._state_shape)
        if self.config.state_init == "random":
            # Drawn on the CPU and for one puzzle, so that it depends on the sample alone.
            generator = torch.Generator().manual_seed(sample)
            one = (1, *self._state_shape)
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
                latent = inits.expand(batch_size, latents, *self._state_shape)
            return LatentState(answer, latent)
        shape = (batch_size, *self._state_shape)
        latent_shape = (batch_size, latents, *self._state_shape) if latents > 1 else shape
        parts = (_truncated_normal(s, generator, self.device) for s in (shape, latent_shape))
        return LatentState(*(part.to(self.dtype) for part in parts))

    @property
    def _state_shape(self) -> tuple[int, int]:
        return self.config.prefix_len + self.spec.seq_len, self.config.hidden_size

    def _latent_inits(self) -> list[Tensor]:
        others = () if self.other_latent_inits is None else self.other_latent_inits
        return [self.latent_init, *others]

    def puzzle_vectors(
        self, identifiers: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"] | None:
        """The puzzle embeddings of a batch, or None if the model has none."""
        return None if self.puzzle_embedding is None else self.puzzle_embedding(identifiers)

    def embed(
        self, inputs: Int[Tensor, "batch seq"], puzzle_vectors: Float[Tensor, "batch width"] | None
    ) -> Hidden:
        """Embed the puzzles. The recursion gets the same embeddings at every supervision step."""
        embedded: Tensor = self.embedding(inputs, puzzle_vectors, self.dtype)
        return embedded

    def compile_network(self) -> None:
        """Compile the network with ``torch.compile``.

        This compiles one application of the network. A whole step has dozens of them: it would
        take minutes to compile and gain next to nothing.
        """
        if not self.is_compiled:
            for name in ("apply_network", "apply_answer_network"):
                setattr(self.core, name, torch.compile(getattr(self.core, name)))
            self.is_compiled = True

    def recurse(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> LatentState:
        """The recursion of a supervision step, without the heads; see :meth:`forward`."""
        # Cast each weight once per step: the recursion uses it dozens of times.
        weights = {name: p.to(self.dtype) for name, p in self.core.named_parameters()}
        return LatentState(*functional_call(self.core, weights, (state, embedded, depth, noise)))

    def forward(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> StepOutput:
        """One supervision step. The new state is detached from the gradient.

        Args:
            state: the answer and one latent.
            embedded: the puzzles, from :meth:`embed`.
            depth: the depth of the recursion; None for the model's own.
            noise: added after each application of the network; None for no noise.
        """
        answer, latent = self.recurse(state, embedded, depth, noise)
        logits = _linear(self.output_head, answer[:, self.config.prefix_len :])
        wide = torch.promote_types(self.dtype, torch.float32)
        halting = _linear(self.halt_head, answer[:, 0]).to(wide)
        state = LatentState(answer.detach(), latent.detach())
        return StepOutput(state, logits, halting[:, 0], halting[:, 1])


def _truncated_normal(
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> Tensor:
    tensor = torch.empty(shape, device=device)
    truncated_normal_(tensor, 1.0, generator)
    return tensor


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return F.linear(x, layer.weight.to(x.dtype), bias)
