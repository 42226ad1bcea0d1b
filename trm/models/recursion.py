"""The recursion that the published models share: networks of blocks, applied in nested cycles."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trm.config.model import BlockConfig, ModelConfig, PrefixConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.base import Depth, Passes, RecursiveModel, State, StateNoise
from trm.models.layers import Block, Hidden, Rotary, rotary_table


class BlockCore(nn.Module):
    """One or two networks of blocks.

    Args:
        config: the layers.
        spec: the puzzles.
        num_layers: blocks of the network.
        num_answer_layers: blocks of another network, which updates the answer; 0 without one.
    """

    cos: Tensor | None
    sin: Tensor | None
    #: The share by which an update moves a part of the state.
    damping: float = 1.0

    def __init__(
        self, config: ModelConfig, spec: PuzzleSpec, num_layers: int, num_answer_layers: int = 0
    ) -> None:
        super().__init__()
        self.layers = self._build_layers(config, spec, num_layers)
        self.answer_layers: nn.ModuleList | None = None
        if num_answer_layers:
            self.answer_layers = self._build_layers(config, spec, num_answer_layers)
        table = None
        if isinstance(config, BlockConfig) and config.rotates:
            table = _rotary(config, spec)
        self.register_buffer("cos", table[0] if table else None, persistent=False)
        self.register_buffer("sin", table[1] if table else None, persistent=False)

    def build_layer(self, config: Any, spec: PuzzleSpec) -> nn.Module:
        """Build a layer: from tokens (batch, tokens, hidden) to new ones."""
        return Block(config, config.prefix_len + spec.seq_len)

    def _build_layers(self, config: ModelConfig, spec: PuzzleSpec, number: int) -> nn.ModuleList:
        return nn.ModuleList(self.build_layer(config, spec) for _ in range(number))

    def apply_network(self, hidden: Hidden, injected: Hidden | None) -> Hidden:
        """One application of the network to the sum."""
        return self._through(self.layers, hidden, injected)

    def apply_answer_network(self, hidden: Hidden, injected: Hidden | None) -> Hidden:
        """One application of the answer's own network."""
        assert self.answer_layers is not None
        return self._through(self.answer_layers, hidden, injected)

    def _through(self, layers: nn.ModuleList, hidden: Hidden, injected: Hidden | None) -> Hidden:
        if injected is not None:
            hidden = hidden + injected
        rotary = None if self.cos is None or self.sin is None else (self.cos, self.sin)
        for layer in layers:
            hidden = layer(hidden) if rotary is None else layer(hidden, rotary)
        return hidden

    def compile_networks(self) -> None:
        """Compile one application of each network."""
        for name in ("apply_network", "apply_answer_network"):
            setattr(self, name, torch.compile(getattr(self, name)))

    def update(
        self,
        hidden: Hidden,
        injected: Hidden | None,
        noise: StateNoise | None,
        apply: Callable[[Hidden, Hidden | None], Hidden] | None = None,
    ) -> Hidden:
        """Apply a network, by default the first one, and add noise.

        With ``damping`` the part moves by that share (EqR, Huang et al. 2026).
        """
        updated = (apply or self.apply_network)(hidden, injected)
        if self.damping != 1:
            updated = torch.lerp(hidden, updated, self.damping)
        return updated if noise is None else updated + noise.sample_like(updated)


