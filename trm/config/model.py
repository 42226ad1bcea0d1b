"""The settings of the network and its recursion."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from trm.config.base import Frozen


@dataclass(frozen=True)
class PuzzleSpec:
    """What a model has to know of its puzzles."""

    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int = 1


class ModelConfig(Frozen):
    """The network and its recursion (paper section 4, published ``config/arch/trm.yaml``)."""

    hidden_size: int = Field(512, gt=0, description="Width of a token, D.")
    l_layers: int = Field(2, gt=0, description="Layers of the one core network.")
    num_heads: int = Field(8, gt=0, description="Attention heads; must divide hidden_size.")
    expansion: float = Field(4.0, gt=0, description="SwiGLU width, as a multiple before its 2/3.")
    swiglu_multiple: int = Field(256, gt=0, description="SwiGLU widths round up to a multiple.")
    mlp_t: bool = Field(False, description="Mix tokens with an MLP instead of attention.")
    pos_encodings: Literal["rope", "learned", "none"] = Field(
        "rope", description="How a token knows its place; an MLP mixer needs none."
    )
    rope_theta: float = Field(10000.0, gt=0, description="Base of the rotary frequencies.")
    rms_norm_eps: float = Field(1e-5, gt=0, description="Added to the mean square in RMSNorm.")
    h_cycles: int = Field(3, gt=0, description="T: answer updates in a supervision step.")
    l_cycles: int = Field(6, gt=0, description="n: latent updates before each answer update.")
    puzzle_emb_dim: int | None = Field(
        None, ge=0, description="Width of a puzzle's embedding; unset: hidden_size, 0: none."
    )
    puzzle_emb_len: int = Field(
        16, ge=0, description="Tokens the puzzle embedding fills; 0: as many as it needs."
    )
    halt_max_steps: int = Field(16, gt=0, description="N_sup: supervision steps at most.")
    halt_exploration_prob: float = Field(
        0.1, ge=0, le=1, description="Share of training rows that may not halt at once."
    )
    swiglu: Literal["silu", "normed"] = Field(
        "silu", description="normed: sigmoid(g) * RMSNorm(g * v) for silu(g) * v; goes with muon."
    )
    num_latents: int = Field(
        1,
        gt=0,
        description="Latents trained side by side: the gradient goes through the one with the "
        "lowest loss, whose answer all go on with. Evaluation takes the first.",
    )
    state_init: Literal["fixed", "random"] = Field(
        "fixed", description="random: each puzzle begins with an answer and a latent of its own."
    )
    damping: float = Field(
        1.0, gt=0, le=1, description="Share of an update that is taken; the rest stays as it was."
    )
    forward_dtype: Literal["auto", "bfloat16", "float16", "float32", "float64"] = Field(
        "bfloat16",
        description="Type of activations; master weights are float32, or float64 too. auto: "
        "bfloat16 where the device computes in it, else float32.",
    )

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if not self.mlp_t and self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not divisible by num_heads")
        if not self.mlp_t and self.pos_encodings == "rope" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_dim}")
        if self.swiglu == "normed" and self.forward_dtype == "float16":
            raise ValueError("swiglu normed overflows in forward_dtype float16: use bfloat16")
        if self.puzzle_emb_len and self.puzzle_emb_width > self.puzzle_emb_len * self.hidden_size:
            raise ValueError(f"puzzle_emb_dim {self.puzzle_emb_dim} does not fit puzzle_emb_len")
        return self

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def puzzle_emb_width(self) -> int:
        """Width of a puzzle's embedding, 0 where there is none."""
        return self.hidden_size if self.puzzle_emb_dim is None else self.puzzle_emb_dim

    @property
    def prefix_len(self) -> int:
        """Tokens that stand before the puzzle's own, P."""
        if not self.puzzle_emb_width:
            return 0
        return self.puzzle_emb_len or -(-self.puzzle_emb_width // self.hidden_size)
