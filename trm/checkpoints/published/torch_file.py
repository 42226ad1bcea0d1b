"""The torch file of a published checkpoint: its tensors, and what they tell of the model."""

import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from trm.checkpoints.published.tensor_names import published_name, trm_name
from trm.checkpoints.published.yaml_config import shown
from trm.errors import CheckpointError

_TABLE = "puzzle_embedding.weight"
_CORE = re.compile(r"core\.layers\.(\d+)\.")
_ZIP = b"PK\x03\x04"
_PICKLES = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))
_TYPES = (torch.float32, torch.bfloat16, torch.float16)


@dataclass(frozen=True)
class PublishedTensors:
    """What the tensors of a published checkpoint tell of its model and puzzles.

    Attributes:
        vocab_size: number of tokens, V.
        hidden_size: width of a token, D.
        num_layers: of the core.
        mlp_t: whether tokens are mixed by an MLP.
        learned: whether there are learned positions.
        num_tokens: prefix and puzzle, P + L; None where no tensor tells.
        inner: of each SwiGLU its width, and the inner width.
        puzzle_rows: of the puzzle embedding; 1 where there is none.
        puzzle_width: of the puzzle embedding; 0 where there is none.
        forward_dtype: of the activations, in which the initial states are stored.
    """

    vocab_size: int
    hidden_size: int
    num_layers: int
    mlp_t: bool
    learned: bool
    num_tokens: int | None
    inner: dict[int, int]
    puzzle_rows: int
    puzzle_width: int
    forward_dtype: str

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], file: Path) -> "PublishedTensors":
        """Look at the tensors of a file, by our names.

        Raises:
            CheckpointError: if one that tells something is missing, or has not two axes.
        """

        def shape(name: str) -> tuple[int, int]:
            if name not in weights:
                raise lacks(file, name)
            found = tuple(weights[name].shape)
            if len(found) != 2 or not all(found):
                raise CheckpointError(
                    f"{file}: {published_name(name)} is {found}, no matrix. Get it again."
                )
            return found[0], found[1]

        first = "core.layers.0."
        mlp_t = f"{first}mixer.down.weight" in weights
        learned = "embedding.position.weight" in weights
        num_tokens = shape("embedding.position.weight")[0] if learned else None
        inner = dict([shape(f"{first}mlp.down.weight")])
        if mlp_t:
            num_tokens, mixed = shape(f"{first}mixer.down.weight")
            inner[num_tokens] = mixed
        rows, width = shape(_TABLE) if _TABLE in weights else (1, 0)
        vocab_size, hidden_size = shape("embedding.token.weight")
        stored = weights["answer_init"].dtype if "answer_init" in weights else torch.float32
        return cls(
            vocab_size=vocab_size,
            hidden_size=hidden_size,
            num_layers=len({m.group(1) for m in map(_CORE.match, weights) if m}),
            mlp_t=mlp_t,
            learned=learned,
            num_tokens=num_tokens,
            inner=inner,
            puzzle_rows=rows,
            puzzle_width=width,
            forward_dtype=str(stored).removeprefix("torch."),
        )


def is_torch_file(file: Path) -> bool:
    """Whether it begins as torch.save begins: a zip archive, its pickle first, or a bare pickle.

    Raises:
        CheckpointError: if it cannot be read.
    """
    start = _start(file)
    if not start.startswith(_ZIP):
        return start.startswith(_PICKLES)
    length = int.from_bytes(start[26:28], "little")
    return start[30 : 30 + length].endswith(b"data.pkl")


def load_weights(file: Path) -> dict[str, Tensor]:
    """The tensors of a published state dict by our names, as they are stored.

    They stay on the disk until they are used.

    Raises:
        CheckpointError: if the file is damaged, wants to run code, or holds anything else.
    """
    found = _loaded(file)
    if not isinstance(found, dict):
        raise CheckpointError(
            f"{file} holds a {type(found).__name__}, no state_dict. Name another checkpoint."
        )
    weights: dict[str, Tensor] = {}
    size = 0
    for name, tensor in found.items():
        ours = _our_name(file, name)
        if ours in weights:
            raise CheckpointError(f"{file} has the tensor {name!r} twice. Get it again.")
        weights[ours] = _checked(file, name, tensor)
        size += tensor.numel() * tensor.element_size()
    if size > file.stat().st_size:
        raise CheckpointError(f"{file} is smaller than the tensors it describes. Get it again.")
    return weights


def to_float32(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float32, each with memory of its own.

    The puzzle embedding, which may take gigabytes, stays where it is.
    """
    # A copy, for two may share their memory in the file, which safetensors refuses to write.
    return {
        n: t.float() if n == _TABLE else t.to(torch.float32, copy=True) for n, t in weights.items()
    }


def check_finite(weights: Mapping[str, Tensor], file: Path) -> None:
    """Refuse numbers that are not finite, naming the first tensor that has some.

    Raises:
        CheckpointError: if one has.
    """
    for name, tensor in weights.items():
        lowest, highest = tensor.aminmax()  # needs no memory, and passes on what is no number
        if not (lowest.isfinite() and highest.isfinite()):
            raise CheckpointError(
                f"{file}: the tensor {published_name(name)} has numbers that are not finite. "
                "Name another checkpoint."
            )


def lacks(file: Path, name: str) -> CheckpointError:
    """The error for a tensor that is missing; by our name."""
    return CheckpointError(
        f"{file} lacks the tensor {published_name(name)}, so it is no whole TRM. "
        "Name another checkpoint."
    )


def _start(file: Path, size: int = 512) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(size)
    except OSError as error:
        raise CheckpointError(f"cannot read {file}: {error.strerror}. Try another.") from error


def _loaded(file: Path) -> object:
    """What is in a file of torch.save; nothing in it can run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickles that it may not understand
            mapped = _start(file).startswith(_ZIP)
            return torch.load(str(file), map_location="cpu", weights_only=True, mmap=mapped)
    except CheckpointError:
        raise
    except Exception as error:  # whatever the nonsense in a damaged pickle leads to
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        if named:
            raise CheckpointError(
                f"{file} would run code to be read ({named.group(1)[:100]}); nothing in it was "
                "run. Name a file of tensors alone, as torch.save writes of a state_dict."
            ) from error
        raise CheckpointError(
            f"{file} is damaged, cut short, or not a state_dict that torch.save wrote; nothing in "
            "it was run. Get it again."
        ) from error


def _our_name(file: Path, name: object) -> str:
    try:
        if isinstance(name, str):
            return trm_name(name)
    except KeyError:
        pass
    raise CheckpointError(
        f"{file} has {shown(name)}, which is no tensor of a TRM. Name the state_dict of one, as "
        "the published trainer saves it."
    )


def _checked(file: Path, name: str, tensor: object) -> Tensor:
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{file}: {name} is a {type(tensor).__name__}, no tensor. Name another checkpoint."
        )
    wrong = None
    if tensor.layout != torch.strided or tensor.device.type != "cpu":
        wrong = f"a tensor without numbers of its own ({tensor.layout}, {tensor.device})"
    elif tensor.dtype not in _TYPES:
        wrong = f"of type {tensor.dtype}; float32, bfloat16 and float16 are read"
    if wrong is not None:
        raise CheckpointError(f"{file}: {name} is {wrong}. Name another checkpoint.")
    return tensor.detach()
