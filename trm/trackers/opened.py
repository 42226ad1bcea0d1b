"""The trackers of one run: found by name, checked, opened, and dropped when they fail."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.errors import ConfigError
from trm.plugins import reason_of
from trm.trackers.base import Tracker
from trm.trackers.registry import get_tracker


def check(names: Iterable[str]) -> None:
    """Find out before a run starts whether it can be logged to these trackers.

    Raises:
        PluginError: if there is no tracker of a name.
        ConfigError: if the library that a tracker needs is not installed.
    """
    for name in names:
        tracker = get_tracker(name)
        if tracker.library and not _is_installed(tracker.library):
            extra = tracker.extra or tracker.library
            raise ConfigError(
                f"tracker {name} needs {tracker.library}, which is not installed. "
                f'Install it: pip install "{extra}"'
            )


def _is_installed(library: str) -> bool:
    spec = importlib.util.find_spec(library)
    # Without an origin it is just a folder of that name: W&B itself makes some called wandb.
    return spec is not None and spec.origin is not None


class Trackers:
    """Hands a run's records to its trackers.

    A tracker that fails is dropped, with one line to ``warn``; the others go on, and so does the
    run. Use :func:`open_trackers` to get one.

    Args:
        warn: is told of each tracker that fails.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._open: list[Tracker] = []

    @property
    def names(self) -> tuple[str, ...]:
        """Those that are open."""
        return tuple(tracker.name for tracker in self._open)

    def start(self, name: str, run: Path, config: RunConfig, step: int) -> None:
        """Open another one."""
        with self._dropping(name):
            tracker = get_tracker(name)()
            tracker.start(run, config, step)
            self._open.append(tracker)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Log a record of ``metrics.jsonl``."""
        for tracker in tuple(self._open):
            with self._dropping(tracker.name):
                tracker.log(record)

    def close(self, finished: bool) -> None:
        """Close them all, the second time none."""
        closing, self._open = self._open, []
        with contextlib.ExitStack() as each:  # an interruption while one closes spares the others
            for tracker in reversed(closing):
                each.callback(self._close, tracker, finished)

    def _close(self, tracker: Tracker, finished: bool) -> None:
        with self._dropping(tracker.name):
            tracker.close(finished)

    @contextlib.contextmanager
    def _dropping(self, name: str) -> Iterator[None]:
        """Drop the tracker if the block fails.

        SystemExit is a failure too: a client that gives up may end the process. The signals that
        stop trm raise nothing but KeyboardInterrupt, which passes.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            # Before the warning, which may come back here as a record.
            self._open = [tracker for tracker in self._open if tracker.name != name]
            reason = reason_of(error).rstrip(".")
            self._warn(f"tracker {name} was dropped: {reason}. metrics.jsonl has what it misses.")


def open_trackers(
    names: Iterable[str],
    run: Path,
    config: RunConfig,
    step: int,
    warn: Callable[[str], None],
) -> Trackers:
    """Open the trackers of these names.

    Args:
        names: as in ``train.log_to``; see :func:`check`.
        run: the run folder.
        config: all settings of the run.
        step: the one that the run goes on from, 0 for a new run.
        warn: is told, in one line each, of trackers that fail, now or later.
    """
    trackers = Trackers(warn)
    try:
        for name in dict.fromkeys(names):
            trackers.start(name, run, config, step)
    except BaseException:
        trackers.close(finished=False)
        raise
    return trackers
