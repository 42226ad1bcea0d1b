"""The peak arithmetic rate of a device, and the share of it that training or evaluation reaches."""

import contextlib
import time
from collections.abc import Callable

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from trm.errors import StorageError
from trm.runtime.environment import device_name
from trm.storage import cache_folder, write_text

#: Rows of the matrices: doubled from the first number until a product takes ``_LONG`` seconds.
_SMALLEST, _LARGEST = 128, 8192
_LONG = 1e-3
#: Measure for at least this many seconds and products.
_MIN_SECONDS, _MIN_PRODUCTS = 0.03, 5


#: In the cache folder: the highest rates by device, type, threads and version of torch.
PEAKS_FILE = "peak-flops.json"
_PEAKS = TypeAdapter(dict[str, float])


class DevicePeak:
    """The highest rate that was seen of a device.

    It is measured now, when the device may have other work, and kept for later processes of the
    machine. Work that is faster than any product raises it.

    Args:
        device, dtype: see :func:`measure_peak_flops`.

    Attributes:
        flops: operations per second.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        threads = torch.get_num_threads() if device.type == "cpu" else 0
        self._key = f"{device_name(device)}, {dtype}, {threads} threads, torch {torch.__version__}"
        self.flops = max(measure_peak_flops(device, dtype), _read_peaks().get(self._key, 0.0))
        self._keep()

    def utilization(self, steps_per_s: float, step_flops: int | float) -> dict[str, float]:
        """``tflops`` and ``mfu``, the share of the peak, at a rate of steps of one example.

        Args:
            steps_per_s: steps per second on this process's device.
            step_flops: operations of one step of one example, see :mod:`trm.models.flops`.
        """
        rate = steps_per_s * step_flops
        if rate > self.flops:
            self.flops = rate
            self._keep()
        return {"tflops": rate / 1e12, "mfu": rate / self.flops}

    def _keep(self) -> None:
        """Write the peak if it is the highest. A cache that cannot be written is done without."""
        peaks = _read_peaks()
        if self.flops > peaks.get(self._key, 0.0):
            peaks[self._key] = self.flops
            with contextlib.suppress(StorageError, OSError):
                cache_folder().mkdir(parents=True, exist_ok=True)
                write_text(cache_folder() / PEAKS_FILE, _PEAKS.dump_json(peaks).decode())


def _read_peaks() -> dict[str, float]:
    """The kept peaks; none if there is no file, or it is damaged."""
    try:
        return _PEAKS.validate_json((cache_folder() / PEAKS_FILE).read_bytes())
    except (OSError, ValidationError):
        return {}


def measure_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product, with torch's number of threads.

    The fastest of several products counts, as other work on the device only slows them. Takes less
    than a tenth of a second, plus loading time on a GPU. The state of the random number generators
    does not change, and the memory is freed.
    """
    size = _SMALLEST
    product = matrix_product(size, device, dtype)
    while size < _LARGEST and min(_seconds(product) for _ in range(3)) < _LONG:
        size *= 2
        product = matrix_product(size, device, dtype)
    seconds: list[float] = []
    while len(seconds) < _MIN_PRODUCTS or sum(seconds) < _MIN_SECONDS:
        seconds.append(_seconds(product))
    del product  # and its matrices
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return 2 * size**3 / min(seconds)


def matrix_product(size: int, device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
    """A function that multiplies two random matrices of shape (size, size)."""
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(size, size, generator=generator, device=device, dtype=dtype) for _ in range(2)
    )
    return lambda: left @ right


def _seconds(product: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    product()[0, 0].item()  # waits for any kind of device
    return time.perf_counter() - began
