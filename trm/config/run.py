"""The settings of training, data and evaluation, and the whole configuration of a run."""

from itertools import pairwise
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SerializeAsAny, field_validator, model_validator

from trm.config.base import LARGEST_SEED, MOST_EXAMPLES, MOST_STEPS, Frozen, SettingsGroup
from trm.config.model import DEFAULT_KIND, ModelConfig, TRMConfig, config_class, validate_model
from trm.config.optim import OptimConfig


class TrainConfig(SettingsGroup):
    """Length of the run, batches, loss, schedule of evaluations and checkpoints."""

    batch_size: int = Field(
        768, gt=0, le=MOST_EXAMPLES, description="Examples in a training step, over all devices."
    )
    accumulate: int = Field(
        1,
        gt=0,
        le=MOST_EXAMPLES,
        description="Number of parts in which a device processes its batch, to save memory.",
    )
    epochs: int = Field(
        100_000,
        gt=0,
        le=MOST_STEPS,
        description="Passes over the puzzles, not counting their copies.",
    )
    max_steps: int | None = Field(
        None, gt=0, le=MOST_STEPS, description="Number of training steps, instead of epochs."
    )
    max_minutes: float | None = Field(
        None,
        gt=0,
        le=MOST_STEPS,
        description="End the run in this time, with a checkpoint. Schedules that depend on the "
        "length of the run then follow the time, if it ends before the steps.",
    )
    seed: int = Field(
        0, ge=0, le=LARGEST_SEED, description="Seed of weights, data order and exploration."
    )
    loss: Literal["stablemax", "softmax"] = Field("stablemax", description="Loss of the answer.")
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="Share of a cell's target that is spread over all tokens."
    )
    halting_weight: float = Field(
        0.5, ge=0, description="Weight of the halting loss, relative to the answer loss."
    )
    supervision_decay: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Weight of the loss at supervision step t: this to the power of t - 1.",
    )
    depth_curriculum: tuple[tuple[float, int, int], ...] = Field(
        (),
        description="Train with fewer cycles at first: stages [share of the run at which it ends, "
        "h_cycles, l_cycles], such as [[0.3, 1, 2], [0.6, 2, 4]]. The rest has the model's cycles.",
    )
    state_noise: float = Field(
        0.0,
        ge=0,
        description="Standard deviation of the noise in training, added after each application.",
    )
    init_from: str | None = Field(
        None, description="Start from the weights of this checkpoint, local or on the Hub."
    )
    reset_puzzle_embedding: bool = Field(
        False,
        description="With init_from: start each puzzle embedding from the mean of all.",
    )
    freeze_core_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="With init_from: train only the puzzle embedding in this first share of the "
        "run.",
    )
    device: str = Field("auto", description="auto, cpu, cuda, cuda:1, mps.")
    compile: bool | None = Field(None, description="Use torch.compile; unset: only on CUDA.")
    log_every_steps: int = Field(
        10, gt=0, le=MOST_STEPS, description="Steps between lines of the log."
    )
    eval_every_steps: int | None = Field(
        None,
        ge=0,
        le=MOST_STEPS,
        description="Steps between evaluations; 0: no evaluations; unset: a tenth of the run, at "
        "least 100.",
    )
    save_every_steps: int | None = Field(
        None,
        gt=0,
        le=MOST_STEPS,
        description="Steps between checkpoints; unset: 1000, or eval_every_steps if smaller.",
    )
    save_every_minutes: float | None = Field(
        None, gt=0, le=MOST_STEPS, description="Minutes between additional checkpoints."
    )
    patience: int | None = Field(
        None,
        gt=0,
        le=MOST_STEPS,
        description="Stop after this number of evaluations in a row without a new best.",
    )
    keep_checkpoints: int = Field(
        2,
        gt=0,
        le=MOST_STEPS,
        description="Number of newest checkpoints to keep, in addition to the best.",
    )
    skip_nonfinite: int = Field(
        0,
        ge=0,
        le=MOST_STEPS,
        description="Maximum number of steps to skip for a loss or gradient that is not finite.",
    )
    shard_puzzle_embedding: bool = Field(
        False, description="Split the puzzle embedding between the processes."
    )
    log_to: tuple[str, ...] = Field(
        (), description="Trackers that log the run: tensorboard, wandb, trackio."
    )

    @field_validator("depth_curriculum", mode="before")
    @classmethod
    def _stages_are_triples(cls, stages: Any) -> Any:
        if not isinstance(stages, list | tuple) or any(
            not isinstance(stage, list | tuple) or len(stage) != 3 for stage in stages
        ):
            raise ValueError("each stage must be a list [share, h_cycles, l_cycles]")
        return stages

    @field_validator("depth_curriculum")
    @classmethod
    def _shares_increase(cls, stages: tuple[tuple[float, int, int], ...]) -> tuple[Any, ...]:
        shares = [0.0, *(share for share, _, _ in stages)]
        if any(not before < share < 1 for before, share in pairwise(shares)):
            raise ValueError("the shares must increase, between 0 and 1")
        if any(min(cycles) < 1 for _, *cycles in stages):
            raise ValueError("each stage needs at least one cycle of each kind")
        return stages

    @field_validator("log_to", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _patience_has_evaluations(self) -> Self:
        if self.patience is not None and self.eval_every_steps == 0:
            raise ValueError("patience does nothing without evaluations: eval_every_steps is 0")
        return self


class DataConfig(SettingsGroup):
    """The training and test data."""

    paths: tuple[str, ...] | None = Field(
        None, description="Data folders, joined into one dataset; unset: data/TASK."
    )
    augment: Literal["stored", "online"] = Field(
        "stored",
        description="Train on the stored copies of a puzzle, or on a new random copy in each pass.",
    )
    max_pairs: int | None = Field(
        None,
        gt=0,
        le=MOST_EXAMPLES,
        description="Train on at most this many examples of a puzzle in each pass, drawn anew, "
        "such as of an ARC task with a thousand pairs; unset: all.",
    )
    validation_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Hold out this share of the training puzzles. Evaluations during training use "
        "them instead of the test split.",
    )

    @field_validator("paths", mode="before")
    @classmethod
    def _path_as_tuple(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value or None


class EvalConfig(SettingsGroup):
    """Evaluation during training; ``trm eval`` has flags with the same names."""

    batch_size: int | None = Field(
        None,
        gt=0,
        le=MOST_EXAMPLES,
        description="Examples in an evaluation batch; unset: train.batch_size.",
    )
    max_examples: int | None = Field(
        None,
        gt=0,
        le=MOST_STEPS,
        description="Number of examples, the same in all evaluations; unset: limited so that an "
        "evaluation takes at most the time of the training since the last one.",
    )
    halt: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Stop an example when its halting probability is above this, such as 0.9; "
        "unset: stop after halt_max_steps, or by the model's own rule if it has one.",
    )