class CycleCore(BlockCore):
    """h-cycles, of which the last one has a gradient (paper, figure 3).

    Args:
        config, spec, num_layers, num_answer_layers: see :class:`BlockCore`.
        depth: h-cycles and l-cycles.
    """

    def __init__(
        self,
        config: ModelConfig,
        spec: PuzzleSpec,
        num_layers: int,
        num_answer_layers: int = 0,
        *,
        depth: Depth,
    ) -> None:
        super().__init__(config, spec, num_layers, num_answer_layers)
        self.depth = depth

    def forward(
        self,
        state: State,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> State:
        """All h-cycles; see :meth:`RecursiveModel.recurse`."""
        h_cycles, l_cycles = depth or self.depth
        with torch.no_grad():
            for _ in range(h_cycles - 1):
                state = self.h_cycle(state, embedded, l_cycles, noise)
        return self.h_cycle(state, embedded, l_cycles, noise)

    @abstractmethod
    def h_cycle(
        self, state: Any, embedded: Hidden, l_cycles: int, noise: StateNoise | None
    ) -> State:
        """Update the latents ``l_cycles`` times, then the answer once."""


class TwoStateCore(CycleCore):
    """An answer and a latent: TRM, HRM, and what lies between them.

    Args:
        config, spec, num_layers, num_answer_layers, depth: see :class:`CycleCore`.
        damping: the share by which an update moves a part of the state.
        one_step: only the last update of each part has a gradient.
    """

    def __init__(
        self,
        config: ModelConfig,
        spec: PuzzleSpec,
        num_layers: int,
        num_answer_layers: int = 0,
        *,
        depth: Depth,
        damping: float = 1.0,
        one_step: bool = False,
    ) -> None:
        super().__init__(config, spec, num_layers, num_answer_layers, depth=depth)
        self.damping, self.one_step = damping, one_step

    def h_cycle(
        self, state: Any, embedded: Hidden, l_cycles: int, noise: StateNoise | None
    ) -> State:
        """See :meth:`CycleCore.h_cycle`."""
        answer, latent = state
        injected = answer + embedded
        of_answer = self.apply_network
        if self.answer_layers is not None:
            of_answer = self.apply_answer_network
        constant = l_cycles - 1 if self.one_step else 0
        with torch.no_grad():
            for _ in range(constant):
                latent = self.update(latent, injected, noise)
        for _ in range(l_cycles - constant):
            latent = self.update(latent, injected, noise)
        return type(state)(self.update(answer, latent, noise, of_answer), latent)


def _rotary(config: BlockConfig, spec: PuzzleSpec) -> Rotary:
    """The rotary positions of all tokens; with rope2d, those of the prefix do not rotate."""
    if not config.needs_board:
        positions = torch.arange(config.prefix_len + spec.seq_len)[None]
    elif len(spec.cell_axes) < 2:
        raise ConfigError(
            "model.pos_encodings = rope2d: puzzles of this task have no rows and columns. Use rope."
        )
    else:
        axes = torch.tensor(spec.cell_axes[:2])  # row, column
        positions = F.pad(axes, (config.prefix_len, 0))
    return rotary_table(positions, config.head_dim, config.rope_theta)


class BlockModel(RecursiveModel):
    """A model whose core is a :class:`BlockCore`."""

    core: BlockCore

    def recurse(
        self,
        state: State,
        embedded: Hidden,
        depth: Depth | None = None,
        noise: StateNoise | None = None,
    ) -> State:
        """See :meth:`RecursiveModel.recurse`."""
        return self.state_class(*self.call_core(state, embedded, depth, noise))

    def compile_network(self) -> None:
        """Compile one application of each network.

        A whole step has dozens of them: it would take minutes to compile and gain next to nothing.
        """
        if not self.is_compiled:
            self.core.compile_networks()
            self.is_compiled = True


class OneNetworkModel(BlockModel):
    """A model with one network, which an h-cycle applies ``l_cycles + 1`` times.

    Attributes:
        core_class: has the h-cycle.
    """

    core_class: ClassVar[type[CycleCore]]
    config: PrefixConfig

    def build_core(self) -> CycleCore:
        """See :meth:`RecursiveModel.build_core`."""
        config = self.config
        depth = Depth(config.h_cycles, config.l_cycles)
        return self.core_class(config, self.spec, config.l_layers, depth=depth)

    @classmethod
    def passes(cls, config: PrefixConfig, depth: Depth | None = None) -> Passes:
        """See :meth:`RecursiveModel.passes`."""
        h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
        cycle = config.l_layers * (l_cycles + 1)
        return Passes(h_cycles * cycle, cycle)
