"""The tensors that a configuration describes, without taking memory for them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch

from trm.checkpoints.tensors import check_shapes, expected_shapes
from trm.errors import CheckpointError
from trm.models import RecursiveModel, create_model
from trm.runs.checkpoint import CheckpointConfig
from trm.runtime.device import resolve_dtype


def meta_model(config: CheckpointConfig) -> RecursiveModel:
    """The model that a configuration describes, on torch's ``meta`` device."""
    settings = resolve_dtype(config.run, torch.device("cpu")).model
    with torch.device("meta"):
        return create_model(settings, config.spec, init_weights=False)


def model_shapes(config: CheckpointConfig) -> dict[str, list[int]]:
    """The shape of every tensor of the model, by name."""
    return expected_shapes(meta_model(config).state_dict())


def check_model_shapes(
    config: CheckpointConfig,
    shapes: Mapping[str, Sequence[int]],
    path: Path,
    *,
    settings: str = "config.json",
    advice: str = "Restore the config.json the weights were saved with.",
    display_name: Callable[[str], str] = str,
) -> None:
    """Refuse tensors that do not belong to the model of a configuration.

    Args:
        config: describes the model.
        shapes: of the stored tensors, by the model's names.
        path: the checkpoint, for messages.
        settings: what describes the model, for messages.
        advice: see :func:`check_shapes`.
        display_name: see :func:`check_shapes`.

    Raises:
        CheckpointError: naming the first tensor that differs, or if the model is too large.
    """
    try:
        expected = model_shapes(config)
    except (RuntimeError, OverflowError, TypeError) as error:  # sizes beyond 64 bits
        raise CheckpointError(
            f"{path}: {settings} makes a model too large to describe. {advice}"
        ) from error
    check_shapes(
        expected, shapes, path, settings=settings, advice=advice, display_name=display_name
    )