class RunConfig(Frozen):
    """All settings of a run; saved with every run and checkpoint."""

    task: str
    model: Annotated[SerializeAsAny[ModelConfig], BeforeValidator(validate_model)] = TRMConfig()
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    data: DataConfig = DataConfig()
    eval: EvalConfig = EvalConfig()

    def __repr__(self) -> str:
        model, train = self.model, self.train
        length = f"{train.max_steps} steps" if train.max_steps else f"{train.epochs} epochs"
        return f"<RunConfig of task {self.task}: {model}, {length} of batch {train.batch_size}>"

    __str__ = __repr__

    @model_validator(mode="after")
    def _halting_fits(self) -> Self:
        halts = self.eval.halt is not None or self.model.halts_in_evaluation
        if halts and self.train.shard_puzzle_embedding:
            name = (
                "eval.halt"
                if self.eval.halt is not None
                else f"a model that halts in evaluations ({self.model.kind})"
            )
            raise ValueError(
                f"{name} cannot be used with train.shard_puzzle_embedding, because the processes "
                "of a run look up puzzles together"
            )
        return self

    @model_validator(mode="after")
    def _stages_fit(self) -> Self:
        if self.train.depth_curriculum and self.model.cycles is None:
            raise ValueError(
                f"train.depth_curriculum needs a model with cycles; model.kind {self.model.kind} "
                "has none"
            )
        h_cycles, l_cycles = self.model.cycles or (0, 0)
        for share, *stage in self.train.depth_curriculum:
            if stage[0] > h_cycles or stage[1] > l_cycles:
                raise ValueError(
                    f"train.depth_curriculum has more cycles at {share:g} than model.h_cycles "
                    f"{h_cycles} and model.l_cycles {l_cycles}"
                )
        return self

    @model_validator(mode="after")
    def _something_is_trained(self) -> Self:
        if self.train.freeze_core_share and not self.model.puzzle_emb_width:
            raise ValueError(
                "train.freeze_core_share needs a puzzle embedding, the only thing that is trained "
                "then; model.puzzle_emb_dim is 0"
            )
        return self

    def by_name(self) -> dict[str, Any]:
        """The value of each setting by its dotted name; ``model.kind`` is the first."""
        return {
            name: getattr(getattr(self, group), key)
            for name in setting_names(self.model.kind)
            for group, key in (name.split("."),)
        }

    @property
    def data_paths(self) -> tuple[str, ...]:
        """The data folders, ``data/TASK`` if none is set."""
        return self.data.paths or (f"data/{self.task}",)

    @property
    def eval_split(self) -> Literal["test", "validation"]:
        """The split that evaluations during training use."""
        return "validation" if self.data.validation_share else "test"

    @property
    def eval_batch_size(self) -> int:
        """Examples in an evaluation batch."""
        return self.eval.batch_size or self.train.batch_size


#: The groups of settings, by the first part of a dotted name. The model is a TRM.
GROUPS: dict[str, type[Frozen]] = {
    "model": TRMConfig,
    "optim": OptimConfig,
    "train": TrainConfig,
    "data": DataConfig,
    "eval": EvalConfig,
}


def groups_of(kind: str) -> dict[str, type[Frozen]]:
    """The groups of settings of a run with a model of this kind; see ``GROUPS``.

    Raises:
        PluginError: if there is no such kind.
    """
    return {**GROUPS, "model": config_class(kind)}


def has_task_defaults(kind: str) -> bool:
    """Whether the model settings among a task's defaults are meant for models of this kind.

    They are those of the published models, so they are for the default kind.
    """
    return kind == DEFAULT_KIND


def setting_names(kind: str = DEFAULT_KIND) -> list[str]:
    """All dotted setting names of a run with a model of this kind, such as ``model.hidden_size``.

    Raises:
        PluginError: if there is no such kind.
    """
    groups = groups_of(kind)
    return [f"{group}.{field}" for group, cls in groups.items() for field in cls.model_fields]
