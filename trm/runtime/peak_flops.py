"""What a device could do at most, by which the arithmetic that is really done is judged."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Rows of the matrices: doubled from the first number until a product takes ``_LONG`` seconds.
_SMALLEST, _LARGEST = 128, 8192
_LONG = 1e-3
#: Seconds to measure for, and the fewest products.
_ENOUGH, _FEWEST = 0.03, 5


@dataclass(frozen=True)
class Arithmetic:
    """What one step of one example costs, and what can be done at most.

    Attributes:
        flops: operations of the step, see :mod:`trm.models.flops`.
        ceiling: operations a second of this process's device, see :func:`matmul_ceiling`.
    """

    flops: int | float
    ceiling: float

    def at(self, rate: float) -> dict[str, float]:
        """``tflops`` and ``mfu``, their share of the ceiling, at so many such steps a second."""
        return {"tflops": rate * self.flops / 1e12, "mfu": rate * self.flops / self.ceiling}


def matmul_ceiling(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large square matrix product, with as many threads as anything else.

    Takes less than a tenth of a second, on a GPU besides what is loaded there first. No state of
    random numbers changes, and the memory is given back.
    """
    rate = _measured(device, dtype)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return rate


def matrix_product(size: int, device: torch.device, dtype: torch.dtype) -> Callable[[], Tensor]:
    """The product of two random matrices with so many rows and columns, to be called."""
    generator = torch.Generator(device).manual_seed(0)
    left, right = (
        torch.randn(size, size, generator=generator, device=device, dtype=dtype) for _ in range(2)
    )
    return lambda: left @ right


def _measured(device: torch.device, dtype: torch.dtype) -> float:
    size = _SMALLEST
    product = matrix_product(size, device, dtype)
    while size < _LARGEST and min(_seconds(product) for _ in range(3)) < _LONG:
        size *= 2
        product = matrix_product(size, device, dtype)
    taken: list[float] = []
    while len(taken) < _FEWEST or sum(taken) < _ENOUGH:
        taken.append(_seconds(product))
    return 2 * size**3 / statistics.median(taken)


def _seconds(product: Callable[[], Tensor]) -> float:
    began = time.perf_counter()
    product()[0, 0].item()  # which waits for the device, whatever that is
    return time.perf_counter() - began
