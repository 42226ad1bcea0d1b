"""The settings of a model: those that every kind of model has, and those of a TRM.

Each kind of model has its own class of settings, chosen by ``model.kind``. Here are the classes to
build on; those of the other built-in kinds are next to their models, in ``trm/models/kinds``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from trm.config.base import SettingsGroup
from trm.plugins import find_model


@dataclass(frozen=True)
class PuzzleSpec:
    """What a model has to know of its puzzles.

    Attributes:
        vocab_size, seq_len: the number of tokens in the vocabulary, and of a puzzle.
        num_puzzle_identifiers: the rows of the puzzle embedding.
        cell_axes: the position of each token on each axis of the board, such as its row; empty
            unless the model needs the board.
        interchangeable: the tokens that can be renamed in a whole puzzle, such as the digits of a
            Sudoku; empty unless the model needs the board.
    """

    vocab_size: int
    seq_len: int
    num_puzzle_identifiers: int = 1
    cell_axes: tuple[tuple[int, ...], ...] = ()
    interchangeable: tuple[int, ...] = ()


class ModelConfig(SettingsGroup):
    """What training and evaluation have to know of any model. A kind of model adds its settings."""

    kind: str = Field("trm", description="Kind of model: `trm models --kinds` lists them.")
    hidden_size: int = Field(512, gt=0, le=65_536, description="Size of a token's vector, D.")
    puzzle_emb_dim: int | None = Field(
        None,
        ge=0,
        le=1_048_576,
        description="Size of a puzzle's embedding; unset: hidden_size; 0: no embedding.",
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
    forward_dtype: Literal["auto", "bfloat16", "float16", "float32", "float64"] = Field(
        "bfloat16",
        description="Type of the activations. Weights are float64 if this is, otherwise float32. "
        "auto: bfloat16 if the device computes in it, otherwise float32.",
    )

    #: What a model card calls such a model; its kind if this is empty.
    title: ClassVar[str] = ""

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        own = type(self).model_fields["kind"].default
        if self.kind != own:
            raise ValueError(f"kind {self.kind} has other settings than kind {own}")
        return self

    @property
    def same_shapes(self) -> tuple[str, ...]:
        """Settings that change what the same weights compute, but not their shapes."""
        return ()

    @property
    def puzzle_emb_width(self) -> int:
        """Size of a puzzle's embedding, 0 if there is none."""
        return self.hidden_size if self.puzzle_emb_dim is None else self.puzzle_emb_dim

    @property
    def prefix_len(self) -> int:
        """Number of tokens before the puzzle's own, P: the fewest that hold its embedding."""
        return -(-self.puzzle_emb_width // self.hidden_size)

    @property
    def cycles(self) -> tuple[int, int] | None:
        """h-cycles and l-cycles of a supervision step, None for a model without such cycles."""
        return None

    @property
    def added_positions(self) -> Literal["learned", "grid"] | None:
        """The position embeddings that are added to those of the tokens."""
        return None

    @property
    def needs_board(self) -> bool:
        """Whether it has to know ``cell_axes`` and ``interchangeable`` of :class:`PuzzleSpec`."""
        return False

    @property
    def continues(self) -> bool:
        """Whether the continue logits are trained, which takes another forward pass."""
        return False

    @property
    def halts_in_training(self) -> bool:
        """Whether rows may halt before their last step in training."""
        return True

    @property
    def halts_in_evaluation(self) -> bool:
        """Whether they may in an evaluation, too, without ``--halt``: by the model's own rule."""
        return False

    @property
    def draws_states(self) -> bool:
        """Whether the initial state of a row in training is random."""
        return False

    @property
    def label(self) -> str:
        """What a new run of such a model is called."""
        return self.kind

    @property
    def layers_text(self) -> str:
        """The layers in words, empty if there is nothing to say."""
        return ""

    def describe(self) -> dict[str, str]:
        """The rows of the model card's table."""
        layers = f"{self.layers_text} of " if self.layers_text else ""
        return {"architecture": f"{self.title or self.kind}, {layers}width {self.hidden_size}"}

    def __repr__(self) -> str:
        return f"{self.kind} of hidden size {self.hidden_size}"

    __str__ = __repr__


class BlockConfig(ModelConfig):
    """A model made of the published blocks: a token mixer and a SwiGLU, with post-norm."""

    num_heads: int = Field(
        8, gt=0, le=65_536, description="Attention heads; must divide hidden_size."
    )
    expansion: float = Field(
        4.0, gt=0, le=100, description="Inner width of a SwiGLU: 2/3 of expansion times its width."
    )
    swiglu_multiple: int = Field(
        256, gt=0, le=65_536, description="Inner widths are rounded up to a multiple of this."
    )
    pos_encodings: Literal["rope", "rope2d", "learned", "grid", "none"] = Field(
        "rope",
        description="Position encodings; an MLP mixer does not need them. grid: learned, for the "
        "row, the column and the box of a cell, or what the task has. rope2d: rotary, half of each "
        "head by row and half by column.",
    )
    rope_theta: float = Field(10000.0, gt=0, le=1e12, description="Base of the rotary frequencies.")
    rms_norm_eps: float = Field(
        1e-5, gt=0, le=1, description="Added to the mean square in RMSNorm."
    )

    #: Whether the width of the heads is rounded down if they do not divide ``hidden_size``.
    rounds_heads: ClassVar[bool] = False

    @model_validator(mode="after")
    def _heads_fit(self) -> Self:
        if self.has_mlp_mixer:
            if self.pos_encodings == "rope2d":
                raise ValueError(
                    "pos_encodings rope2d turns the heads of attention, and an MLP mixer has none: "
                    "use grid, or mlp_t = false"
                )
            return self
        if self.hidden_size % self.num_heads and not (self.rounds_heads and self.head_dim):
            raise ValueError(f"hidden_size {self.hidden_size} is not divisible by num_heads")
        if self.pos_encodings == "rope" and self.head_dim % 2:
            raise ValueError(f"rotary positions need an even head width, not {self.head_dim}")
        if self.pos_encodings == "rope2d" and self.head_dim % 4:
            raise ValueError(f"rope2d needs heads of a width divisible by 4, not {self.head_dim}")
        return self

    @property
    def same_shapes(self) -> tuple[str, ...]:
        """See :attr:`ModelConfig.same_shapes`. A mixer that is an MLP has no use for these."""
        return () if self.has_mlp_mixer else ("num_heads", "pos_encodings", "rope_theta")

    @property
    def head_dim(self) -> int:
        """Width of one attention head."""
        return self.hidden_size // self.num_heads

    @property
    def has_mlp_mixer(self) -> bool:
        """Whether an MLP mixes the tokens, not attention."""
        return False

    @property
    def has_normed_swiglu(self) -> bool:
        """Whether a SwiGLU normalises its inner features."""
        return False

    @property
    def rotates(self) -> bool:
        """Whether the attention has rotary positions."""
        return self.pos_encodings in ("rope", "rope2d") and not self.has_mlp_mixer

    @property
    def needs_board(self) -> bool:
        """See :attr:`ModelConfig.needs_board`."""
        return self.pos_encodings in ("grid", "rope2d")

    @property
    def added_positions(self) -> Literal["learned", "grid"] | None:
        """See :attr:`ModelConfig.added_positions`."""
        return self.pos_encodings if self.pos_encodings in ("learned", "grid") else None

    def describe(self) -> dict[str, str]:
        """See :meth:`ModelConfig.describe`."""
        mixer = "MLP" if self.has_mlp_mixer else f"attention, {self.num_heads} heads"
        return {**super().describe(), "mixer": f"{mixer}; positions: {self.pos_encodings}"}


class CycleConfig(BlockConfig):
    """A model that updates latents in l-cycles, and its answer once in each h-cycle."""

    l_layers: int = Field(2, gt=0, le=100, description="Layers of the network.")
    mlp_t: bool = Field(False, description="Mix tokens with an MLP instead of attention.")
    h_cycles: int = Field(3, gt=0, le=256, description="T: answer updates in a supervision step.")
    l_cycles: int = Field(
        6, gt=0, le=256, description="n: latent updates before each answer update."
    )

    @property
    def cycles(self) -> tuple[int, int] | None:
        """See :attr:`ModelConfig.cycles`."""
        return self.h_cycles, self.l_cycles

    @property
    def has_mlp_mixer(self) -> bool:
        """See :attr:`BlockConfig.has_mlp_mixer`."""
        return self.mlp_t

    @property
    def label(self) -> str:
        """See :attr:`ModelConfig.label`."""
        return f"{self.kind}-mlp" if self.mlp_t else self.kind

    @property
    def layers_text(self) -> str:
        """See :attr:`ModelConfig.layers_text`."""
        return f"{self.l_layers} layers"

    def describe(self) -> dict[str, str]:
        """See :meth:`ModelConfig.describe`."""
        return {**super().describe(), "cycles": f"h {self.h_cycles}, l {self.l_cycles}"}


class PrefixConfig(CycleConfig):
    """A model whose prefix may be longer than the puzzle embedding, and may learn to continue."""

    puzzle_emb_len: int = Field(
        16,
        ge=0,
        le=1024,
        description="Tokens that hold the puzzle embedding; 0: the fewest that hold it.",
    )
    act_continue: bool = Field(
        False,
        description="A row halts when halting is worth more than continuing, which is trained too "
        "(ACT, Q-learning). Each training step then takes another supervision step for its target.",
    )

    @model_validator(mode="after")
    def _puzzle_embedding_fits(self) -> Self:
        if self.puzzle_emb_len and self.puzzle_emb_width > self.puzzle_emb_len * self.hidden_size:
            raise ValueError(f"puzzle_emb_dim {self.puzzle_emb_dim} does not fit puzzle_emb_len")
        return self

    @property
    def prefix_len(self) -> int:
        """Number of tokens before the puzzle's own tokens, P."""
        if not self.puzzle_emb_width:
            return 0
        return self.puzzle_emb_len or super().prefix_len

    @property
    def continues(self) -> bool:
        """See :attr:`ModelConfig.continues`."""
        return self.act_continue


class TRMConfig(PrefixConfig):
    """A Tiny Recursive Model (paper section 4, published ``config/arch/trm.yaml``)."""

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
    separate_networks: bool = Field(
        False, description="Update the answer with a network of its own, of as many layers."
    )
    gradient: Literal["last_cycle", "one_step"] = Field(
        "last_cycle",
        description="What learns of a supervision step: its last h-cycle, or one_step: only the "
        "last update of the latent and of the answer.",
    )

    title: ClassVar[str] = "TRM"

    @property
    def same_shapes(self) -> tuple[str, ...]:
        """See :attr:`ModelConfig.same_shapes`."""
        return (*super().same_shapes, "swiglu", "damping")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.act_continue and self.num_latents > 1:
            raise ValueError("act_continue is for one latent: use num_latents 1")
        if self.swiglu == "normed" and self.forward_dtype == "float16":
            raise ValueError("swiglu normed overflows in forward_dtype float16: use bfloat16")
        return self

    @property
    def has_normed_swiglu(self) -> bool:
        """See :attr:`BlockConfig.has_normed_swiglu`."""
        return self.swiglu == "normed"

    @property
    def draws_states(self) -> bool:
        """See :attr:`ModelConfig.draws_states`."""
        return self.state_init == "random"

    @property
    def label(self) -> str:
        """See :attr:`ModelConfig.label`: the mixer."""
        return "mlp" if self.mlp_t else "att"

    def __repr__(self) -> str:
        return f"hidden size {self.hidden_size} with {'an MLP' if self.mlp_t else 'attention'}"

    __str__ = __repr__


#: The kind of a configuration that names none.
DEFAULT_KIND: str = ModelConfig.model_fields["kind"].default
#: The settings of the kinds that need no plugin, and so no torch.
_WITHOUT_PLUGIN: Mapping[str, type[ModelConfig]] = {DEFAULT_KIND: TRMConfig}


def config_class(kind: str) -> type[ModelConfig]:
    """The class of the settings of a kind of model.

    Raises:
        PluginError: if there is no such kind. The message suggests the nearest name.
    """
    found: type[ModelConfig] = _WITHOUT_PLUGIN.get(kind) or find_model(kind).config_class
    return found


def validate_model(value: Any) -> Any:
    """Validate the settings of a model with the class of its kind."""
    if not isinstance(value, Mapping):
        return value
    kind = value.get("kind", DEFAULT_KIND)
    if not isinstance(kind, str):
        raise ValueError(f"model.kind is {kind!r:.80}, not a name")
    return config_class(kind).model_validate(value)
