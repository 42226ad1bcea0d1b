"""The built-in tasks, one package each. The module can be called: ``trm.tasks()``."""

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trm.plugins import InstalledTask


class _Tasks(ModuleType):
    """This package, which has the name of the call that lists what is installed."""

    def __call__(self) -> "dict[str, InstalledTask]":
        """Every installed task by name, with the plugin it comes from: ``trm tasks``.

        Raises:
            PluginError: if two plugins provide a task of the same name.
        """
        from trm.plugins import installed_tasks

        return installed_tasks()


sys.modules[__name__].__class__ = _Tasks
