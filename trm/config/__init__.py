"""What a run is made of: frozen pydantic models, whose field defaults are the published recipe.

Where the values come from (task, preset, file, environment, flags) is :mod:`trm.settings`.
Names are those of the published configurations in lower case; ``docs/reference/settings.md`` is
generated from the descriptions.
"""

from trm.config.base import FORMAT_VERSION, Frozen, first_problem
from trm.config.model import ModelConfig
from trm.config.optim import OptimConfig
from trm.config.run import (
    GROUPS,
    DataConfig,
    EvalConfig,
    RunConfig,
    TrainConfig,
    setting_names,
)

__all__ = [
    "FORMAT_VERSION",
    "GROUPS",
    "DataConfig",
    "EvalConfig",
    "Frozen",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "TrainConfig",
    "first_problem",
    "setting_names",
]
