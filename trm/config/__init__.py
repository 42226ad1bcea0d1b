"""The settings of a run: frozen pydantic models. The field defaults are the published recipe.

:mod:`trm.settings` reads the values from task, preset, file, environment and flags. Setting names
are the published ones in lower case. ``docs/reference/settings.md`` is generated from the
descriptions.
"""

from trm.config.base import (
    FORMAT_VERSION,
    LARGEST_SEED,
    MOST_EXAMPLES,
    MOST_STEPS,
    Frozen,
    SettingsGroup,
    first_problem,
)
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
    "LARGEST_SEED",
    "MOST_EXAMPLES",
    "MOST_STEPS",
    "DataConfig",
    "EvalConfig",
    "Frozen",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "SettingsGroup",
    "TrainConfig",
    "first_problem",
    "setting_names",
]
