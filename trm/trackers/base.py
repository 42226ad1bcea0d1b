"""What a tracker is: it hears a run's records, and hands their numbers to a library."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Real
from pathlib import Path
from typing import Any, ClassVar

from trm.config import RunConfig

#: Events whose numbers are worth a curve.
_EVENTS = ("train", "eval")


class Tracker(ABC):
    """Where a run is logged to beside ``metrics.jsonl``. Subclass it, and register the class.

    One instance is made for a run. Whatever a method raises is warned of once; the tracker is
    dropped, and the run goes on.

    Attributes:
        name: as typed after ``--log-to``.
        summary: one line.
        library: the module that :meth:`start` imports, empty for none. It is not imported
            anywhere else, so that it may be missing.
        extra: what pip installs it by, such as ``trm[wandb]``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    library: ClassVar[str] = ""
    extra: ClassVar[str] = ""

    @abstractmethod
    def start(self, run: Path, config: RunConfig, step: int) -> None:
        """Open what is logged to.

        Args:
            run: the run folder.
            config: all settings of the run.
            step: the one that the run goes on from, 0 for a new run.
        """

    @abstractmethod
    def log(self, record: Mapping[str, Any]) -> None:
        """Take in a record of ``metrics.jsonl``; it has at least ``event`` and ``step``.

        After an interruption the steps since the last checkpoint come again.
        """

    def close(self, finished: bool) -> None:  # noqa: B027 - not every tracker has to close
        """The run is over.

        Args:
            finished: whether it came to its end; it may go on another time if not.
        """


def numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """The finite numbers of a ``train`` or ``eval`` record; none of another record.

    >>> numbers({"event": "train", "step": 10, "loss": 1.5, "exact_accuracy": None})
    {'train/loss': 1.5}
    """
    event = record["event"]
    if event not in _EVENTS:
        return {}
    return {
        f"{event}/{name}": float(value)
        for name, value in record.items()
        if name != "step" and isinstance(value, Real) and math.isfinite(value)
    }


def hyperparameters(config: RunConfig) -> dict[str, bool | int | float | str]:
    """The settings by their dotted names, without those that are unset.

    >>> hyperparameters(RunConfig(task="sudoku"))["model.hidden_size"]
    512
    """
    found: dict[str, bool | int | float | str] = {}
    for group, value in config.model_dump(mode="json").items():
        named = value.items() if isinstance(value, dict) else [(None, value)]
        for name, setting in named:
            if setting is not None:
                plain = isinstance(setting, bool | int | float | str)
                found[f"{group}.{name}" if name else group] = setting if plain else str(setting)
    return found
