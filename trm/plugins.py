"""Tasks and trackers come from plugins: the hooks, and how to get one by name.

A plugin is a module or object that implements :class:`HookSpecs` and is installed under the
entry-point group ``trm.plugins``. What is built in comes through the same hooks.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from inspect import isabstract
from typing import TYPE_CHECKING, Protocol, TypeVar

import pluggy

from trm.errors import PluginError, did_you_mean

if TYPE_CHECKING:
    from trm.tasks.base import Task
    from trm.trackers.base import Tracker

ENTRY_POINT_GROUP = "trm.plugins"
BUILT_IN = ("trm.tasks.arc", "trm.tasks.maze", "trm.tasks.sudoku", "trm.trackers")

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
#: Flags of ``trm build-data`` for every task.
_RESERVED_OPTIONS = {"preset", "out", "out_folder", "overwrite", "layout", "help"}

hookspec = pluggy.HookspecMarker("trm")
hookimpl = pluggy.HookimplMarker("trm")


class HookSpecs:
    """The hooks that a plugin may implement, each marked with ``trm.hookimpl``."""

    @hookspec
    def trm_register_tasks(self, register: "Callable[[Task], None]") -> None:
        """Call ``register(task)`` for each :class:`~trm.tasks.base.Task` this plugin provides."""

    @hookspec
    def trm_register_trackers(self, register: "Callable[[type[Tracker]], None]") -> None:
        """Call ``register(cls)`` for each :class:`~trm.trackers.base.Tracker` class of it."""


class PluginWarning(UserWarning):
    """An installed plugin is broken and was skipped."""


@dataclass(frozen=True)
class InstalledTask:
    """A task, and where it came from, such as ``built in`` or ``trm-parity 0.1.0``."""

    task: "Task"
    origin: str


@dataclass(frozen=True)
class InstalledTracker:
    """A tracker, and where it came from; see :class:`InstalledTask`."""

    tracker: "type[Tracker]"
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


def get_tracker(name: str) -> "type[Tracker]":
    """The installed tracker of this name.

    Raises:
        PluginError: if there is none; the message has the nearest name and the list.
    """
    trackers = installed_trackers()
    if name not in trackers:
        raise PluginError(f"unknown tracker {name!r}. {did_you_mean(name, trackers)}")
    return trackers[name].tracker


def installed_tasks() -> dict[str, InstalledTask]:
    """Every installed task by name; a broken plugin is warned of and skipped.

    Raises:
        PluginError: if two plugins provide a task of the same name.
    """
    found = ((task, plugin.origin) for plugin in load_plugins() for task in plugin.tasks)
    return {name: InstalledTask(*one) for name, one in _by_name("task", found).items()}


def installed_trackers() -> dict[str, InstalledTracker]:
    """Every installed tracker by name; a broken plugin is warned of and skipped.

    Raises:
        PluginError: if two plugins provide a tracker of the same name.
    """
    found = ((tracker, plugin.origin) for plugin in load_plugins() for tracker in plugin.trackers)
    return {name: InstalledTracker(*one) for name, one in _by_name("tracker", found).items()}


def reason_of(error: BaseException) -> str:
    """What an error of somebody else's code says, on one line.

    >>> reason_of(ImportError("no module named\\n'frob'"))
    "ImportError: no module named 'frob'"
    """
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


class _Named(Protocol):
    @property
    def name(self) -> str: ...


_T = TypeVar("_T", bound=_Named)


def _by_name(kind: str, found: Iterable[tuple[_T, str]]) -> dict[str, tuple[_T, str]]:
    by_name: dict[str, tuple[_T, str]] = {}
    for thing, origin in found:
        if thing.name in by_name:
            raise PluginError(
                f"two plugins provide a {kind} {thing.name!r}: {by_name[thing.name][1]} and "
                f"{origin}. Uninstall one of them."
            )
        by_name[thing.name] = (thing, origin)
    return by_name


@dataclass(frozen=True)
class Plugin:
    """A plugin that works: where it came from, and what it provides."""

    origin: str
    tasks: "tuple[Task, ...]"
    trackers: "tuple[type[Tracker], ...]"


@cache
def load_plugins() -> tuple[Plugin, ...]:
    """Every plugin, the built-in ones first; a broken one is warned of, once, and skipped."""
    plugins = []
    for origin, load in _plugins():
        try:
            plugins.append(_provided(load(), origin))
        except Exception as error:  # whatever a third party's code may raise
            reason = reason_of(error)
            warnings.warn(f"plugin {origin} skipped: {reason}", PluginWarning, stacklevel=2)
    return tuple(plugins)


def _plugins() -> Iterator[tuple[str, Callable[[], object]]]:
    """Origin and loader of each plugin, the built-in ones first."""
    for module in BUILT_IN:
        yield "built in", lambda module=module: importlib.import_module(module)  # type: ignore[misc]
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.name, entry.load


def _provided(plugin: object, origin: str) -> Plugin:
    """What one plugin provides; with a manager of its own, so that it fails alone."""
    manager = pluggy.PluginManager("trm")
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin, name=origin)
    manager.check_pending()  # a hook that does not exist is a mistake, not a wish
    hook = manager.hook
    if not hook.trm_register_tasks.get_hookimpls() + hook.trm_register_trackers.get_hookimpls():
        raise TypeError(
            "neither trm_register_tasks nor trm_register_trackers is marked with trm.hookimpl"
        )
    tasks: list[Task] = []
    trackers: list[type[Tracker]] = []
    hook.trm_register_tasks(register=tasks.append)
    hook.trm_register_trackers(register=trackers.append)
    for task in tasks:
        _check_task(task)
    for tracker in trackers:
        _check_tracker(tracker)
    return Plugin(origin, tuple(tasks), tuple(trackers))


def _check_task(task: object) -> None:
    """Refuse what would break a command later, for every task.

    Raises:
        TypeError: saying what is wrong with the task.
    """
    from trm.tasks.base import DataOptions, Preset, Task

    kind = type(task).__name__
    if not isinstance(task, Task):
        raise TypeError(f"registered a {kind}, not a Task")
    _check_words("task", kind, task)
    if not issubclass(task.data_options, DataOptions):
        raise TypeError(f"data_options of {task.name} is no DataOptions")
    reserved = _RESERVED_OPTIONS & task.data_options.model_fields.keys()
    if reserved:
        raise TypeError(f"{task.name} has a data option {min(reserved)!r}, a flag of every task")
    if not all(isinstance(preset, Preset) for preset in task.presets.values()):
        raise TypeError(f"{task.name} has a preset that is no Preset")


def _check_tracker(tracker: object) -> None:
    """Refuse what could not be opened later.

    Raises:
        TypeError: saying what is wrong with the tracker.
    """
    from trm.trackers.base import Tracker

    if not isinstance(tracker, type):
        raise TypeError(f"registered a {type(tracker).__name__}, not a subclass of Tracker")
    if not issubclass(tracker, Tracker):
        raise TypeError(f"registered the class {tracker.__name__}, no subclass of Tracker")
    if isabstract(tracker):
        missing = ", ".join(sorted(tracker.__abstractmethods__))
        raise TypeError(f"registered the class {tracker.__name__} without {missing}")
    _check_words("tracker", tracker.__name__, tracker)


def _check_words(kind: str, cls: str, thing: _Named) -> None:
    for attribute in ("name", "summary"):
        if not isinstance(getattr(thing, attribute, None), str):
            raise TypeError(f"registered a {cls} without a {attribute}")
    if not _NAME.fullmatch(thing.name):
        raise TypeError(f"{thing.name!r} is no name for a {kind}: use a-z, 0-9 and -")
