"""A TRM with six latents, updated in turn (paper, section 4.3 and table 2: multi-scale z).

Published ``models/recursive_reasoning/trm_hier6.py``.
"""

from typing import ClassVar, NamedTuple

from pydantic import Field

from trm.config.model import ModelConfig, PrefixConfig
from trm.models.base import StateNoise
from trm.models.layers import Hidden
from trm.models.published import WITH_PREFIX, PublishedModel
from trm.models.recursion import CycleCore, OneNetworkModel


class SixLatentsConfig(PrefixConfig):
    """The settings of a TRM with six latents."""

    kind: str = "hier6"
    l_cycles: int = Field(
        6,
        gt=0,
        le=6,
        description="Latents that are updated before each answer update, of six. The others keep "
        "their initial values.",
    )


class SixLatentsState(NamedTuple):
    """The published ``z_H`` and ``z_L1`` to ``z_L6``."""

    answer: Hidden
    latent_1: Hidden
    latent_2: Hidden
    latent_3: Hidden
    latent_4: Hidden
    latent_5: Hidden
    latent_6: Hidden


class SixLatentsCore(CycleCore):
    """An h-cycle replaces the latents in turn by what the sum of all gives, then the answer."""

    def h_cycle(
        self, state: SixLatentsState, embedded: Hidden, l_cycles: int, noise: StateNoise | None
    ) -> SixLatentsState:
        """See :meth:`CycleCore.h_cycle`."""
        answer, *latents = state
        injected = answer + embedded
        for place in range(l_cycles):
            latents[place] = self.update(sum(latents[1:], latents[0]), injected, noise)
        answer = self.update(answer, sum(latents[1:], latents[0]), noise)
        return SixLatentsState(answer, *latents)


class SixLatentsModel(OneNetworkModel):
    """A TRM with six latents; see :class:`~trm.models.base.RecursiveModel`."""

    name = "hier6"
    summary = "A TRM with six latents, updated in turn."
    config_class: ClassVar[type[ModelConfig]] = SixLatentsConfig
    state_class = SixLatentsState
    core_class = SixLatentsCore
    published = PublishedModel(
        network="recursive_reasoning.trm_hier6@TinyRecursiveReasoningModel_ACTV1",
        settings=WITH_PREFIX,
        fixed={"H_layers": 0},
    )
