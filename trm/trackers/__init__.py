"""Experiment trackers: log a run's metrics to TensorBoard, Weights & Biases or Trackio."""

from collections.abc import Callable

from trm.plugins import hookimpl
from trm.trackers.base import Tracker, flat_settings, scalars
from trm.trackers.tracker_group import TrackerGroup, check_trackers, open_trackers

__all__ = [
    "Tracker",
    "TrackerGroup",
    "check_trackers",
    "flat_settings",
    "open_trackers",
    "scalars",
]


@hookimpl
def trm_register_trackers(register: Callable[[type[Tracker]], None]) -> None:
    """Provide ``tensorboard``, ``wandb`` and ``trackio``."""
    from trm.trackers.tensorboard import TensorBoard
    from trm.trackers.trackio import Trackio
    from trm.trackers.wandb import WandB

    for tracker in (TensorBoard, WandB, Trackio):
        register(tracker)
