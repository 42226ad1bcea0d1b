"""Which device to use, and how batches get there."""

import contextlib
from collections.abc import Iterator

import torch
import torch._dynamo.exc

from trm.data import Batch
from trm.errors import ConfigError, TrainingError
from trm.models import Puzzles


def pick_device(name: str) -> torch.device:
    """The device of this name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"cannot use device {name!r}: {reason}. Use --device cpu.") from error
    return device


def can_compile(device: torch.device) -> bool:
    """Whether torch.compile pays there."""
    return device.type == "cuda"


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """Say of the two usual failures of a device what to do.

    Raises:
        TrainingError: if its memory is used up, or the compiler fails.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"{reason} Lower --batch-size.") from error
    except torch._dynamo.exc.BackendCompilerFailed as error:
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"torch.compile failed: {reason}. Use --no-compile.") from error


def to_device(batch: Batch, device: torch.device) -> Puzzles:
    """A batch as tensors on the device; the copy does not wait for the device."""
    arrays = (batch.inputs, batch.labels, batch.puzzle_identifiers)
    return Puzzles(*(_copy(torch.from_numpy(array), device) for array in arrays))


def _copy(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
