"""The settings of the network and its recursion."""

from dataclasses import dataclass
from typing import Literal, Self

from pydantic import Field, model_validator

from trm.config.base import SettingsGroup


@dataclass(frozen=True)
class PuzzleSpec:
    """What a model has to know of its puzzles.

    Attributes:
        vocab_size, seq_len: the number of tokens in the vocabulary, and of a puzzle.
        num_puzzle_identifiers: the rows of the puzzle embedding.
        cell_axes: the position of each token on each axis of the board, such as its row; empty
            unless the model needs it.
    """

    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int = 1
    cell_axes: tuple[tuple[int, ...], ...] = ()


class ModelConfig(SettingsGroup):
    """The network and its recursion (paper section 4, published ``config/arch/trm.yaml``)."""

    hidden_size: int = Field(512, gt=0, le=65_536, description="Size of a token's vector, D.")
    l_layers: int = Field(2, gt=0, le=100, description="Layers of the network.")
    num_heads: int = Field(
        8, gt=0, le=65_536, description="Attention heads; must divide hidden_size."
    )
    expansion: float = Field(
        4.0, gt=0, le=100, description="Inner width of a SwiGLU: 2/3 of expansion times its width."
    )
    swiglu_multiple: int = Field(
        256, gt=0, le=65_536, description="Inner widths are rounded up to a multiple of this."
    )
    mlp_t: bool = Field(False, description="Mix tokens with an MLP instead of attention.")
    pos_encodings: Literal["rope", "learned", "grid", "none"] = Field(
        "rope",
        description="Position encodings; an MLP mixer does not need them. grid: learned, for the "
        "row, the column and the box of a cell, or what the task has.",
    )
    rope_theta: float = Field(10000.0, gt=0, le=1e12, description="Base of the rotary frequencies.")
    rms_norm_eps: float = Field(
        1e-5, gt=0, le=1, description="Added to the mean square in RMSNorm."
    )
    h_cycles: int = Field(3, gt=0, le=256, description="T: answer updates in a supervision step.")
    l_cycles: int = Field(
        6, gt=0, le=256, description="n: latent updates before each answer update."
    )
    puzzle_emb_dim: int | None = Field(
        None,
        ge=0,
        le=1_048_576,
        description="Size of a puzzle's embedding; unset: hidden_size; 0: no embedding.",
    )
    puzzle_emb_len: int = Field(
        16,
        ge=0,
        le=1024,
        description="Tokens that hold the puzzle embedding; 0: the fewest that hold it.",
    )
    halt_max_steps: int = Field(
        16, gt=0, le=10_000, description="N_sup: maximum number of supervision steps."
    )
    halt_exploration_prob: float = Field(
        0.1,
        ge=0,
        le=1,
        description="Share of training rows with a random minimum of supervision steps.",
    )
    swiglu: Literal["silu", "normed"] = Field(
        "silu",
        description="normed: sigmoid(g) * RMSNorm(g * v) instead of silu(g) * v; meant for muon.",
    )
    num_latents: int = Field(
        1,
        gt=0,
        le=100,
        description="Number of latents in training. In each row only the latent with the lowest "
        "loss gets a gradient, and all continue with its answer. Evaluation uses the first.",
    )
    state_init: Literal["fixed", "random"] = Field(
        "fixed", description="random: each puzzle starts from its own random answer and latent."
    )
    damping: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share by which an update moves the answer or latent; 1: all of it.",
    )
    act_continue: bool = Field(
        False,
        description="A row halts when halting is worth more than continuing, which is trained too "
        "(ACT, Q-learning). Each training step then takes another supervision step for its target.",
    )
    separate_networks: bool = Field(
        False, description="Update the answer with a network of its own, of as many layers."
    )
    gradient: Literal["last_cycle", "one_step"] = Field(
        "last_cycle",
        description="What learns of a supervision step: its last h-cycle, or one_step: only the "
        "last update of the latent and of the answer.",
    )
    forward_dtype: Literal["auto", "bfloat16", "float16", "float32", "float64"] = Field(
        "bfloat16",
        description="Type of the activations. Weights are float64 if this is, otherwise float32. "
        "auto: bfloat16 if the device computes in it, otherwise float32.",
    )

    @model_validator(mode="after")
    def _sizes_fit(self) -> Self:
        if not self.mlp_t and self.hidden_size % self.num_heads:
            raise ValueError(f"hidden_size {self.hidden_size} is not divisible by num_heads")
        if not self.mlp_t and self.pos_encodings == "rope" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_dim}")
        if self.act_continue and self.num_latents > 1:
            raise ValueError("act_continue is for one latent: use num_latents 1")
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
        """Size of a puzzle's embedding, 0 if there is none."""
        return self.hidden_size if self.puzzle_emb_dim is None else self.puzzle_emb_dim

    @property
    def prefix_len(self) -> int:
        """Number of tokens before the puzzle's own tokens, P."""
        if not self.puzzle_emb_width:
            return 0
        return self.puzzle_emb_len or -(-self.puzzle_emb_width // self.hidden_size)
