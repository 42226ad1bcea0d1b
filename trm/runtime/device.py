"""Which device to use, and how batches get there."""

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np
import torch

from trm.config import RunConfig
from trm.data import Batch
from trm.errors import ConfigError, TrainingError
from trm.models import PuzzleBatch, TinyRecursiveModel
from trm.storage import cache_folder


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


def with_dtype(config: RunConfig, local_rank: int = 0) -> RunConfig:
    """The settings with ``model.forward_dtype = auto`` as the type that it means here.

    Raises:
        ConfigError: if the device, see :func:`pick_device`, is not there.
    """
    if config.model.forward_dtype != "auto":
        return config
    dtype = usual_dtype(pick_device(config.train.device, local_rank))
    model = config.model.model_copy(update={"forward_dtype": dtype})
    return config.model_copy(update={"model": model})


def seeded(device: torch.device, *what: int) -> torch.Generator:
    """A generator of random numbers on a device, by whatever the numbers are to depend on."""
    seed = np.random.SeedSequence(what).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(seed >> np.uint64(1)))  # 63 bits, for torch


def usual_dtype(device: torch.device) -> str:
    """``bfloat16`` if the device computes in that type, ``float32`` if it would only convert."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        can = getattr(torch.cpu, "get_capabilities", dict[str, bool])()  # not in older torch
        return "bfloat16" if can.get("avx512_bf16") or can.get("amx_bf16") else "float32"
    return "float32"


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


def compile_network(model: TinyRecursiveModel, wanted: bool | None) -> None:
    """Have the model's network compiled if that is wanted; None: where it always pays."""
    if wanted or (wanted is None and model.device.type == "cuda"):
        _keep_compiled()
        model.compile_network()


def _keep_compiled() -> None:
    """Let the compiler put what it makes where later runs find it, if it was told no other place.

    Its own default is a temporary folder, which is empty when the machine has started again.
    """
    if "TORCHINDUCTOR_CACHE_DIR" in os.environ:
        return
    with contextlib.suppress(OSError, RuntimeError):  # no home, or not writable
        folder = cache_folder() / "compile"
        folder.mkdir(parents=True, exist_ok=True)
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


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


def to_device(batch: Batch, device: torch.device) -> PuzzleBatch:
    """A batch as tensors on the device; the copy does not wait for the device."""
    arrays = (batch.inputs, batch.labels, batch.puzzle_identifiers)
    return PuzzleBatch(*(copy_to(torch.from_numpy(array), device) for array in arrays))


def copy_to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor of the CPU on the device; the host does not wait for it to get there."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
