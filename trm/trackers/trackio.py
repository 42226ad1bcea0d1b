"""Trackio: a local database with a dashboard."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.trackers.base import Tracker, scalars


class Trackio(Tracker):
    """Logs to the Trackio run TASK/NAME. A resumed run continues it."""

    name = "trackio"
    summary = "Trackio's local database. View it with trackio show."
    library = "trackio"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Start a Trackio run, or resume the newest one with this name."""
        import trackio

        with _quiet_stdout():
            self._run = trackio.init(
                project="trm",
                name=f"{config.task}/{run.resolve().name}",
                config=config.model_dump(mode="json"),
                resume="allow" if step else "never",
                embed=False,
            )
        self._finish: Callable[[], None] = trackio.finish

    def log(self, record: Mapping[str, Any]) -> None:
        """Log the metrics at the record's step."""
        if metrics := scalars(record):
            self._run.log(metrics, step=record["step"])

    def close(self, finished: bool) -> None:
        """Write what is still buffered."""
        with _quiet_stdout():
            self._finish()


def _quiet_stdout() -> contextlib.redirect_stdout[Any]:
    """Send Trackio's messages to stderr, because stdout holds only the output of trm."""
    return contextlib.redirect_stdout(sys.stderr)
