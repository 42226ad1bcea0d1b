"""Tiny Recursive Models: build data, train, evaluate, use and publish them.

Each command of the command line is one function here. From nothing to a solved puzzle::

    trm.build_data("sudoku", preset="mini")   # data/sudoku, in seconds
    trm.train("sudoku", preset="mini")        # runs/sudoku/..., minutes on a CPU
    model = trm.load()                        # the newest run
    solution = model.solve("1.....2....6..4..1..3......5...2..4.")
    solution.save("board.png")                # a notebook draws `solution` by itself

``help(trm.train)`` explains a function. Every error is a one-line :class:`TrmError`.

>>> import trm
>>> sorted(trm.list_tasks())
['arc1', 'arc2', 'maze', 'sudoku']
"""

import functools
import importlib
import inspect
import os
from typing import TYPE_CHECKING, Any

from trm.errors import TrmError, TrmWarning
from trm.plugins import hookimpl
from trm.python_calls import python_call

if TYPE_CHECKING:
    from trm.checkpoints.shipped import list_models
    from trm.comparison.compare import compare
    from trm.datasets import build_data, open_data
    from trm.evaluation.evaluate import evaluate
    from trm.evaluation.sweep import sweep_eval
    from trm.evaluation.vote import vote
    from trm.evaluation.voted_solution import solve_copies
    from trm.inference.model import Model, load
    from trm.inference.solution import Solution
    from trm.inference.solve_file import solve_file
    from trm.leaderboard.add import add_to_leaderboard
    from trm.leaderboard.folder import read_leaderboard
    from trm.leaderboard.verify import verify_leaderboard
    from trm.models.registry import list_model_kinds
    from trm.publish.import_export import export_checkpoint, import_checkpoint
    from trm.publish.push import push_hub
    from trm.recipes import run_config
    from trm.runs.listing import list_runs
    from trm.show.plots import plot
    from trm.tasks.arc.score import score
    from trm.tasks.registry import list_tasks
    from trm.training.train import train
    from trm.web.play import play

# GNU OpenMP threads spin while they wait for each other. On a busy machine that makes every matrix
# product slow, so let them spin only briefly. OpenMP reads this as torch is imported.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__ = "0.1.0"
__all__ = [
    "Model",
    "Solution",
    "TrmError",
    "TrmWarning",
    "__version__",
    "add_to_leaderboard",
    "build_data",
    "compare",
    "evaluate",
    "export_checkpoint",
    "hookimpl",
    "import_checkpoint",
    "list_model_kinds",
    "list_models",
    "list_runs",
    "list_tasks",
    "load",
    "open_data",
    "play",
    "plot",
    "push_hub",
    "read_leaderboard",
    "run_config",
    "score",
    "solve_copies",
    "solve_file",
    "sweep_eval",
    "train",
    "verify_leaderboard",
    "vote",
]
#: By module, the names that are imported on first use: ``import trm`` imports no torch.
_LAZY_IMPORTS = {
    "trm.checkpoints.shipped": ("list_models",),
    "trm.comparison.compare": ("compare",),
    "trm.datasets": ("build_data", "open_data"),
    "trm.evaluation.evaluate": ("evaluate",),
    "trm.evaluation.sweep": ("sweep_eval",),
    "trm.evaluation.voted_solution": ("solve_copies",),
    "trm.evaluation.vote": ("vote",),
    "trm.inference.model": ("Model", "load"),
    "trm.inference.solution": ("Solution",),
    "trm.inference.solve_file": ("solve_file",),
    "trm.leaderboard.add": ("add_to_leaderboard",),
    "trm.leaderboard.folder": ("read_leaderboard",),
    "trm.leaderboard.verify": ("verify_leaderboard",),
    "trm.models.registry": ("list_model_kinds",),
    "trm.publish.import_export": ("export_checkpoint", "import_checkpoint"),
    "trm.publish.push": ("push_hub",),
    "trm.recipes": ("run_config",),
    "trm.runs.listing": ("list_runs",),
    "trm.show.plots": ("plot",),
    "trm.tasks.arc.score": ("score",),
    "trm.tasks.registry": ("list_tasks",),
    "trm.training.train": ("train",),
    "trm.web.play": ("play",),
}

_python_call = functools.cache(python_call)


def __getattr__(name: str) -> Any:
    for module, names in _LAZY_IMPORTS.items():
        if name in names:
            found = getattr(importlib.import_module(module), name)
            return _python_call(found) if inspect.isfunction(found) else found
    raise AttributeError(f"module 'trm' has no attribute {name!r}")


def __dir__() -> list[str]:
    """What ``trm.<TAB>`` offers: the Python API, and nothing that this module needs itself."""
    return sorted({*__all__, "__doc__", "__file__", "__name__", "__path__"})
