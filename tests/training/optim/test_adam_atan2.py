"""Adam-atan2, in plain torch and with the fused kernel."""

import math
import sys
import types

import pytest
import torch

from trm.config import OptimConfig
from trm.training.optim.adam_atan2 import AdamAtan2


def adam_atan2_by_hand(
    weight: float, gradients: list[float], lr: float, config: OptimConfig
) -> float:
    """The fused kernel's arithmetic on one number, in double precision."""
    mean = square = 0.0
    for number, gradient in enumerate(gradients, start=1):
        weight *= 1 - lr * config.weight_decay
        mean += (1 - config.beta1) * (gradient - mean)
        square += (1 - config.beta2) * (gradient**2 - square)
        denominator = math.sqrt(square) / math.sqrt(1 - config.beta2**number)
        weight -= lr / (1 - config.beta1**number) * math.atan2(mean, denominator)
    return weight


def test_adam_atan2_by_hand() -> None:
    config = OptimConfig(lr=0.05, weight_decay=0.3, beta1=0.8, beta2=0.9)
    weights = torch.tensor([1.5, -0.2, 0.0], requires_grad=True)
    optimizer = AdamAtan2({"w": weights}, config)
    gradients = [[0.1, -3.0, 0.0], [-0.4, 2.0, 0.0], [0.0, 1e-12, 0.0]]
    for gradient in gradients:
        weights.grad = torch.tensor(gradient)
        optimizer.step(1.0)
    expected = [
        adam_atan2_by_hand(start, list(column), 0.05, config)
        for start, column in zip((1.5, -0.2, 0.0), zip(*gradients, strict=True), strict=True)
    ]
    torch.testing.assert_close(weights.detach(), torch.tensor(expected), atol=1e-6, rtol=0)


def test_the_fused_kernel_is_called_with_its_own_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in with the signature of adam-atan2 0.0.3; the counts are its own, on the device."""
    counts: list[float] = []

    def kernel(params, grads, means, squares, steps, *, beta1, beta2, lr, weight_decay) -> None:
        torch._foreach_add_(steps, 1)
        counts.append(steps[0].item())
        assert (beta1, beta2, weight_decay) == (0.9, 0.95, 0.1)
        params[0].sub_(grads[0], alpha=lr)

    package = types.ModuleType("adam_atan2")
    package.adam_atan2 = types.ModuleType("adam_atan2.adam_atan2")
    package.adam_atan2._adam_atan2 = kernel
    monkeypatch.setitem(sys.modules, "adam_atan2", package)
    monkeypatch.setitem(sys.modules, "adam_atan2.adam_atan2", package.adam_atan2)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.ones(1)
    optimizer = AdamAtan2({"w": weight}, OptimConfig(lr=0.5))
    optimizer.step(1.0)
    optimizer.step(1.0)
    optimizer.num_steps = 10  # as a resumed run sets it
    optimizer.step(1.0)
    assert counts == [1, 2, 11]
    assert weight.item() == -1.5


def test_without_the_package_the_plain_step_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.Tensor, "is_cuda", True)
    monkeypatch.setitem(sys.modules, "adam_atan2", None)
    weight = torch.zeros(1, requires_grad=True)
    weight.grad = torch.ones(1)
    AdamAtan2({"w": weight}, OptimConfig(lr=1, weight_decay=0)).step(1.0)
    assert weight.item() == pytest.approx(-10 * math.atan(0.1))


def test_a_parameter_without_gradient_decays_only() -> None:
    weight = torch.ones(1, requires_grad=True)
    AdamAtan2({"w": weight}, OptimConfig(lr=1, weight_decay=0.5)).step(0.1)
    assert weight.item() == pytest.approx(0.95)


def test_step_size_does_not_depend_on_the_scale_of_the_gradient() -> None:
    moved = []
    for scale in (1e-6, 1.0, 1e6):
        weight = torch.zeros(1, requires_grad=True)
        weight.grad = torch.full((1,), scale)
        AdamAtan2({"w": weight}, OptimConfig(lr=1)).step(1.0)
        moved.append(weight.item())
    assert moved == pytest.approx([-10 * math.atan(0.1)] * 3)
