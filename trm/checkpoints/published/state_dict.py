"""The state dict in a torch file: its whole content, or an entry next to the optimizer's."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from trm.checkpoints.published.tensor_names import trm_name
from trm.errors import CheckpointError

_AVERAGE = re.compile(r"(?<![a-z])(ema|swa)(?![a-z])|shadow|averag", re.IGNORECASE)
#: Usual names of the trained weights; the first that a file has is taken.
_USUAL = ("model", "model_state_dict", "state_dict", "module", "network", "net", "weights")
_STEPS = ("step", "global_step", "train_step", "iteration")
_MAX_STEP = 2**53
_INTEGERS = (torch.int32, torch.int64)


@dataclass(frozen=True)
class FoundStateDict:
    """A state dict, of which only some names have been checked.

    Attributes:
        tensors: its entries.
        step: the training step that is next to it, None without one.
        notes: a phrase for each choice that was made.
    """

    tensors: Mapping[Any, Any]
    step: int | None = None
    notes: tuple[str, ...] = ()


def find_state_dict(content: Mapping[Any, Any], file: Path) -> FoundStateDict:
    """The state dict of a TRM in the content of a torch file, at most two levels below it.

    The published trainer evaluates and saves the average of the weights (EMA), so an average is
    taken rather than the weights themselves. It may lack what is not trained by gradients; as in
    the published code, these tensors come from the weights themselves.

    Args:
        content: what the file holds.
        file: the file, for messages.

    Returns:
        The content itself if it is a state dict, or if none is found in it.

    Raises:
        CheckpointError: if several are found, and none is the usual one.
    """
    if _is_state_dict(content):
        return FoundStateDict(content)
    found = _state_dicts(content)
    if not found:
        return FoundStateDict(content)
    averages = [name for name in found if _AVERAGE.search(name)]
    others = [name for name in found if name not in averages]
    usual = [name for last in _USUAL for name in others if name.rpartition(".")[2] == last]
    plain = usual[:1] or others
    chosen = averages or plain
    if len(chosen) > 1:
        raise CheckpointError(
            f"{file} holds several state dicts: {', '.join(map(repr, chosen))[:300]}. Save the one "
            "to use to a file of its own."
        )
    tensors, note = found[chosen[0]], f"weights: {chosen[0]!r} in the file"
    if averages and len(plain) == 1:
        note += f" and not {plain[0]!r}, as the published code evaluates the average"
        names = {_name_or_none(key) for key in tensors}
        rest = found[plain[0]].items()
        missing = {key: value for key, value in rest if _name_or_none(key) not in names}
        if missing:
            note += f"; from {plain[0]!r} the {len(missing)} tensors that it lacks"
        tensors = {**missing, **tensors}
    return FoundStateDict(tensors, _step(content), (note,))


def _state_dicts(content: Mapping[Any, Any]) -> dict[str, Mapping[Any, Any]]:
    """The state dicts of a TRM one or two levels below, by their keys joined with a dot."""
    found: dict[str, Mapping[Any, Any]] = {}
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, dict):
            continue
        if _is_state_dict(value):
            found[key] = value
            continue
        for inner_key, inner in value.items():
            if isinstance(inner_key, str) and _is_state_dict(inner):
                found[f"{key}.{inner_key}"] = inner
    return found


def _is_state_dict(value: object) -> bool:
    return isinstance(value, dict) and any(_name_or_none(key) is not None for key in value)


def _name_or_none(key: object) -> str | None:
    try:
        return trm_name(key) if isinstance(key, str) else None
    except KeyError:
        return None


def _step(content: Mapping[Any, Any]) -> int | None:
    for name in _STEPS:
        step = content.get(name)
        if isinstance(step, torch.Tensor) and step.dtype in _INTEGERS and step.shape == ():
            step = step.item()
        if type(step) is int and 0 <= step < _MAX_STEP:
            return step
    return None
