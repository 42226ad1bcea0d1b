"""The settings of the optimizers."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trm.config.base import MOST_STEPS, SettingsGroup


class OptimConfig(SettingsGroup):
    """The optimizers of the network and the puzzle embedding, and the EMA of the weights."""

    optimizer: Literal["adam_atan2", "muon"] = Field(
        "adam_atan2",
        description="muon: Muon for the matrices of the layers, AdamW for the rest of the network.",
    )
    lr: float = Field(
        1e-4,
        ge=0,
        description="Learning rate of the network; with muon, of what AdamW trains.",
    )
    lr_warmup_steps: int = Field(2000, ge=0, le=MOST_STEPS, description="Steps of linear warm-up.")
    lr_schedule: Literal["constant", "cosine", "wsd"] = Field(
        "cosine",
        description="After the warm-up. wsd: constant, then linear decay for lr_decay_share.",
    )
    lr_min_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="Final learning rate of cosine and wsd, as a share of lr; 1: no decay.",
    )
    lr_decay_share: float = Field(
        0.2, gt=0, le=1, description="Share of the run in which wsd decays."
    )
    weight_decay: float = Field(
        0.1, ge=0, description="Decoupled weight decay of what is trained with lr."
    )
    muon_lr: float = Field(
        0.02, ge=0, description="Learning rate of Muon, with the schedule of lr."
    )
    muon_weight_decay: float = Field(0.005, ge=0, description="Weight decay of Muon.")
    muon_momentum: float = Field(0.95, gt=0, lt=1, description="Nesterov momentum of Muon.")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay rate of the mean gradient.")
    beta2: float = Field(
        0.95, ge=0, lt=1, description="Adam's decay rate of the mean squared gradient."
    )
    puzzle_emb_lr: float = Field(1e-2, ge=0, description="Learning rate of the puzzle embedding.")
    puzzle_emb_weight_decay: float = Field(
        0.1, ge=0, description="Weight decay of the puzzle embedding."
    )
    grad_clip: float | None = Field(
        None,
        gt=0,
        description="Maximum norm of the network's gradient; larger gradients are scaled down.",
    )
    ema: bool = Field(
        True, description="Evaluate and publish an exponential moving average of the weights."
    )
    ema_rate: float = Field(
        0.999, ge=0, lt=1, description="Decay rate of the average: the share that a step keeps."
    )

    @model_validator(mode="after")
    def _wsd_decays(self) -> Self:
        if self.lr_schedule == "wsd" and self.lr_min_ratio == 1:
            raise ValueError(
                "lr_schedule wsd does not decay with lr_min_ratio 1: set it to 0, for example"
            )
        return self

    @model_validator(mode="after")
    def _unused_settings_are_defaults(self) -> Self:
        for name, value in self:
            setting, needed = _ONLY_WITH.get(name, ("", ""))
            default = OptimConfig.model_fields[name].default
            if setting and getattr(self, setting) != needed and value != default:
                raise ValueError(f"{name} does nothing without {setting} {needed}")
        return self


#: Settings that need another setting to have this value.
_ONLY_WITH = {
    "muon_lr": ("optimizer", "muon"),
    "muon_weight_decay": ("optimizer", "muon"),
    "muon_momentum": ("optimizer", "muon"),
    "lr_decay_share": ("lr_schedule", "wsd"),
}
