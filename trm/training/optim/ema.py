"""The exponential moving average (EMA) of the weights."""

import contextlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from trm.models import TinyRecursiveModel


class EMA:
    """An exponential running average of the parameters (EMA); buffers are not averaged.

    Args:
        parameters: by name; the average starts as a copy of them.
        rate: the share that stays at each update.
    """

    def __init__(self, parameters: Mapping[str, Tensor], rate: float) -> None:
        self.parameters = parameters
        self.rate = rate
        self.average = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the parameters as they are now."""
        torch._foreach_lerp_(
            list(self.average.values()), list(self.parameters.values()), 1 - self.rate
        )


@contextlib.contextmanager
def averaged(model: TinyRecursiveModel, average: EMA | None) -> Iterator[None]:
    """The model with its averaged weights inside the block; nothing is copied."""
    if average is None:
        yield
        return
    parameters = dict(model.named_parameters())
    own = {name: p.data for name, p in parameters.items()}
    try:
        for name, parameter in parameters.items():
            parameter.data = average.average[name]
        yield
    finally:
        for name, parameter in parameters.items():
            parameter.data = own[name]
