"""Adam-atan2, the default optimizer of the network."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from trm.config import OptimConfig
from trm.training.optim.base import Optimizer


class AdamAtan2(Optimizer):
    """Adam with ``atan2(m, sqrt(v))`` instead of ``m / (sqrt(v) + eps)`` (Everett et al. 2024).

    The arithmetic of the fused CUDA kernel ``adam-atan2`` 0.0.3: weight decay first, and the bias
    correction of the mean outside of the arc tangent.
    """

    def __init__(self, parameters: Mapping[str, Tensor], config: OptimConfig) -> None:
        super().__init__(parameters, config)
        self.num_steps = 0
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]
        self._fused = _fused_kernel(self.parameters)

    @torch.no_grad()
    def step(self, scale: float) -> None:
        """See :meth:`Optimizer.step`."""
        lr, gradients = self.config.lr * scale, self.gradients()
        self.num_steps += 1
        if self._fused is not None:
            self._fused(self, gradients, lr)
            return
        beta1, beta2 = self.config.beta1, self.config.beta2
        torch._foreach_mul_(self.parameters, 1 - lr * self.config.weight_decay)
        torch._foreach_lerp_(self.means, gradients, 1 - beta1)
        torch._foreach_lerp_(self.squares, torch._foreach_mul(gradients, gradients), 1 - beta2)
        denominators = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(denominators, math.sqrt(1 - beta2**self.num_steps))
        angles = [torch.atan2(m, d) for m, d in zip(self.means, denominators, strict=True)]
        torch._foreach_add_(self.parameters, angles, alpha=-lr / (1 - beta1**self.num_steps))

    def moments(self) -> dict[str, Tensor]:
        """See :meth:`Optimizer.moments`."""
        return {
            f"{kind}.{name}": tensor
            for kind, tensors in (("mean", self.means), ("square", self.squares))
            for name, tensor in zip(self.named, tensors, strict=True)
        }


class _FusedKernel:
    """The kernel of the package ``adam-atan2``, which updates all parameters at once."""

    def __init__(self, kernel: Callable[..., None]) -> None:
        self._kernel = kernel
        self._counts: list[Tensor] = []  # on the device; the kernel adds one to each
        self._steps = 0

    def __call__(self, optimizer: AdamAtan2, gradients: list[Tensor], lr: float) -> None:
        if not self._counts or self._steps + 1 != optimizer.num_steps:  # the first step, or resumed
            before = float(optimizer.num_steps - 1)
            self._counts = [
                torch.full((), before, dtype=torch.float32, device=p.device)
                for p in optimizer.parameters
            ]
        self._steps = optimizer.num_steps
        self._kernel(
            optimizer.parameters,
            gradients,
            optimizer.means,
            optimizer.squares,
            self._counts,
            beta1=optimizer.config.beta1,
            beta2=optimizer.config.beta2,
            lr=lr,
            weight_decay=optimizer.config.weight_decay,
        )


def _fused_kernel(parameters: list[Tensor]) -> _FusedKernel | None:
    """The fused kernel (``pip install adam-atan2``), None if it cannot be used."""
    if not all(p.is_cuda for p in parameters):
        return None
    try:
        from adam_atan2.adam_atan2 import _adam_atan2
    except ImportError:
        return None
    return _FusedKernel(_adam_atan2)
