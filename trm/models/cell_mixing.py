"""What models share whose layers know the board: a mixer of their own instead of attention."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Self

import torch
from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor, nn

from trm.config.model import ModelConfig, PuzzleSpec
from trm.models.base import Depth
from trm.models.layers import Hidden, SwiGLU, rms_norm, silu_glu
from trm.models.recursion import BlockModel, TwoStateCore
from trm.models.trm import LatentState


class CellMixingConfig(ModelConfig):
    """A TRM whose layers mix cells by their places on the board. It has no puzzle embedding."""

    hidden_size: int = Field(64, gt=0, le=65_536, description="Size of a token's vector, D.")
    puzzle_emb_dim: int | None = Field(0, description="0: there is no puzzle embedding.")
    l_layers: int = Field(2, gt=0, le=100, description="Layers of the network.")
    h_cycles: int = Field(1, gt=0, le=256, description="Answer updates in a supervision step.")
    l_cycles: int = Field(2, gt=0, le=256, description="Latent updates before each answer update.")
    expansion: float = Field(
        2.0, gt=0, le=100, description="Inner width of a SwiGLU: expansion times hidden_size."
    )
    rms_norm_eps: float = Field(
        1e-5, gt=0, le=1, description="Added to the mean square in RMSNorm."
    )

    @model_validator(mode="after")
    def _has_no_puzzle_embedding(self) -> Self:
        if self.puzzle_emb_dim != 0:
            raise ValueError(f"puzzle_emb_dim {self.puzzle_emb_dim}: {self.kind} has none, use 0")
        return self

    @property
    def cycles(self) -> tuple[int, int]:
        """See :attr:`ModelConfig.cycles`."""
        return self.h_cycles, self.l_cycles

    @property
    def needs_board(self) -> bool:
        """See :attr:`ModelConfig.needs_board`."""
        return True

    @property
    def layers_text(self) -> str:
        """See :attr:`ModelConfig.layers_text`."""
        return f"{self.l_layers} layers"

    def describe(self) -> dict[str, str]:
        """See :meth:`ModelConfig.describe`."""
        return {**super().describe(), "cycles": f"h {self.h_cycles}, l {self.l_cycles}"}


class CellMixingLayer(nn.Module):
    """Mix tokens, add, normalise; mix features, add, normalise (post-norm).

    Args:
        config: the widths.
        mixer: from tokens (batch, tokens, hidden) to what is added to them.
    """

    def __init__(self, config: CellMixingConfig, mixer: nn.Module) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        self.mixer = mixer
        inner = max(1, round(config.expansion * config.hidden_size))
        self.mlp = SwiGLU(config.hidden_size, inner, silu_glu)

    def forward(self, x: Hidden) -> Hidden:
        x = rms_norm(x + self.mixer(x), self.eps)
        return rms_norm(x + self.mlp(x), self.eps)


class CellMixingCore(TwoStateCore):
    """The cycles of a TRM.

    Args:
        config: the layers and cycles.
        spec: the puzzles.
        build_mixer: builds the mixer of a layer.
    """

    def __init__(
        self, config: CellMixingConfig, spec: PuzzleSpec, build_mixer: Callable[[], nn.Module]
    ) -> None:
        self._build_mixer = build_mixer
        depth = Depth(config.h_cycles, config.l_cycles)
        super().__init__(config, spec, config.l_layers, depth=depth)

    def build_layer(self, config: CellMixingConfig, spec: PuzzleSpec) -> nn.Module:
        """See :meth:`BlockCore.build_layer`."""
        return CellMixingLayer(config, self._build_mixer())


class CellMixingModel(BlockModel):
    """A TRM with a mixer of its own; see :class:`~trm.models.base.RecursiveModel`."""

    state_class = LatentState

    config: CellMixingConfig
    core: CellMixingCore

    @abstractmethod
    def build_mixer(self) -> nn.Module:
        """Build the mixer of a layer; see :class:`CellMixingLayer`."""

    def build_core(self) -> CellMixingCore:
        """See :meth:`RecursiveModel.build_core`."""
        return CellMixingCore(self.config, self.spec, self.build_mixer)

    @torch.no_grad()
    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """See :meth:`RecursiveModel.reset_parameters`. Linear layers of the core begin at half.

        A layer then changes the state less at first, and training is several times faster
        (docs/experiments.md).
        """
        super().reset_parameters(generator)
        for module in self.core.modules():
            if isinstance(module, nn.Linear):
                module.weight.mul_(0.5)

    def summarize(self, answer: Hidden) -> Float[Tensor, "batch hidden"]:
        """See :meth:`RecursiveModel.summarize`: the mean of all tokens."""
        return answer.mean(1)
