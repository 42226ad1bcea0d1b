"""The Tiny Recursive Model: one small network applied again and again to its own answer.

The names of the paper: the *answer* y (published ``z_H``) and the *latent* z (``z_L``).
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call

from trm.config import ModelConfig
from trm.errors import ConfigError
from trm.models.embedding import InputEmbedding, PuzzleEmbedding
from trm.models.layers import Block, Hidden, rotary_table, truncated_normal_


@dataclass(frozen=True)
class PuzzleSpec:
    """What a model has to know of its puzzles."""

    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int = 1


class LatentState(NamedTuple):
    """What the recursion carries from one supervision step to the next."""

    answer: Hidden
    latent: Hidden


class StepOutput(NamedTuple):
    """What one supervision step gives."""

    state: LatentState
    logits: Float[Tensor, "batch seq vocab"]
    halt_logits: Float[Tensor, " batch"]


class RecursiveCore(nn.Module):
    """The network and its recursion (paper, figure 3)."""

    cos: Tensor | None
    sin: Tensor | None

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__()
        self.h_cycles, self.l_cycles = config.h_cycles, config.l_cycles
        self.layers = nn.ModuleList(Block(config, num_tokens) for _ in range(config.l_layers))
        rotary = config.pos_encodings == "rope" and not config.mlp_t
        table = rotary_table(num_tokens, config.head_dim, config.rope_theta) if rotary else None
        self.register_buffer("cos", table[0] if table else None, persistent=False)
        self.register_buffer("sin", table[1] if table else None, persistent=False)

    def forward(self, state: LatentState, embedded: Hidden) -> LatentState:
        """All h-cycles; only the last one remembers how to go back."""
        with torch.no_grad():
            for _ in range(self.h_cycles - 1):
                state = self.cycle(state, embedded)
        return self.cycle(state, embedded)

    def cycle(self, state: LatentState, embedded: Hidden) -> LatentState:
        """Refine the latent ``l_cycles`` times, then the answer once."""
        answer, latent = state
        given = answer + embedded
        for _ in range(self.l_cycles):
            latent = self.refine(latent, given)
        return LatentState(self.refine(answer, latent), latent)

    def refine(self, hidden: Hidden, injected: Hidden) -> Hidden:
        """One application of the network."""
        hidden = hidden + injected
        rotary = None if self.cos is None or self.sin is None else (self.cos, self.sin)
        for layer in self.layers:
            hidden = layer(hidden, rotary)
        return hidden


class TinyRecursiveModel(nn.Module):
    """A TRM for puzzles of one kind.

    Args:
        config: the architecture.
        spec: vocabulary, length and number of identifiers of the puzzles.
        generator: where the initial weights are drawn from.
        drawn: False leaves the weights as they happen to be, to be filled in.

    Raises:
        ConfigError: if ``forward_dtype`` is still ``auto``.
    """

    answer_init: Tensor
    latent_init: Tensor

    def __init__(
        self,
        config: ModelConfig,
        spec: PuzzleSpec,
        *,
        generator: torch.Generator | None = None,
        drawn: bool = True,
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
        if drawn:
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
            sample: which of several rollouts begins; there is one initial state for all of them.
        """
        shape = (batch_size, self.config.prefix_len + self.spec.seq_len, self.config.hidden_size)
        return LatentState(
            self.answer_init.to(self.dtype).expand(shape),
            self.latent_init.to(self.dtype).expand(shape),
        )

    def puzzle_rows(
        self, identifiers: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch width"] | None:
        """The puzzle embeddings of a batch, None where the model has none."""
        return None if self.puzzle_embedding is None else self.puzzle_embedding.rows(identifiers)

    def embed(
        self, inputs: Int[Tensor, "batch seq"], puzzle_rows: Float[Tensor, "batch width"] | None
    ) -> Hidden:
        """What the recursion is given of the puzzles; the same at every supervision step."""
        embedded: Tensor = self.embedding(inputs, puzzle_rows, self.dtype)
        return embedded

    def compile_network(self) -> None:
        """Apply the network through ``torch.compile`` from now on.

        One application is compiled, not the dozens of a step, which would take minutes; there is
        next to nothing to gain between them.
        """
        if not self.is_compiled:
            self.core.refine = torch.compile(self.core.refine)  # type: ignore[method-assign]
            self.is_compiled = True

    def forward(self, state: LatentState, embedded: Hidden) -> StepOutput:
        """One supervision step. The new state is cut off from the gradient."""
        # One cast a step; in the recursion a weight is used dozens of times.
        weights = {name: p.to(self.dtype) for name, p in self.core.named_parameters()}
        answer, latent = functional_call(self.core, weights, (state, embedded))
        logits = _linear(self.output_head, answer[:, self.config.prefix_len :])
        halting = _linear(self.halt_head, answer[:, 0])
        halt_logits = halting[:, 0].to(torch.promote_types(self.dtype, torch.float32))
        return StepOutput(LatentState(answer.detach(), latent.detach()), logits, halt_logits)


def _linear(layer: nn.Linear, x: Tensor) -> Tensor:
    bias = None if layer.bias is None else layer.bias.to(x.dtype)
    return nn.functional.linear(x, layer.weight.to(x.dtype), bias)
