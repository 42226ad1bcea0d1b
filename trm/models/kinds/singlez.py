"""A TRM with a single latent, which is the answer too (paper, section 4.3 and table 2).

Published ``models/recursive_reasoning/trm_singlez.py``, which gives the puzzle to all updates of an
h-cycle but the last; the paper's listing gives it to all.
"""

from typing import ClassVar, NamedTuple

from trm.config.model import ModelConfig, PrefixConfig
from trm.models.base import StateNoise
from trm.models.layers import Hidden
from trm.models.published import WITH_PREFIX, PublishedModel
from trm.models.recursion import CycleCore, OneNetworkModel


class SingleZConfig(PrefixConfig):
    """The settings of a TRM with a single latent."""

    kind: str = "singlez"


class SingleState(NamedTuple):
    """The published ``z_L``, which both heads read."""

    latent: Hidden


class SingleZCore(CycleCore):
    """An h-cycle updates the latent ``l_cycles`` times with the puzzle, and once without."""

    def h_cycle(
        self, state: SingleState, embedded: Hidden, l_cycles: int, noise: StateNoise | None
    ) -> SingleState:
        """See :meth:`CycleCore.h_cycle`."""
        latent = state.latent
        for _ in range(l_cycles):
            latent = self.update(latent, embedded, noise)
        return SingleState(self.update(latent, None, noise))


class SingleZModel(OneNetworkModel):
    """A TRM with a single latent; see :class:`~trm.models.base.RecursiveModel`."""

    name = "singlez"
    summary = "A TRM whose single latent is the answer."
    config_class: ClassVar[type[ModelConfig]] = SingleZConfig
    state_class = SingleState
    core_class = SingleZCore
    published = PublishedModel(
        network="recursive_reasoning.trm_singlez@TinyRecursiveReasoningModel_ACTV1",
        settings=WITH_PREFIX,
        fixed={"H_layers": 0},
    )
