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
from trm.config.model import DEFAULT_KIND, BlockConfig, ModelConfig, TRMConfig
from trm.config.optim import OptimConfig
from trm.config.run import (
    GROUPS,
    DataConfig,
    EvalConfig,
    RunConfig,
    TrainConfig,
    groups_of,
    has_task_defaults,
    setting_names,
)

__all__ = [
    "DEFAULT_KIND",
    "FORMAT_VERSION",
    "GROUPS",
    "LARGEST_SEED",
    "MOST_EXAMPLES",
    "MOST_STEPS",
    "BlockConfig",
    "DataConfig",
    "EvalConfig",
    "Frozen",
    "ModelConfig",
    "OptimConfig",
    "RunConfig",
    "SettingsGroup",
    "TRMConfig",
    "TrainConfig",
    "first_problem",
    "groups_of",
    "has_task_defaults",
    "setting_names",
]
