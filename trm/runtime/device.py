"""Choosing a device, and copying batches to it."""

import contextlib
import os
import sys
from collections.abc import Iterator

import numpy as np
import torch

from trm.config import RunConfig
from trm.data import Batch
from trm.errors import ConfigError, TrainingError
from trm.models import PuzzleBatch, RecursiveModel
from trm.storage import Memory, cache_folder, machine_memory


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The device of this name; ``auto`` is CUDA, else Apple's MPS, else the CPU.

    Args:
        name: ``auto`` or a device that torch has here, such as ``cpu`` or ``cuda:1``.
        local_rank: the number of this process on its machine. ``cuda`` means the GPU of that
            number.

    Raises:
        ConfigError: if the device does not exist here, or does not work.
    """
    kind, index, count = _find(name)
    if kind == "cuda" and index is None:  # a launcher may show each process its own GPU only
        index = local_rank if count > 1 else 0
    device = torch.device(kind) if index is None else torch.device(kind, index)
    try:
        torch.empty(0, device=device)
        if kind == "cuda":
            torch.cuda.set_device(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0][:200].rstrip(".")
        raise ConfigError(f"cannot use device {device}: {reason}. Use --device cpu.") from error
    return device


def _find(name: str) -> tuple[str, int | None, int]:
    """The kind of the named device, its number if one is named, and how many of the kind there are.

    Raises:
        ConfigError: if there is no such device.
    """
    counts = {"cpu": 1}
    for kind, module in {"cuda": torch.cuda, "mps": torch.mps, "xpu": torch.xpu}.items():
        if module.is_available():
            counts[kind] = module.device_count()
    if name == "auto":
        name = next((kind for kind in ("cuda", "mps") if kind in counts), "cpu")
    if name in counts:
        return name, None, counts[name]
    numbered = {
        f"{kind}:{index}": (kind, index) for kind in counts for index in range(counts[kind])
    }
    if name not in numbered:
        listed = ", ".join(["cpu", *(each for each in numbered if each != "cpu:0")])
        raise ConfigError(f"torch here has no {name or repr(name)}; devices: {listed}.")
    return *numbered[name], 1


def resolve_dtype(config: RunConfig, device: torch.device) -> RunConfig:
    """The settings, with ``model.forward_dtype = auto`` replaced by the device's default type."""
    if config.model.forward_dtype != "auto":
        return config
    model = config.model.model_copy(update={"forward_dtype": default_dtype(device)})
    return config.model_copy(update={"model": model})


def default_dtype(device: torch.device) -> str:
    """``bfloat16`` if the device computes in that type, ``float32`` if it would only convert."""
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    if device.type == "cpu":
        can = getattr(torch.cpu, "get_capabilities", dict[str, bool])()  # missing in older torch
        return "bfloat16" if can.get("avx512_bf16") or can.get("amx_bf16") else "float32"
    return "float32"


def seeded(device: torch.device, *what: int) -> torch.Generator:
    """A random number generator on a device, seeded by all of these numbers."""
    seed = np.random.SeedSequence(what).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(seed >> np.uint64(1)))  # torch takes 63 bits


def num_cores() -> int:
    """The number of CPU cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS and Windows
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def num_processes(name: str, wanted: int | None = None, oversubscribe: bool = False) -> int:
    """The number of processes to start here: ``wanted``, or one per GPU of that device name.

    Args:
        name: as for :func:`pick_device`.
        wanted: how many the user asked for, None for the default.
        oversubscribe: allow more processes than CPU cores.

    Raises:
        ConfigError: if there is no such device, or if there are fewer GPUs or CPU cores.
    """
    kind, index, count = _find(name)
    if wanted is None:
        return count if kind != "cpu" and index is None else 1
    if wanted > 1 and index is not None:
        raise ConfigError(f"--nproc {wanted} on the one device {name}. Use --device cuda or cpu.")
    if kind != "cpu" and wanted > count:
        raise ConfigError(
            f"--nproc {wanted}, but the number of {kind} devices here is {count}. "
            f"Use --nproc {count}."
        )
    if kind == "cpu" and wanted > (cores := num_cores()) and not oversubscribe:
        raise ConfigError(
            f"--nproc {wanted}, but the number of CPU cores here is {cores}. Use --nproc {cores}, "
            "or --oversubscribe for several processes on one core."
        )
    return wanted


def device_memory(device: torch.device) -> Memory | None:
    """The memory of a device; None where it does not say."""
    if device.type == "cpu":
        return machine_memory()
    module = getattr(torch, device.type, None)
    try:
        if device.type == "mps":
            total = torch.mps.recommended_max_memory()
            return Memory(total, max(0, total - torch.mps.driver_allocated_memory()))
        free, total = module.mem_get_info(device)  # type: ignore[union-attr]
    except (AttributeError, RuntimeError, NotImplementedError):  # some kinds of device cannot say
        return None
    return Memory(total, free)


def is_to_compile(device: torch.device, wanted: bool | None) -> bool:
    """Whether to compile a network on a device; None compiles on CUDA."""
    return device.type == "cuda" if wanted is None else wanted


def compile_network(model: RecursiveModel, wanted: bool | None) -> None:
    """Compile the model's network if ``wanted``; None compiles on CUDA.

    The compiler's files go to trm's cache, unless the user chose a folder. Its own default is a
    temporary folder, which is empty after a reboot.
    """
    if not is_to_compile(model.device, wanted):
        return
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        with contextlib.suppress(OSError, RuntimeError):  # no home folder, or not writable
            folder = cache_folder() / "compile"
            folder.mkdir(parents=True, exist_ok=True)
            os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)
    model.compile_network()


@contextlib.contextmanager
def device_errors(advice: str = "Lower --batch-size.") -> Iterator[None]:
    """Tell the user what to do about the two usual failures of a device.

    Args:
        advice: what to do if the device is out of memory.

    Raises:
        TrainingError: if the device is out of memory, or the compiler fails.
    """
    try:
        yield
    except torch.OutOfMemoryError as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"{reason} {advice}") from error
    except RuntimeError as error:
        compiler = sys.modules.get("torch._dynamo.exc")  # importing it takes a second
        if compiler is None or not isinstance(error, compiler.BackendCompilerFailed):
            raise
        reason = " ".join(str(error).split())[:200]
        raise TrainingError(f"torch.compile failed: {reason}. Use --no-compile.") from error


def to_device(batch: Batch, device: torch.device) -> PuzzleBatch:
    """A batch as tensors on the device. The host does not wait for the copy."""
    arrays = (batch.inputs, batch.labels, batch.puzzle_identifiers)
    return PuzzleBatch(*(copy_to(torch.from_numpy(array), device) for array in arrays))


def copy_to(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on the device. The host does not wait for the copy."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
