"""The base class of trackers, and what turns records and settings into what a tracker logs."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from trm.config import RunConfig


class Tracker(ABC):
    """Logs the metrics of a run to a library or service. Subclass it and register the class.

    Every run makes its own instance. If a method raises, the user gets one warning, the tracker
    is dropped, and training continues.

    Attributes:
        name: what users type after ``--log-to``.
        summary: one line that describes the tracker.
        library: the module that :meth:`start` imports, or empty. Import it nowhere else, because
            it may not be installed.
        extra: what to ``pip install`` for the library, if that is not the name of the module.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    library: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @abstractmethod
    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Begin to log.

        Args:
            run: the run folder.
            config: all settings of the run.
            step: the step from which the run resumes, 0 for a new run.
        """

    @abstractmethod
    def log(self, record: Mapping[str, Any]) -> None:
        """Log a record of ``metrics.jsonl``. It has at least ``event`` and ``step``.

        A resumed run logs the steps since its last checkpoint again.
        """

    def close(self, finished: bool) -> None:  # noqa: B027 - not every tracker has to close
        """Stop logging.

        Args:
            finished: whether the run is complete. If not, it may be resumed later.
        """


def scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers in a ``train`` or ``eval`` record. Other records give an empty dict.

    >>> scalars({"event": "train", "step": 10, "loss": 1.5, "exact_accuracy": None})
    {'train/loss': 1.5}
    """
    event = record["event"]
    if event not in ("train", "eval"):
        return {}
    return {
        f"{event}/{name}": float(value)
        for name, value in record.items()
        if name != "step" and isinstance(value, Real) and math.isfinite(value)
    }


def flat_settings(config: RunConfig) -> dict[str, bool | int | float | str]:
    """The settings of a run by dotted name, without unset ones.

    >>> flat_settings(RunConfig(task="sudoku"))["model.hidden_size"]
    512
    """
    flat: dict[str, bool | int | float | str] = {}
    for group, value in config.model_dump(mode="json").items():
        settings = value.items() if isinstance(value, dict) else [(None, value)]
        for name, setting in settings:
            if setting is not None:
                plain = isinstance(setting, bool | int | float | str)
                flat[f"{group}.{name}" if name else group] = setting if plain else str(setting)
    return flat
