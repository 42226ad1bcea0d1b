"""Presets: named options for building data, with the settings of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Preset:
    """Named options for building data, and settings for a run.

    ``for_cpu``: small enough for a CPU, so it is suggested for a run that would take days there.
    """

    summary: str
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=dict)
    for_cpu: bool = False


#: A preset of the published recipe, which every built-in task has.
EIGHT_GPUS = Preset(
    summary="The published recipe with batches of 4608, made for eight GPUs.",
    settings={"train": {"batch_size": 4608}},
)
