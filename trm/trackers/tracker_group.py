"""The trackers of one run: check them, open them, and drop the ones that fail."""

import contextlib
import importlib.util
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.errors import ConfigError
from trm.plugins import reason_of
from trm.trackers.base import Tracker
from trm.trackers.registry import get_tracker


def check_trackers(names: Iterable[str]) -> None:
    """Check before a run starts that it can log to these trackers.

    Raises:
        PluginError: if a name is unknown.
        ConfigError: if the library that a tracker needs is not installed.
    """
    for name in names:
        tracker = get_tracker(name)
        if not tracker.library:
            continue
        spec = importlib.util.find_spec(tracker.library)
        # A spec without origin is only a folder of that name, such as the wandb/ that W&B makes.
        if spec is None or spec.origin is None:
            extra = tracker.extra or tracker.library
            raise ConfigError(
                f"tracker {name} needs {tracker.library}, which is not installed. "
                f"Install it: pip install {shlex.quote(extra)}"
            )


class TrackerGroup:
    """Passes a run's records on to its trackers.

    A tracker that fails is dropped with one warning. The other trackers and the run continue.
    Use :func:`open_trackers` to make one.

    Args:
        warn: called with one line for each tracker that fails.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._trackers: list[Tracker] = []

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the open trackers."""
        return tuple(tracker.name for tracker in self._trackers)

    def start(self, name: str, run: Path, config: RunConfig, step: int) -> None:
        """Open another tracker."""
        with self._drop_on_error(name):
            tracker = get_tracker(name)()
            tracker.start(run, config, step)
            self._trackers.append(tracker)

    def __call__(self, record: Mapping[str, Any]) -> None:
        """Log a record of ``metrics.jsonl``."""
        for tracker in tuple(self._trackers):
            with self._drop_on_error(tracker.name):
                tracker.log(record)

    def close(self, finished: bool) -> None:
        """Close all trackers. A second call does nothing."""
        closing, self._trackers = self._trackers, []
        with contextlib.ExitStack() as stack:  # Ctrl-C in one close does not skip the others
            for tracker in reversed(closing):
                stack.callback(self._close, tracker, finished)

    def _close(self, tracker: Tracker, finished: bool) -> None:
        with self._drop_on_error(tracker.name):
            tracker.close(finished)

    @contextlib.contextmanager
    def _drop_on_error(self, name: str) -> Iterator[None]:
        """Drop the tracker if the block fails.

        SystemExit counts as a failure: some clients exit the process when they give up. The
        signals that stop trm raise only KeyboardInterrupt, which is not caught.
        """
        try:
            yield
        except (Exception, SystemExit) as error:
            # Drop it before the warning, because the warning may be logged as a record too.
            self._trackers = [tracker for tracker in self._trackers if tracker.name != name]
            reason = reason_of(error).rstrip(".")
            self._warn(
                f"tracker {name} was dropped: {reason}. metrics.jsonl still has all metrics."
            )


def open_trackers(
    names: Iterable[str],
    run: Path,
    config: RunConfig,
    step: int,
    warn: Callable[[str], None],
) -> TrackerGroup:
    """Open the trackers with these names.

    Args:
        names: the setting ``train.log_to``; see :func:`check_trackers`.
        run: the run folder.
        config: all settings of the run.
        step: the step from which the run resumes, 0 for a new run.
        warn: called with one line for each tracker that fails, now or later.
    """
    trackers = TrackerGroup(warn)
    try:
        for name in dict.fromkeys(names):
            trackers.start(name, run, config, step)
    except BaseException:
        trackers.close(finished=False)
        raise
    return trackers
