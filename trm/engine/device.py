"""Which device to use, and how batches get there."""

import contextlib
import sys
from collections.abc import Iterator

import torch

from trm.data import Batch
from trm.errors import ConfigError, TrainingError
from trm.models import Puzzles


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of this name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Args:
        name: which.
        local_rank: of several processes on a machine each has the GPU of its number.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        else:
            name = "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if name == "cuda":  # on which a lone GPU of several processes is the only one each sees
            device = torch.device("cuda", local_rank if torch.cuda.device_count() > 1 else 0)
        torch.empty(0, device=device)
        if device.type == "cuda":
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError(f"cannot use device {name!r}: {reason}. Use --device cpu.") from error
    return device


def num_processes(name: str, wanted: int | None = None) -> int:
    """How many processes to start here: one for each GPU that ``name`` means, or those wanted.

    Raises:
        ConfigError: if they are more than there are devices of that name.
    """
    gpus = torch.cuda.device_count() if name in ("auto", "cuda") else 0
    if wanted is None:
        return max(1, gpus)
    if wanted > 1 and ":" in name:
        raise ConfigError(f"--nproc {wanted} on the one device {name}. Use --device cuda or cpu.")
    if wanted > gpus > 0:
        raise ConfigError(f"--nproc {wanted}, but there are {gpus} GPUs. Use --nproc {gpus}.")
    return wanted


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
        raise TrainingError(
            f"{reason} Take each batch in more parts with --accumulate 2 (4, 8, ...), use more "
            "--nproc, or lower --batch-size."
        ) from error
    except RuntimeError as error:
        compiler = sys.modules.get("torch._dynamo.exc")  # a second to import, if nothing compiles
        if compiler is None or not isinstance(error, compiler.BackendCompilerFailed):
            raise
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"torch.compile failed: {reason}. Use --no-compile.") from error


def to_device(batch: Batch, device: torch.device) -> Puzzles:
    """A batch as tensors on the device; the copy does not wait for the device."""
    arrays = (batch.inputs, batch.labels, batch.puzzle_identifiers)
    return Puzzles(*(copy_to(torch.from_numpy(array), device) for array in arrays))


def copy_to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; the host does not wait for it to get there."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
