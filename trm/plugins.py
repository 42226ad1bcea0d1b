"""The hooks that a plugin may implement, and the plugins that are installed.

A plugin is a module or object that implements :class:`HookSpecs` and is installed in the
entry-point group ``trm.plugins``. Built-in tasks and trackers use the same hooks. Each kind of
plugin has a registry next to its base class: :mod:`trm.tasks.registry`,
:mod:`trm.trackers.registry`.
"""

import importlib
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from inspect import isabstract
from typing import TYPE_CHECKING, Any

import pluggy

from trm.errors import PluginError, TrmWarning, did_you_mean

if TYPE_CHECKING:
    from trm.models.base import RecursiveModel
    from trm.tasks.base import Task
    from trm.trackers.base import Tracker

ENTRY_POINT_GROUP = "trm.plugins"
#: The modules of the built-in plugins by hook; those of models import torch, so only they need it.
BUILT_IN = {
    "trm_register_tasks": ("trm.tasks.arc", "trm.tasks.maze", "trm.tasks.sudoku"),
    "trm_register_trackers": ("trm.trackers",),
    "trm_register_models": ("trm.models.kinds",),
}

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")

hookspec = pluggy.HookspecMarker("trm")
hookimpl = pluggy.HookimplMarker("trm")


class HookSpecs:
    """The hooks that a plugin may implement, each marked with ``trm.hookimpl``."""

    @hookspec
    def trm_register_tasks(self, register: "Callable[[Task], None]") -> None:
        """Call ``register(task)`` for each :class:`~trm.tasks.base.Task` of the plugin."""

    @hookspec
    def trm_register_trackers(self, register: "Callable[[type[Tracker]], None]") -> None:
        """Call ``register(cls)`` for each :class:`~trm.trackers.base.Tracker` of the plugin."""

    @hookspec
    def trm_register_models(self, register: "Callable[[type[RecursiveModel]], None]") -> None:
        """Call ``register(cls)`` for each kind of :class:`~trm.models.base.RecursiveModel`."""


class PluginWarning(TrmWarning):
    """An installed plugin is broken and was skipped."""


@dataclass(frozen=True)
class Plugin:
    """A plugin: its origin, and the objects that it registered with a hook."""

    origin: str
    registered: tuple[Any, ...]


@cache
def load_plugins(hook: str) -> tuple[Plugin, ...]:
    """The built-in plugins of a hook, then all installed ones.

    A broken plugin is skipped with one warning.
    """
    return (*_loaded(_opened(_built_in(hook)), hook), *_loaded(_installed(), hook))


@cache
def _installed() -> tuple[tuple[str, pluggy.PluginManager], ...]:
    return tuple(_opened(_entry_points()))


def _opened(
    plugins: Iterable[tuple[str, Callable[[], object]]],
) -> Iterator[tuple[str, pluggy.PluginManager]]:
    for origin, load in plugins:
        try:
            yield origin, _manager(load(), origin)
        except Exception as error:  # third-party code may raise anything
            warn_skipped(origin, error)


def _loaded(plugins: Iterable[tuple[str, pluggy.PluginManager]], hook: str) -> Iterator[Plugin]:
    for origin, manager in plugins:
        registered: list[Any] = []
        try:
            getattr(manager.hook, hook)(register=registered.append)
            yield Plugin(origin, tuple(registered))
        except Exception as error:  # third-party code may raise anything
            warn_skipped(origin, error)


@cache
def plugins_of(kind: str, hook: str, check: Callable[[Any], None]) -> dict[str, tuple[Any, str]]:
    """The objects that plugins register with a hook, and their origins, by name.

    Args:
        kind: the word for such an object in messages, such as ``task``.
        hook: the name of the hook.
        check: raises TypeError for an object that would break a command later. The plugin of this
            object is skipped with one warning.

    Raises:
        PluginError: if two plugins provide the same name.
    """
    found: dict[str, tuple[Any, str]] = {}
    for plugin in load_plugins(hook):
        try:
            for registered in plugin.registered:
                check(registered)
        except Exception as error:  # third-party code may raise anything
            warn_skipped(plugin.origin, error)
            continue
        for registered in plugin.registered:
            name = registered.name
            if name in found:
                raise PluginError(
                    f"two plugins provide a {kind} {name!r}: {found[name][1]} and "
                    f"{plugin.origin}. Uninstall one of them."
                )
            found[name] = (registered, plugin.origin)
    return found


