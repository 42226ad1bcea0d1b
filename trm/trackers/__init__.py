"""Experiment trackers: where a run is logged to beside ``metrics.jsonl``, and the built-in ones."""

from collections.abc import Callable

from trm.plugins import hookimpl
from trm.trackers.base import Tracker, hyperparameters, numbers
from trm.trackers.opened import Trackers, check, open_trackers

__all__ = ["Tracker", "Trackers", "check", "hyperparameters", "numbers", "open_trackers"]


@hookimpl
def trm_register_trackers(register: Callable[[type[Tracker]], None]) -> None:
    """Provide ``tensorboard``, ``wandb`` and ``trackio``."""
    from trm.trackers.tensorboard import TensorBoard
    from trm.trackers.trackio import Trackio
    from trm.trackers.wandb import WandB

    for tracker in (TensorBoard, WandB, Trackio):
        register(tracker)
