"""The peak arithmetic rate of a device, and the share of it that training or evaluation reaches."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

#: Rows of the matrices: doubled from the first number until a product takes ``_LONG`` seconds.
_SMALLEST, _LARGEST = 128, 8192
_LONG = 1e-3
#: Measure for at least this many seconds and products.
_MIN_SECONDS, _MIN_PRODUCTS = 0.03, 5


def utilization(steps_per_s: float, step_flops: int | float, peak_flops: float) -> dict[str, float]:
    """``tflops`` and ``mfu``, the share of the peak, at a rate of steps of one example.

    Args:
        steps_per_s: steps per second on this process's device.
        step_flops: operations of one step of one example, see :mod:`trm.models.flops`.
        peak_flops: operations per second, see :func:`measure_peak_flops`.
    """
    rate = steps_per_s * step_flops
    return {"tflops": rate / 1e12, "mfu": rate / peak_flops}


def measure_peak_flops(device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a large square matrix product, with torch's number of threads.

    Takes less than a tenth of a second, plus loading time on a GPU. The state of the random number
    generators does not change, and the memory is freed.
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
    return 2 * size**3 / statistics.median(seconds)


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
