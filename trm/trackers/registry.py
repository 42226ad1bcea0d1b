"""The installed experiment trackers, by name."""

from dataclasses import dataclass
from inspect import isabstract

from trm.errors import PluginError, did_you_mean
from trm.plugins import check_name_and_summary, plugins_of
from trm.trackers.base import Tracker


@dataclass(frozen=True)
class InstalledTracker:
    """A tracker and its origin; see :class:`trm.tasks.registry.InstalledTask`."""

    tracker: type[Tracker]
    origin: str


def get_tracker(name: str) -> type[Tracker]:
    """The installed tracker with this name.

    Raises:
        PluginError: if the name is unknown. The message suggests the nearest name and lists all.
    """
    trackers = list_trackers()
    if name not in trackers:
        raise PluginError(f"unknown tracker {name!r}. {did_you_mean(name, trackers)}")
    return trackers[name].tracker


def list_trackers() -> dict[str, InstalledTracker]:
    """Every installed tracker by name. A broken plugin is skipped with a warning.

    Raises:
        PluginError: if two plugins provide a tracker of the same name.
    """
    installed = plugins_of("tracker", "trm_register_trackers", check_tracker)
    return {name: InstalledTracker(*one) for name, one in installed.items()}


def check_tracker(tracker: object) -> None:
    """Check the class that a plugin registers.

    Raises:
        TypeError: if it is not a complete subclass of Tracker.
    """
    if not isinstance(tracker, type):
        raise TypeError(f"registered a {type(tracker).__name__}, not a subclass of Tracker")
    if not issubclass(tracker, Tracker):
        raise TypeError(f"registered the class {tracker.__name__}, not a subclass of Tracker")
    if isabstract(tracker):
        missing = ", ".join(sorted(tracker.__abstractmethods__))
        raise TypeError(f"registered the class {tracker.__name__} without {missing}")
    check_name_and_summary("tracker", tracker.__name__, tracker)
