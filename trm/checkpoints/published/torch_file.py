"""The torch file of a published checkpoint: its tensors, and what they show about the model."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trm.checkpoints.published import safe_load
from trm.checkpoints.published.state_dict import find_state_dict
from trm.checkpoints.published.tensor_names import (
    AVERAGED_MODEL_COUNTER,
    NETWORKS,
    STATE_ENDING,
    published_name,
    trm_name,
)
from trm.checkpoints.published.yaml_config import short_repr
from trm.checkpoints.tensors import PUZZLE_EMBEDDING
from trm.errors import CheckpointError
from trm.models import list_model_kinds

_LAYER = re.compile(r"core\.(layers|answer_layers)\.(\d+)\.")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class PublishedTensors:
    """What the tensors of a published checkpoint show about its model and puzzles.

    Attributes:
        vocab_size: number of tokens, V.
        hidden_size: width of a token, D.
        kind: the kind of model whose networks and initial states these are, None if there is none.
        num_layers: number of layers of each network, by its name in trm.
        mlp_t: whether an MLP mixes the tokens.
        learned_positions: whether positions are learned.
        num_tokens: length of prefix and puzzle, P + L; None if no tensor shows it.
        swiglu_widths: the width of each SwiGLU, and its inner width.
        puzzle_rows: rows of the puzzle embedding; 1 without one.
        puzzle_width: width of the puzzle embedding; 0 without one.
        forward_dtype: of the activations, in which the initial states are stored.
    """

    vocab_size: int
    hidden_size: int
    kind: str | None
    num_layers: dict[str, int]
    mlp_t: bool
    learned_positions: bool
    num_tokens: int | None
    swiglu_widths: dict[int, int]
    puzzle_rows: int
    puzzle_width: int
    forward_dtype: str

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], file: Path) -> "PublishedTensors":
        """Inspect the tensors of a file.

        Args:
            weights: the tensors, by trm's names.
            file: the file, for messages.

        Raises:
            CheckpointError: if one that is inspected is missing or is not a matrix.
        """

        def shape(name: str) -> tuple[int, int]:
            if name not in weights:
                raise CheckpointError(
                    f"{file} lacks the tensor {published_name(name)}, so it is not a complete TRM. "
                    "Name another checkpoint."
                )
            shape = tuple(weights[name].shape)
            if len(shape) != 2 or not all(shape):
                raise CheckpointError(
                    f"{file}: {published_name(name)} is {shape}, not a matrix. Get it again."
                )
            return shape[0], shape[1]

        layers = {match.groups() for match in map(_LAYER.match, weights) if match}
        num_layers = {
            network: sum(name == network for name, _ in layers)
            for network in NETWORKS.values()
            if any(name == network for name, _ in layers)
        }
        first = f"core.{next(iter(num_layers), 'layers')}.0."
        mlp_t = f"{first}mixer.down.weight" in weights
        learned_positions = "embedding.position.weight" in weights
        num_tokens = shape("embedding.position.weight")[0] if learned_positions else None
        swiglu_widths = dict([shape(f"{first}mlp.down.weight")])
        if mlp_t:
            num_tokens, inner_width = shape(f"{first}mixer.down.weight")
            swiglu_widths[num_tokens] = inner_width
        rows, width = shape(PUZZLE_EMBEDDING) if PUZZLE_EMBEDDING in weights else (1, 0)
        vocab_size, hidden_size = shape("embedding.token.weight")
        states = {name for name in weights if name.endswith(STATE_ENDING)}
        dtype = weights[min(states)].dtype if states else torch.float32
        return cls(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            kind=_kind_with(states, set(num_layers)),
            num_layers=num_layers,
            mlp_t=mlp_t,
            learned_positions=learned_positions,
            num_tokens=num_tokens,
            swiglu_widths=swiglu_widths,
            puzzle_rows=rows,
            puzzle_width=width,
            forward_dtype=str(dtype).removeprefix("torch."),
        )


def _kind_with(states: set[str], networks: set[str]) -> str | None:
    """The kind of model with these initial states and networks."""
    for name, installed in list_model_kinds().items():
        model, published = installed.model, installed.model.published
        if (
            published is not None
            and {NETWORKS[network] for network in published.networks} == networks
            and {f"{part}{STATE_ENDING}" for part in model.state_fields()} == states
        ):
            return name
    return None


@dataclass(frozen=True)
class LoadedWeights:
    """The tensors of a torch file.

    Attributes:
        tensors: by trm's names, in their own dtypes; they stay on the disk until they are used.
        step: the training step that the file holds, None without one.
        notes: a phrase for each choice that was made among the content.
    """

    tensors: dict[str, Tensor]
    step: int | None
    notes: tuple[str, ...]


def load_weights(file: Path) -> LoadedWeights:
    """The tensors of a published state dict, which may be an entry of what the file holds.

    Raises:
        CheckpointError: if the file is damaged, would run code, or holds anything else.
    """
    content = safe_load.load(file)
    if not isinstance(content, dict):
        raise CheckpointError(
            f"{file} holds a {type(content).__name__}, not a state_dict. Name another checkpoint."
        )
    found = find_state_dict(content, file)
    weights: dict[str, Tensor] = {}
    num_bytes = 0
    for key, tensor in found.tensors.items():
        if key == AVERAGED_MODEL_COUNTER:
            continue
        try:
            name = trm_name(key) if isinstance(key, str) else None
        except KeyError:
            name = None
        if name is None:
            raise CheckpointError(
                f"{file} has {short_repr(key)}, which is not a tensor of a TRM. Name the "
                "state_dict of a TRM, as the published trainer saves it."
            )
        if name in weights:
            raise CheckpointError(f"{file} has the tensor {key!r} twice. Get it again.")
        weights[name] = _checked_tensor(file, key, tensor)
        num_bytes += tensor.numel() * tensor.element_size()
    if num_bytes > file.stat().st_size:
        raise CheckpointError(f"{file} is smaller than the tensors it describes. Get it again.")
    return LoadedWeights(weights, found.step, found.notes)


def to_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, each with its own memory.

    The puzzle embedding, which may take gigabytes, is not copied.
    """
    # Tensors may share memory in the file, which safetensors refuses to write.
    return {
        name: tensor.float() if name == PUZZLE_EMBEDDING else tensor.to(torch.float32, copy=True)
        for name, tensor in weights.items()
    }


def check_finite(weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse numbers that are not finite.

    Raises:
        CheckpointError: naming the first tensor that has one.
    """
    for name, tensor in weights.items():
        lowest, highest = tensor.aminmax()  # needs no extra memory, and propagates NaN
        if not (lowest.isfinite() and highest.isfinite()):
            raise CheckpointError(
                f"{file}: the tensor {published_name(name)} has numbers that are not finite. "
                "Name another checkpoint."
            )


def _checked_tensor(file: Path, name: str, tensor: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{file}: {name} is a {type(tensor).__name__}, not a tensor. Name another checkpoint."
        )
    problem = None
    if tensor.layout != torch.strided or tensor.is_nested or tensor.device.type != "cpu":
        problem = f"a tensor without numbers of its own ({tensor.layout}, {tensor.device})"
    elif tensor.dtype not in _DTYPES:
        problem = f"of type {tensor.dtype}; float32, bfloat16 and float16 are read"
    if problem is not None:
        raise CheckpointError(f"{file}: {name} is {problem}. Name another checkpoint.")
    return tensor.detach()
