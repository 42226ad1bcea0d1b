"""The built-in kinds of models. Each module here is one: its settings and its recursion.

To add one, add its module: every subclass of :class:`~trm.models.base.RecursiveModel` in these
modules is registered.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from inspect import isabstract

from trm.models.base import RecursiveModel
from trm.models.trm import TinyRecursiveModel
from trm.plugins import hookimpl


@hookimpl
def trm_register_models(register: Callable[[type[RecursiveModel]], None]) -> None:
    """Register the TRM and the models of this folder."""
    register(TinyRecursiveModel)
    for model in _models():
        register(model)


def _models() -> Iterator[type[RecursiveModel]]:
    for module in pkgutil.iter_modules(__path__):
        own = f"{__name__}.{module.name}"
        for value in vars(importlib.import_module(own)).values():
            is_own = isinstance(value, type) and value.__module__ == own
            if is_own and issubclass(value, RecursiveModel) and not isabstract(value):
                yield value
