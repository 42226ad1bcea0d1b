"""The torch file of a published checkpoint: its tensors, and what they show about the model."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trm.checkpoints.published.tensor_names import published_name, trm_name
from trm.checkpoints.published.yaml_config import short_repr
from trm.checkpoints.tensors import PICKLE_STARTS, PUZZLE_EMBEDDING, ZIP_START
from trm.errors import CheckpointError

_LAYER = re.compile(r"core\.layers\.(\d+)\.")
_DTYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class PublishedTensors:
    """What the tensors of a published checkpoint show about its model and puzzles.

    Attributes:
        vocab_size: number of tokens, V.
        hidden_size: width of a token, D.
        num_layers: number of layers of the core.
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
    num_layers: int
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

        first = "core.layers.0."
        mlp_t = f"{first}mixer.down.weight" in weights
        learned_positions = "embedding.position.weight" in weights
        num_tokens = shape("embedding.position.weight")[0] if learned_positions else None
        swiglu_widths = dict([shape(f"{first}mlp.down.weight")])
        if mlp_t:
            num_tokens, inner_width = shape(f"{first}mixer.down.weight")
            swiglu_widths[num_tokens] = inner_width
        rows, width = shape(PUZZLE_EMBEDDING) if PUZZLE_EMBEDDING in weights else (1, 0)
        vocab_size, hidden_size = shape("embedding.token.weight")
        dtype = weights["answer_init"].dtype if "answer_init" in weights else torch.float32
        return cls(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_layers=len({m[1] for m in map(_LAYER.match, weights) if m}),
            mlp_t=mlp_t,
            learned_positions=learned_positions,
            num_tokens=num_tokens,
            swiglu_widths=swiglu_widths,
            puzzle_rows=rows,
            puzzle_width=width,
            forward_dtype=str(dtype).removeprefix("torch."),
        )


def is_torch_file(file: Path) -> bool:
    """Whether the first bytes are those of ``torch.save``: a zip with a pickle, or a bare pickle.

    Raises:
        CheckpointError: if it cannot be read.
    """
    start = _first_bytes(file)
    if not start.startswith(ZIP_START):
        return start.startswith(PICKLE_STARTS)
    name_length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + name_length].endswith(b"data.pkl")


def load_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a published state dict, by trm's names and in their own dtypes.

    They stay on the disk until they are used.

    Raises:
        CheckpointError: if the file is damaged, would run code, or holds anything else.
    """
    state_dict = _load(file)
    if not isinstance(state_dict, dict):
        raise CheckpointError(
            f"{file} holds a {type(state_dict).__name__}, not a state_dict. Name another "
            "checkpoint."
        )
    weights: dict[str, Tensor] = {}
    num_bytes = 0
    for key, tensor in state_dict.items():
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
    return weights


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


def _first_bytes(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(512)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}. Try another file.") from error


def _load(file: Path) -> object:
    """The content of a file of ``torch.save``; no code in it can run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns about pickles that it may not understand
            is_zip = _first_bytes(file).startswith(ZIP_START)
            return torch.load(str(file), map_location="cpu", weights_only=True, mmap=is_zip)
    except CheckpointError:
        raise
    except Exception as error:  # a damaged pickle may raise anything
        code = re.search(r"GLOBAL ([\w.]+)", str(error))
        if code:
            raise CheckpointError(
                f"{file} would run code to be read ({code[1][:100]}); nothing in it was run. Name "
                "a file that holds only tensors, as torch.save writes for a state_dict."
            ) from error
        raise CheckpointError(
            f"{file} is damaged, cut short, or not a state_dict that torch.save wrote; nothing in "
            "it was run. Get it again."
        ) from error


def _checked_tensor(file: Path, name: str, tensor: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{file}: {name} is a {type(tensor).__name__}, not a tensor. Name another checkpoint."
        )
    problem = None
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        problem = f"a tensor without numbers of its own ({tensor.layout}, {tensor.device})"
    elif tensor.dtype not in _DTYPES:
        problem = f"of type {tensor.dtype}; float32, bfloat16 and float16 are read"
    if problem is not None:
        raise CheckpointError(f"{file}: {name} is {problem}. Name another checkpoint.")
    return tensor.detach()
