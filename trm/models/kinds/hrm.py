"""The Hierarchical Reasoning Model (Wang et al. 2025, arXiv 2506.21734).

Published ``models/recursive_reasoning/hrm.py``. It differs from a TRM in four ways: the answer has
a network of its own, only the last update of each network has a gradient, it always learns to
continue, and its prefix is as short as the puzzle embedding allows.
"""

from typing import ClassVar

from pydantic import Field

from trm.config.model import CycleConfig, ModelConfig
from trm.models.base import Depth, Passes
from trm.models.published import WITH_CYCLES, PublishedModel
from trm.models.recursion import BlockModel, TwoStateCore
from trm.models.trm import LatentState


class HRMConfig(CycleConfig):
    """The settings of an HRM (published ``config/arch/hrm.yaml``)."""

    title: ClassVar[str] = "HRM"

    kind: str = "hrm"
    h_layers: int = Field(4, gt=0, le=100, description="Layers of the answer's network.")
    l_layers: int = Field(4, gt=0, le=100, description="Layers of the latent's network.")
    h_cycles: int = Field(2, gt=0, le=256, description="Answer updates in a supervision step.")
    l_cycles: int = Field(2, gt=0, le=256, description="Latent updates before each answer update.")

    @property
    def layers_text(self) -> str:
        """See :attr:`ModelConfig.layers_text`."""
        return f"{self.h_layers} and {self.l_layers} layers"

    @property
    def continues(self) -> bool:
        """See :attr:`ModelConfig.continues`."""
        return True


class HierarchicalReasoningModel(BlockModel):
    """An HRM; see :class:`~trm.models.base.RecursiveModel`."""

    name = "hrm"
    summary = "Hierarchical Reasoning Model: two networks, a gradient through their last updates."
    config_class: ClassVar[type[ModelConfig]] = HRMConfig
    state_class = LatentState
    published = PublishedModel(
        network="recursive_reasoning.hrm@HierarchicalReasoningModel_ACTV1",
        settings={**WITH_CYCLES, "H_layers": "h_layers"},
        networks=("L_level", "H_level"),
        may_continue=False,
        without_effect={"no_ACT_continue": None, "puzzle_emb_len": None},
    )

    config: HRMConfig

    def build_core(self) -> TwoStateCore:
        """See :meth:`RecursiveModel.build_core`."""
        config = self.config
        return TwoStateCore(
            config,
            self.spec,
            config.l_layers,
            config.h_layers,
            depth=Depth(config.h_cycles, config.l_cycles),
            one_step=True,
        )

    @classmethod
    def passes(cls, config: HRMConfig, depth: Depth | None = None) -> Passes:
        """See :meth:`RecursiveModel.passes`."""
        h_cycles, l_cycles = depth or (config.h_cycles, config.l_cycles)
        forward = h_cycles * (l_cycles * config.l_layers + config.h_layers)
        return Passes(forward, config.l_layers + config.h_layers)
