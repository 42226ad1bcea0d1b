"""The base class of a run's optimizers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor

from trm.config import OptimConfig


class Optimizer(ABC):
    """Updates the network's parameters by their gradients.

    Args:
        parameters: by name, all of one type and on one device.
        config: the settings.

    Attributes:
        num_steps: steps taken. A resumed run sets it.
    """

    num_steps: int

    def __init__(self, parameters: Mapping[str, Tensor], config: OptimConfig) -> None:
        self.named = parameters
        self.parameters = list(parameters.values())
        self.config = config

    @abstractmethod
    def step(self, scale: float) -> None:
        """Update the parameters. The gradients stay until :meth:`zero_grad`.

        Args:
            scale: a factor for the learning rates, see :func:`learning_rate_scale`.
        """

    @abstractmethod
    def moments(self) -> dict[str, Tensor]:
        """The state between steps, by kind and parameter, to be saved or loaded into."""

    def gradients(self) -> list[Tensor]:
        """The gradient of each parameter, zeros if it has none."""
        return [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]

    def zero_grad(self) -> None:
        """Drop the gradients."""
        for parameter in self.parameters:
            parameter.grad = None
