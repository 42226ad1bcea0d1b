"""The exponential moving average (EMA) of the weights."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from trm.models import RecursiveModel


class EMA:
    """An exponential moving average of the parameters. Buffers are not averaged.

    Args:
        parameters: by name; the average starts as a copy of them.
        rate: the share of the average that an update keeps.

    Attributes:
        weights: the averaged parameters, by name.
    """

    def __init__(self, parameters: Mapping[str, Tensor], rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self.weights = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the current parameters."""
        torch._foreach_lerp_(
            list(self.weights.values()), list(self.parameters.values()), 1 - self.rate
        )


@contextlib.contextmanager
def ema_weights(model: RecursiveModel, ema: EMA | None) -> Iterator[None]:
    """Inside the block the model has its averaged weights. Nothing is copied."""
    if ema is None:
        yield
        return
    parameters = dict(model.named_parameters())
    own = {name: p.data for name, p in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = ema.weights[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
