"""The settings of training, data and evaluation, and all of a run's settings together."""

from itertools import pairwise
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from trm.config.base import Frozen
from trm.config.model import ModelConfig
from trm.config.optim import OptimConfig


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
    supervision_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="The loss after supervision step t counts this to the power of t - 1.",
    )
    depth_curriculum: tuple[tuple[float, int, int], ...] = Field(
        (),
        description="Until a share of the run train with fewer cycles: [share, h_cycles, "
        "l_cycles] each, such as [[0.3, 1, 2], [0.6, 2, 4]]; then with the model's.",
    )
    state_noise: float = Field(
        0.0, ge=0, description="Deviation of the noise added after each application in training."
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

    @field_validator("depth_curriculum", mode="before")
    @classmethod
    def _of_three(cls, stages: Any) -> Any:
        if not isinstance(stages, list | tuple) or any(
            not isinstance(stage, list | tuple) or len(stage) != 3 for stage in stages
        ):
            raise ValueError("stages are lists of [share, h_cycles, l_cycles]")
        return stages

    @field_validator("depth_curriculum")
    @classmethod
    def _rises(cls, stages: tuple[tuple[float, int, int], ...]) -> tuple[Any, ...]:
        shares = [0.0, *(share for share, _, _ in stages)]
        if any(not before < share < 1 for before, share in pairwise(shares)):
            raise ValueError("the shares of the run have to rise, between 0 and 1")
        if any(min(cycles) < 1 for _, *cycles in stages):
            raise ValueError("there is at least one cycle of each kind")
        return stages

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

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        for share, *stage in self.train.depth_curriculum:
            if stage[0] > self.model.h_cycles or stage[1] > self.model.l_cycles:
                raise ValueError(
                    f"train.depth_curriculum goes deeper at {share:g} than model.h_cycles "
                    f"{self.model.h_cycles} and model.l_cycles {self.model.l_cycles}"
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
