"""The recursion: one small network applied again and again (paper, figure 3).

The names of the paper: the *answer* y (published ``z_H``) and the *latent* z (``z_L``).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from trm.config import ModelConfig
from trm.models.layers import Block, Hidden, rotary_table

#: What is added to an updated answer or latent (batch, tokens, hidden), of the same shape.
Noise = Callable[[Tensor], Tensor]


class LatentState(NamedTuple):
    """What the recursion carries from one supervision step to the next.

    While several latents are trained (``num_latents``), ``latent`` is (batch, latents, tokens,
    hidden) between the steps.
    """

    answer: Hidden
    latent: Hidden


class Depth(NamedTuple):
    """How often the network is applied in a supervision step; see :class:`ModelConfig`."""

    h_cycles: int
    l_cycles: int


class RecursiveCore(nn.Module):
    """The network and its recursion (paper, figure 3)."""

    cos: Tensor | None
    sin: Tensor | None

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__()
        self.depth = Depth(config.h_cycles, config.l_cycles)
        self.damping = config.damping
        self.layers = nn.ModuleList(Block(config, num_tokens) for _ in range(config.l_layers))
        rotary = config.pos_encodings == "rope" and not config.mlp_t
        table = rotary_table(num_tokens, config.head_dim, config.rope_theta) if rotary else None
        self.register_buffer("cos", table[0] if table else None, persistent=False)
        self.register_buffer("sin", table[1] if table else None, persistent=False)

    def forward(
        self,
        state: LatentState,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: Noise | None = None,
    ) -> LatentState:
        """All h-cycles; only the last one remembers how to go back."""
        h_cycles, l_cycles = depth or self.depth
        with torch.no_grad():
            for _ in range(h_cycles - 1):
                state = self.cycle(state, embedded, l_cycles, noise)
        return self.cycle(state, embedded, l_cycles, noise)

    def cycle(
        self, state: LatentState, embedded: Hidden, l_cycles: int, noise: Noise | None
    ) -> LatentState:
        """Update the latent ``l_cycles`` times, then the answer once."""
        answer, latent = state
        given = answer + embedded
        for _ in range(l_cycles):
            latent = self.update(latent, given, noise)
        return LatentState(self.update(answer, latent, noise), latent)

    def update(self, hidden: Hidden, injected: Hidden, noise: Noise | None) -> Hidden:
        """One application, of which ``damping`` is taken (EqR, Huang et al. 2026)."""
        refined = self.refine(hidden, injected)
        if self.damping != 1:
            refined = torch.lerp(hidden, refined, self.damping)
        return refined if noise is None else refined + noise(refined)

    def refine(self, hidden: Hidden, injected: Hidden) -> Hidden:
        """One application of the network."""
        hidden = hidden + injected
        rotary = None if self.cos is None or self.sin is None else (self.cos, self.sin)
        for layer in self.layers:
            hidden = layer(hidden, rotary)
        return hidden
