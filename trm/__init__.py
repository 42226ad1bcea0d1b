"""Tiny Recursive Models: build data, train, evaluate and use them.

>>> import trm
>>> trm.__version__
'0.1.0'
"""

from typing import TYPE_CHECKING, Any

from trm.errors import TrmError
from trm.plugins import hookimpl

if TYPE_CHECKING:
    from trm.engine.solve import Model, Solution, load

__version__ = "0.1.0"
__all__ = ["Model", "Solution", "TrmError", "__version__", "hookimpl", "load"]


def __getattr__(name: str) -> Any:
    """What needs torch is imported when it is first used: ``trm --help`` has to be quick."""
    if name in ("Model", "Solution", "load"):
        from trm.engine import solve

        return getattr(solve, name)
    raise AttributeError(f"module 'trm' has no attribute {name!r}")
