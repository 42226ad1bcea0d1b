"""What a run is made of: frozen pydantic models, whose field defaults are the published recipe.

Where the values come from (task, preset, file, environment, flags) is :mod:`trm.settings`.
Names are those of the published configurations in lower case; ``docs/reference/settings.md`` is
generated from the descriptions below.
"""

from typing import Any, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

#: The newest configuration that this version writes and reads.
FORMAT_VERSION = 1


class Frozen(BaseModel):
    """A settings group: immutable, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def first_problem(error: ValidationError) -> str:
    """The first thing wrong with a stored file, as one line: where, and what."""
    first = error.errors()[0]
    return ": ".join(filter(None, (".".join(map(str, first["loc"])), first["msg"])))


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


class OptimConfig(Frozen):
    """Adam-atan2 for the network, sign-SGD for the puzzle embedding, and the weight average."""

    lr: float = Field(1e-4, ge=0, description="Learning rate of the network.")
    lr_warmup_steps: int = Field(2000, ge=0, description="Steps of linear warm-up.")
    lr_schedule: Literal["constant", "cosine", "wsd"] = Field(
        "cosine",
        description="After the warm-up; wsd: constant, then linear over the last lr_decay_share.",
    )
    lr_min_ratio: float = Field(
        1.0, ge=0, le=1, description="Where cosine and wsd end, as a share of lr; 1: no decay."
    )
    lr_decay_share: float = Field(0.2, gt=0, le=1, description="Share of the run that wsd decays.")
    weight_decay: float = Field(0.1, ge=0, description="Decoupled weight decay of the network.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the mean gradient.")
    beta2: float = Field(0.95, ge=0, lt=1, description="Adam's decay of the mean square.")
    puzzle_emb_lr: float = Field(1e-2, ge=0, description="Learning rate of puzzle embeddings.")
    puzzle_emb_weight_decay: float = Field(0.1, ge=0, description="And their weight decay.")
    grad_clip: float | None = Field(
        None, gt=0, description="Scale the network's gradient down to this norm where it is larger."
    )
    ema: bool = Field(True, description="Evaluate and publish a running average of the weights.")
    ema_rate: float = Field(0.999, ge=0, lt=1, description="Share of the average that stays.")

    @model_validator(mode="after")
    def _decays(self) -> Self:
        if self.lr_schedule == "wsd" and self.lr_min_ratio == 1:
            raise ValueError("lr_schedule wsd never falls with lr_min_ratio 1: set that to 0, say")
        return self


class TrainConfig(Frozen):
    """How long, on how much, how often to look."""

    batch_size: int = Field(768, gt=0, description="Examples in a step, over all devices.")
    accumulate: int = Field(
        1, gt=0, description="Parts in which each device takes its share of a batch; saves memory."
    )
    epochs: int = Field(100_000, gt=0, description="Passes over the puzzles (not their copies).")
    max_steps: int | None = Field(None, gt=0, description="End after so many steps instead.")
    seed: int = Field(0, ge=0, description="Decides weights, data order and exploration.")
    loss: Literal["stablemax", "softmax"] = Field("stablemax", description="Loss of the answer.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of a cell's target that is spread over all tokens."
    )
    halting_weight: float = Field(
        0.5, ge=0, description="Weight of the halting head's loss beside the answer's."
    )
    init_from: str | None = Field(
        None, description="Begin with the weights of this checkpoint, here or on the Hub."
    )
    reset_puzzle_embedding: bool = Field(
        False, description="But let every puzzle begin with the mean of its puzzle embeddings."
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    compile: bool | None = Field(None, description="Use torch.compile; unset: on CUDA.")
    log_every_steps: int = Field(10, gt=0, description="Steps between logged lines.")
    eval_every_steps: int | None = Field(
        None,
        gt=0,
        description="Steps between evaluations; unset: a tenth of the run, 100 at least.",
    )
    save_every_steps: int | None = Field(
        None, gt=0, description="Steps between checkpoints; unset: 1000, or as evaluations."
    )
    save_every_minutes: float | None = Field(
        None, gt=0, description="Minutes between checkpoints, beside those by steps."
    )
    patience: int | None = Field(
        None, gt=0, description="End after so many evaluations in a row without a new best."
    )
    keep_checkpoints: int = Field(2, gt=0, description="Newest checkpoints kept, beside the best.")
    skip_nonfinite: int = Field(
        0, ge=0, description="Leave out so many steps whose loss or gradient is not finite."
    )
    shard_puzzle_embedding: bool = Field(
        False, description="Each process keeps a share of the puzzle embedding, instead of all."
    )
    log_to: tuple[str, ...] = Field(
        (), description="Trackers that hear of the run too: tensorboard, wandb, trackio."
    )

    @field_validator("log_to", mode="before")
    @classmethod
    def _names(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value


class DataConfig(Frozen):
    """Where the puzzles are."""

    paths: tuple[str, ...] | None = Field(
        None, description="Data folders, joined where they are several; unset: data/TASK."
    )
    augment: Literal["stored", "online"] = Field(
        "stored",
        description="Train on the stored copies of a puzzle, or on a new one in every pass.",
    )
    validation_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Hold this share of the training puzzles out, and evaluate on them during "
        "training instead of on the test split.",
    )

    @field_validator("paths", mode="before")
    @classmethod
    def _one_path(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or None


class EvalConfig(Frozen):
    """What an evaluation during training looks at; ``trm eval`` has flags of the same names."""

    batch_size: int | None = Field(None, gt=0, description="Unset: the training batch size.")
    max_examples: int | None = Field(
        None,
        gt=0,
        description="Look at so many, chosen once and for all; unset: as many as take no longer "
        "than the training between two evaluations: in the published recipe, all.",
    )
    halt: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="End each example when its halting probability is above this, such as 0.9; "
        "unset: after halt_max_steps.",
    )


class RunConfig(Frozen):
    """The whole of a run's settings; saved with every run and checkpoint."""

    task: str
    model: ModelConfig = ModelConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    eval: EvalConfig = EvalConfig()

    @model_validator(mode="after")
    def _halting_fits(self) -> Self:
        if self.eval.halt is not None and self.train.shard_puzzle_embedding:
            raise ValueError(
                "eval.halt does not go with train.shard_puzzle_embedding, whose processes have to "
                "look up puzzles together"
            )
        return self

    @property
    def data_paths(self) -> tuple[str, ...]:
        """The data folders, ``data/TASK`` where none is set."""
        return self.data.paths or (f"data/{self.task}",)

    @property
    def eval_split(self) -> Literal["test", "validation"]:
        """What an evaluation during training looks at."""
        return "validation" if self.data.validation_share else "test"

    @property
    def eval_batch_size(self) -> int:
        """Examples in an evaluation batch."""
        return self.eval.batch_size or self.train.batch_size


#: The groups of a run's settings, by the first part of a dotted name.
GROUPS: dict[str, type[Frozen]] = {
    "model": ModelConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "data": DataConfig,
    "eval": EvalConfig,
}


def setting_names() -> list[str]:
    """Every dotted setting name, such as ``model.hidden_size``."""
    return [f"{group}.{field}" for group, cls in GROUPS.items() for field in cls.model_fields]
