"""A transformer in the same supervision loop: the baseline without cycles.

Published ``models/recursive_reasoning/transformers_baseline.py``. A supervision step is one pass.
With ``halt_max_steps = 1`` it predicts the answer directly.
"""

from typing import ClassVar, NamedTuple, Self

from jaxtyping import Float
from pydantic import Field, model_validator
from torch import Tensor

from trm.config.model import BlockConfig, ModelConfig
from trm.models.base import Depth, Passes, StateNoise, StepOutput
from trm.models.layers import Hidden
from trm.models.published import COMMON, PublishedModel
from trm.models.recursion import BlockCore, BlockModel


class TransformerConfig(BlockConfig):
    """The settings of the baseline (published ``config/arch/transformers_baseline.yaml``)."""

    kind: str = "transformer"
    num_heads: int = Field(12, gt=0, le=65_536, description="Attention heads.")
    h_layers: int = Field(8, gt=0, le=100, description="Layers of the network.")
    act_enabled: bool = Field(True, description="Rows may halt before their last step in training.")
    act_continue: bool = Field(
        False,
        description="Train the logits of continuing (ACT, Q-learning), which rows compare with "
        "those of halting. Without it weight decay alone changes their bias, as in the published "
        "trainer.",
    )
    act_inference: bool = Field(
        False,
        description="Rows halt before their last step in evaluations, too, when halting is worth "
        "more than continuing. Without act_continue, continuing is worth next to nothing, so they "
        "halt above a probability of about 0.007.",
    )

    rounds_heads: ClassVar[bool] = True

    @model_validator(mode="after")
    def _continues_if_it_halts(self) -> Self:
        if self.act_continue and not self.act_enabled:
            raise ValueError(
                "act_continue needs act_enabled = true: in training no row chooses between halting "
                "and continuing"
            )
        return self

    @property
    def continues(self) -> bool:
        """See :attr:`ModelConfig.continues`."""
        return self.act_continue

    @property
    def halts_in_training(self) -> bool:
        """See :attr:`ModelConfig.halts_in_training`."""
        return self.act_enabled

    @property
    def halts_in_evaluation(self) -> bool:
        """See :attr:`ModelConfig.halts_in_evaluation`."""
        return self.act_inference

    @property
    def layers_text(self) -> str:
        """See :attr:`ModelConfig.layers_text`."""
        return f"{self.h_layers} layers"


class TransformerState(NamedTuple):
    """The published ``z_H``."""

    answer: Hidden


class TransformerCore(BlockCore):
    """One pass through the network."""

    def forward(
        self,
        state: TransformerState,
        embedded: Hidden,
        depth: None = None,
        noise: StateNoise | None = None,
    ) -> TransformerState:
        """See :meth:`RecursiveModel.recurse`."""
        answer = self.update(state.answer, embedded, noise, self.apply_answer_network)
        return TransformerState(answer)


class TransformerModel(BlockModel):
    """The transformer baseline; see :class:`~trm.models.base.RecursiveModel`."""

    name = "transformer"
    summary = "A transformer in the same loop, without cycles: the published baseline."
    config_class: ClassVar[type[ModelConfig]] = TransformerConfig
    state_class = TransformerState
    published = PublishedModel(
        network="recursive_reasoning.transformers_baseline@Model_ACTV2",
        settings={
            **COMMON,
            "H_layers": "h_layers",
            "act_enabled": "act_enabled",
            "act_inference": "act_inference",
        },
        networks=("H_level",),
        implied={"act_continue": False},
        may_continue=False,
        without_effect={
            "H_cycles": 1,
            **dict.fromkeys(("no_ACT_continue", "puzzle_emb_len", "mlp_t")),
            **dict.fromkeys(("L_cycles", "L_layers")),
        },
    )

    config: TransformerConfig

    def build_core(self) -> TransformerCore:
        """See :meth:`RecursiveModel.build_core`."""
        return TransformerCore(self.config, self.spec, 0, self.config.h_layers)

    @classmethod
    def passes(cls, config: TransformerConfig, depth: Depth | None = None) -> Passes:
        """See :meth:`RecursiveModel.passes`."""
        return Passes(config.h_layers, config.h_layers)

    def halt_decision(self, output: StepOutput) -> Float[Tensor, " batch"]:
        """See :meth:`RecursiveModel.halt_decision`."""
        return output.halt_logits - output.continue_logits
