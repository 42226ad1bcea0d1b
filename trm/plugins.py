"""Tasks come from plugins: the hook, and how to get a task by name.

A plugin is a module or object that implements :class:`HookSpecs` and is installed under the
entry-point group ``trm.plugins``. The built-in tasks come through the same hook.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING

import pluggy

from trm.errors import PluginError, did_you_mean

if TYPE_CHECKING:
    from trm.tasks.base import Task

ENTRY_POINT_GROUP = "trm.plugins"
BUILT_IN = ("trm.tasks.arc", "trm.tasks.maze", "trm.tasks.sudoku")

_TASK_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
#: Flags of ``trm build-data`` for every task.
_RESERVED_OPTIONS = {"preset", "out", "out_folder", "overwrite", "layout", "help"}

hookspec = pluggy.HookspecMarker("trm")
hookimpl = pluggy.HookimplMarker("trm")


class HookSpecs:
    """The hooks that a plugin may implement, each marked with ``trm.hookimpl``."""

    @hookspec
    def trm_register_tasks(self, register: "Callable[[Task], None]") -> None:
        """Call ``register(task)`` for each :class:`~trm.tasks.base.Task` this plugin provides."""


class PluginWarning(UserWarning):
    """An installed plugin is broken and was skipped."""


@dataclass(frozen=True)
class InstalledTask:
    """A task, and where it came from, such as ``built in`` or ``trm-parity 0.1.0``."""

    task: "Task"
    origin: str


def get_task(name: str) -> "Task":
    """The installed task of this name.

    Raises:
        PluginError: if there is none; the message has the nearest name and the list.
    """
    tasks = installed_tasks()
    if name not in tasks:
        raise PluginError(f"unknown task {name!r}. {did_you_mean(name, tasks)}")
    return tasks[name].task


@cache
def installed_tasks() -> dict[str, InstalledTask]:
    """Every installed task by name; a broken plugin is warned of and skipped.

    Raises:
        PluginError: if two plugins provide a task of the same name.
    """
    found: dict[str, InstalledTask] = {}
    for origin, load in _plugins():
        try:
            tasks = _tasks_of(load(), origin)
        except Exception as error:  # whatever a third party's code may raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            warnings.warn(f"plugin {origin} skipped: {reason}", PluginWarning, stacklevel=2)
            continue
        for task in tasks:
            if task.name in found:
                raise PluginError(
                    f"two plugins provide a task {task.name!r}: {found[task.name].origin} and "
                    f"{origin}. Uninstall one of them."
                )
            found[task.name] = InstalledTask(task, origin)
    return found


def _plugins() -> Iterator[tuple[str, Callable[[], object]]]:
    """Origin and loader of each plugin, the built-in ones first."""
    for module in BUILT_IN:
        yield "built in", lambda module=module: importlib.import_module(module)  # type: ignore[misc]
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.name, entry.load


def _tasks_of(plugin: object, origin: str) -> "list[Task]":
    """The tasks of one plugin; with a manager of its own, so that it fails alone."""
    manager = pluggy.PluginManager("trm")
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin, name=origin)
    manager.check_pending()  # a hook that does not exist is a mistake, not a wish
    if not manager.hook.trm_register_tasks.get_hookimpls():
        raise TypeError("no trm_register_tasks marked with trm.hookimpl")
    tasks: list[Task] = []
    manager.hook.trm_register_tasks(register=tasks.append)
    for task in tasks:
        _check_task(task)
    return tasks


def _check_task(task: object) -> None:
    """Refuse what would break a command later, for every task.

    Raises:
        TypeError: saying what is wrong with the task.
    """
    from trm.tasks.base import DataOptions, Preset, Task

    kind = type(task).__name__
    if not isinstance(task, Task):
        raise TypeError(f"registered a {kind}, not a Task")
    for attribute in ("name", "summary"):
        if not isinstance(getattr(task, attribute, None), str):
            raise TypeError(f"registered a {kind} without a {attribute}")
    if not _TASK_NAME.fullmatch(task.name):
        raise TypeError(f"{task.name!r} is no name for a task: use a-z, 0-9 and -")
    if not issubclass(task.data_options, DataOptions):
        raise TypeError(f"data_options of {task.name} is no DataOptions")
    reserved = _RESERVED_OPTIONS & task.data_options.model_fields.keys()
    if reserved:
        raise TypeError(f"{task.name} has a data option {min(reserved)!r}, a flag of every task")
    if not all(isinstance(preset, Preset) for preset in task.presets.values()):
        raise TypeError(f"{task.name} has a preset that is no Preset")
