"""Tiny Recursive Models: build data, train, evaluate, use and publish them.

Everything that the commands do is one call here.

>>> import trm
>>> sorted(trm.tasks())
['arc1', 'arc2', 'maze', 'sudoku']
"""

import importlib
from typing import TYPE_CHECKING, Any

from trm.errors import TrmError
from trm.plugins import InstalledTask, hookimpl

if TYPE_CHECKING:
    from trm.api import build_data, evaluate, open_data, run_config, train, vote
    from trm.engine.bulk import solve_file
    from trm.engine.listing import list_runs
    from trm.engine.solution import Solution
    from trm.engine.solve import Model, load
    from trm.engine.sweep import sweep_eval
    from trm.publish.exchange import export_checkpoint, import_checkpoint
    from trm.publish.push import push_hub
    from trm.show.plots import plot

    def tasks() -> dict[str, InstalledTask]:
        """Every installed task by name, with the plugin it comes from."""


__version__ = "0.1.0"
__all__ = [
    "Model",
    "Solution",
    "TrmError",
    "__version__",
    "build_data",
    "evaluate",
    "export_checkpoint",
    "hookimpl",
    "import_checkpoint",
    "list_runs",
    "load",
    "open_data",
    "plot",
    "push_hub",
    "run_config",
    "solve_file",
    "sweep_eval",
    "tasks",
    "train",
    "vote",
]
#: What is imported when it is first used, for ``trm --help`` has to be quick.
_LATER = {
    "trm.api": ("build_data", "evaluate", "open_data", "run_config", "train", "vote"),
    "trm.engine.bulk": ("solve_file",),
    "trm.engine.listing": ("list_runs",),
    "trm.engine.solution": ("Solution",),
    "trm.engine.solve": ("Model", "load"),
    "trm.engine.sweep": ("sweep_eval",),
    "trm.publish.exchange": ("export_checkpoint", "import_checkpoint"),
    "trm.publish.push": ("push_hub",),
    "trm.show.plots": ("plot",),
}


def __getattr__(name: str) -> Any:
    if name == "tasks":
        return importlib.import_module("trm.tasks")
    for module, names in _LATER.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module 'trm' has no attribute {name!r}")
