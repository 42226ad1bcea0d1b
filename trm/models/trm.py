"""The Tiny Recursive Model: one small network applied again and again to its own answer."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.layers import Hidden, truncated_normal_
from trm.models.puzzle_embedding import InputEmbedding, PuzzleEmbedding
from trm.models.recursion import Depth, LatentState, Noise, RecursiveCore


class StepOutput(NamedTuple):
    """What one supervision step gives."""

    state: LatentState
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]


class TinyRecursiveModel(nn.Module):
    """A TRM for puzzles of one kind.

    Args:
        config: the architecture.
        spec: vocabulary, length and number of identifiers of the puzzles.
        generator: where the initial weights are drawn from.
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
        self.embedding = InputEmbedding(config, spec.vocab_size, num_tokens)
        self.puzzle_embedding: PuzzleEmbedding | None = None
        if config.puzzle_emb_width:
            self.puzzle_embedding = PuzzleEmbedding(
                spec.num_puzzle_identifiers, config.puzzle_emb_width
            )
        self.core = RecursiveCore(config, num_tokens)
        self.output_head = nn.Linear(config.hidden_size, spec.vocab_size, bias=False)
        # Two outputs as published: to halt, and to continue, which nothing reads.
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
        """Where the weights are."""
        return self.answer_init.device

    @property
    def num_parameters(self) -> int:
        """Trained numbers of the network, the puzzle embedding apart."""
        return sum(p.numel() for p in self.parameters())

    def initial_state(self, batch_size: int, sample: int = 0) -> LatentState:
        """The state every puzzle begins with.

        Args:
            batch_size: of so many puzzles.
            sample: which of several rollouts: of a model with several latents each begins with
                another one of them in turn; with ``state_init`` random, with other numbers.
        """
        shape = (batch_size, *self._state_shape)
        if self.config.state_init == "random":
            # Drawn on the CPU, and the same for all puzzles: so an answer depends on nothing else.
            generator = torch.Generator().manual_seed(sample)
            parts = (_drawn((1, *self._state_shape), generator) for _ in LatentState._fields)
            return LatentState(*(part.to(self.device, self.dtype).expand(shape) for part in parts))
        latent_init = self._latent_inits()[sample % self.config.num_latents]
        return LatentState(
            self.answer_init.to(self.dtype).expand(shape), latent_init.to(self.dtype).expand(shape)
        )

    def initial_training_state(
        self, batch_size: int, generator: torch.Generator | None = None
    ) -> LatentState:
        """The state that puzzles begin with in training.

        With ``state_init`` random each has its own (EqR, Huang et al. 2026), drawn by ``generator``
        on the model's device. With several latents these are (batch, latents, tokens, hidden).
        """
        latents = self.config.num_latents
        if self.config.state_init == "fixed":
            answer, latent = self.initial_state(batch_size)
            if latents > 1:  # views, as of one latent: this is asked for in every step
                inits = torch.stack(self._latent_inits()).to(self.dtype).unsqueeze(1)
                latent = inits.expand(batch_size, latents, *self._state_shape)
            return LatentState(answer, latent)
        several = (latents,) if latents > 1 else ()
        shapes = ((batch_size, *axes, *self._state_shape) for axes in ((), several))
        parts = (_drawn(shape, generator, self.device) for shape in shapes)
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
        """The puzzle embeddings of a batch, None where the model has none."""
        return None if self.puzzle_embedding is None else self.puzzle_embedding(identifiers)

    def embed(
        self, inputs: Int[Tensor, "batch seq"], puzzle_vectors: Float[Tensor, "batch width"] | None
    ) -> Hidden:
        """What the recursion is given of the puzzles; the same at every supervision step."""
        embedded: Tensor = self.embedding(inputs, puzzle_vectors, self.dtype)
        return embedded

    def compile_network(self) -> None:
        """Apply the network through ``torch.compile`` from now on.

        One application is compiled, not the dozens of a step, which would take minutes; there is
        next to nothing to gain between them.
        """
        if not self.is_compiled:
            self.core.refine = torch.compile(self.core.refine)  # type: ignore[method-assign]
            self.is_compiled = True

    def recur(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: Noise | None = None,
    ) -> LatentState:
        """The recursion of a supervision step alone; see :meth:`forward`."""
        # One cast a step; in the recursion a weight is used dozens of times.
        weights = {name: p.to(self.dtype) for name, p in self.core.named_parameters()}
        return LatentState(*functional_call(self.core, weights, (state, embedded, depth, noise)))

    def forward(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: Noise | None = None,
    ) -> StepOutput:
        """One supervision step. The new state is cut off from the gradient.

        Args:
            state: the answer and one latent.
            embedded: the puzzles.
            depth: of the recursion, if not the model's own.
            noise: added after each application of the network.
        """
        answer, latent = self.recur(state, embedded, depth, noise)
        logits = _linear(self.output_head, answer[:, self.config.prefix_len :])
        halting = _linear(self.halt_head, answer[:, 0])
        halt_logits = halting[:, 0].to(torch.promote_types(self.dtype, torch.float32))
        return StepOutput(LatentState(answer.detach(), latent.detach()), logits, halt_logits)


def _drawn(
    shape: tuple[int, ...],
    generator: torch.Generator | None,
    device: torch.device | str = "cpu",
) -> Tensor:
    tensor = torch.empty(shape, device=device)
    truncated_normal_(tensor, 1.0, generator)
    return tensor


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return nn.functional.linear(x, layer.weight.to(x.dtype), bias)
