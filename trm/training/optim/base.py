"""What every optimizer of a run can do."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from trm.config import OptimConfig


class Optimizer(ABC):
    """What moves the network's parameters by their gradients.

    Args:
        parameters: what to move by name, all of one type and on one device.
        config: the settings.

    Attributes:
        num_steps: steps taken, which a run that goes on sets.
    """

    num_steps: int

    def __init__(self, parameters: Mapping[str, Tensor], config: OptimConfig) -> None:
        self.named = parameters
        self.parameters = list(parameters.values())
        self.config = config

    @abstractmethod
    def step(self, scale: float) -> None:
        """Move the parameters by their gradients, which stay; call :meth:`zero_grad` then.

        Args:
            scale: what the learning rates are multiplied with, see :func:`learning_rate_scale`.
        """

    @abstractmethod
    def moments(self) -> dict[str, Tensor]:
        """What is remembered from step to step, by kind and parameter; to be saved or filled."""

    def gradients(self) -> list[Tensor]:
        """The gradient of each parameter, zeros where there is none."""
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters:
            parameter.grad = None
