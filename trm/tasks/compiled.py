"""Functions that numba compiles. The machine code is kept on disk, if a folder can be written."""

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache

F = TypeVar("F", bound=Callable[..., Any])


class _Cache(FunctionCache):
    """A cache that does without a file on a full disk."""

    def save_overload(self, sig: Any, data: Any) -> None:
        with contextlib.suppress(OSError):
            super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def njit(function: F) -> F:
    """Compile a function, as ``numba.njit(cache=True)`` does.

    Without a folder for the cache, such as in a container of another user, each process compiles
    anew. ``NUMBA_CACHE_DIR`` names a folder.
    """
    dispatcher: Any = numba.njit(function)
    with contextlib.suppress(RuntimeError):  # neither the package nor the home can be written
        dispatcher._cache = _Cache(function)  # type: ignore[no-untyped-call]
    compiled: F = dispatcher
    return compiled
