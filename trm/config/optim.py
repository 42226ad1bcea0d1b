"""The settings of what moves the weights."""

from typing import Literal, Self

from pydantic import Field, model_validator

from trm.config.base import Frozen


class OptimConfig(Frozen):
    """The network's optimizer, sign-SGD for the puzzle embedding, and the weight average."""

    optimizer: Literal["adam_atan2", "muon"] = Field(
        "adam_atan2",
        description="muon: that for the core's matrices, AdamW for the rest of the network.",
    )
    lr: float = Field(
        1e-4,
        ge=0,
        description="Learning rate of the network; with muon of its embeddings and heads.",
    )
    lr_warmup_steps: int = Field(2000, ge=0, description="Steps of linear warm-up.")
    lr_schedule: Literal["constant", "cosine", "wsd"] = Field(
        "cosine",
        description="After the warm-up; wsd: constant, then linear over the last lr_decay_share.",
    )
    lr_min_ratio: float = Field(
        1.0, ge=0, le=1, description="Where cosine and wsd end, as a share of lr; 1: no decay."
    )
    lr_decay_share: float = Field(0.2, gt=0, le=1, description="Share of the run that wsd decays.")
    weight_decay: float = Field(
        0.1, ge=0, description="Decoupled weight decay of what moves by lr."
    )
    muon_lr: float = Field(
        0.02, ge=0, description="Learning rate of what Muon moves; same schedule as lr."
    )
    muon_weight_decay: float = Field(0.005, ge=0, description="And its weight decay.")
    muon_momentum: float = Field(0.95, gt=0, lt=1, description="And its momentum, Nesterov's.")
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

    @model_validator(mode="after")
    def _is_used(self) -> Self:
        for name, value in self:
            setting, needed = _ONLY_WITH.get(name, ("", ""))
            if setting and getattr(self, setting) != needed and value != _default(name):
                raise ValueError(f"{name} does nothing without {setting} {needed}")
        return self


#: What other settings have to be for these to do something.
_ONLY_WITH = {
    "muon_lr": ("optimizer", "muon"),
    "muon_weight_decay": ("optimizer", "muon"),
    "muon_momentum": ("optimizer", "muon"),
    "lr_decay_share": ("lr_schedule", "wsd"),
}


def _default(name: str) -> object:
    return OptimConfig.model_fields[name].default
