"""Trackio: a local database, with a dashboard of its own."""

import contextlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trm.config import RunConfig
from trm.trackers.base import Tracker, numbers


class Trackio(Tracker):
    """One Trackio run, known by its name TASK/NAME, which goes on when the run does."""

    name = "trackio"
    summary = "Trackio's local database; see it with trackio show."
    library = "trackio"
    extra = "trm[trackio]"

    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Begin a Trackio run, or go on with the newest one of this name."""
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
        """Log the numbers at the record's step."""
        if found := numbers(record):
            self._run.log(found, step=record["step"])

    def close(self, finished: bool) -> None:
        """Write what is left."""
        with _quiet_stdout():
            self._finish()


def _quiet_stdout() -> contextlib.redirect_stdout[Any]:
    """Trackio talks on stdout, which is for what trm itself has to say."""
    return contextlib.redirect_stdout(sys.stderr)