def models_of_plugins() -> dict[str, tuple[Any, str]]:
    """The class of each kind of model and its origin, by name.

    They are looked up here, and not only in :mod:`trm.models.registry`, because the settings of a
    run need the class of a model's settings.

    Raises:
        PluginError: if two plugins provide a kind of the same name.
    """
    return plugins_of("kind of model", "trm_register_models", check_model)


def find_model(kind: str) -> Any:
    """The class of a kind of model.

    Raises:
        PluginError: if there is no such kind. The message suggests the nearest name.
    """
    found = models_of_plugins()
    if kind not in found:
        raise PluginError(f"unknown kind of model {kind!r:.80}. {did_you_mean(kind, found)}")
    return found[kind][0]


def check_model(registered: Any) -> None:
    """Check the class that a plugin registers as a kind of model.

    Raises:
        TypeError: if it is no complete class of a model.
    """
    if not isinstance(registered, type) or not hasattr(registered, "recurse"):
        raise TypeError(f"registered {registered!r:.80}, not a subclass of RecursiveModel")
    cls: Any = registered
    if isabstract(cls):
        missing = ", ".join(sorted(cls.__abstractmethods__))
        raise TypeError(f"registered the class {cls.__name__} without {missing}")
    check_name_and_summary("kind of model", cls.__name__, cls)
    fields = getattr(getattr(cls, "config_class", None), "model_fields", {})
    if "kind" not in fields or fields["kind"].default != cls.name:
        raise TypeError(
            f"{cls.__name__} has no config_class, a ModelConfig with the kind {cls.name!r}"
        )
    if not getattr(getattr(cls, "state_class", None), "_fields", ()):
        raise TypeError(f"{cls.__name__} has no state_class, a NamedTuple of tensors")


def check_name_and_summary(kind: str, cls: str, registered: Any) -> None:
    """Check the attributes that every kind of plugin has.

    Args:
        kind: the word for such an object in messages.
        cls: the name of its class.
        registered: the object.

    Raises:
        TypeError: if ``name`` or ``summary`` is missing, or the name has other characters than
            ``a-z``, ``0-9`` and ``-``.
    """
    for attribute in ("name", "summary"):
        if not isinstance(getattr(registered, attribute, None), str):
            raise TypeError(f"registered a {cls} without a {attribute}")
    if not _NAME.fullmatch(registered.name):
        raise TypeError(f"{registered.name!r} is not a valid {kind} name: use a-z, 0-9 and -")


def reason_of(error: BaseException) -> str:
    """The type and message of an error, on one line.

    >>> reason_of(ImportError("no module named\\n'frob'"))
    "ImportError: no module named 'frob'"
    """
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")


def warn_skipped(origin: str, error: Exception) -> None:
    """Warn that a plugin is skipped, and why."""
    message = f"plugin {origin} skipped: {reason_of(error)}"
    warnings.warn(message, PluginWarning, stacklevel=3)


def _built_in(hook: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """The origin and the loader of each built-in plugin of a hook."""
    for module in BUILT_IN[hook]:
        yield "built in", lambda module=module: importlib.import_module(module)  # type: ignore[misc]


def _entry_points() -> Iterator[tuple[str, Callable[[], object]]]:
    """The origin and the loader of each installed plugin."""
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        yield f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.name, entry.load


def _manager(plugin: object, origin: str) -> pluggy.PluginManager:
    """The hooks of a plugin. Each has its own manager, so a broken one does not affect others."""
    manager = pluggy.PluginManager("trm")
    manager.add_hookspecs(HookSpecs)
    manager.register(plugin, name=origin)
    manager.check_pending()  # refuses hooks that do not exist
    hooks = [name for name in vars(HookSpecs) if name.startswith("trm_register_")]
    if not any(getattr(manager.hook, name).get_hookimpls() for name in hooks):
        raise TypeError(f"neither {' nor '.join(hooks)} is marked with trm.hookimpl")
    return manager
