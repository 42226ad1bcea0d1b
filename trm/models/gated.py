"""The first half of a SwiGLU, ``silu(gate(x)) * up(x)``: the plain version, and the choice of one.

The environment variable ``TRM_KERNELS`` chooses: ``plain``, as if it were not set, or ``triton``,
for :mod:`trm.models.kernels`. It is read as a model is built.
"""

import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trm.errors import ConfigError, did_you_mean

VARIABLE = "TRM_KERNELS"
#: Takes weight (2 * inner, width) and x, with the axis of x that has ``width``: 1 of three or -1.
#: The rows of the gate stand before those of up.
Gated = Callable[[Tensor, Tensor, int], Tensor]


def chosen_gated() -> Gated:
    """The version that ``TRM_KERNELS`` names.

    Raises:
        ConfigError: if it names none, or Triton where that is not installed.
    """
    name = os.environ.get(VARIABLE, "plain")
    if name not in ("plain", "triton"):
        hint = did_you_mean(name, ("plain", "triton"))
        raise ConfigError(f"environment {VARIABLE}: there are no kernels {name!r}. {hint}")
    if name == "plain":
        return plain_gated
    try:
        from trm.models.kernels import triton_gated
    except ImportError as error:
        raise ConfigError(
            f"environment {VARIABLE}: triton cannot be imported ({error}). Run pip install triton, "
            f"or unset {VARIABLE}."
        ) from error
    return triton_gated


def plain_gated(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int
) -> Float[Tensor, "*others"]:
    """What every version has to compute: products, ``silu`` and their product, each rounded."""
    if axis == -1:
        gate, up = F.linear(x, weight).chunk(2, dim=-1)
    else:
        gate, up = each(weight, x).chunk(2, dim=1)
    return F.silu(gate) * up


def each(
    weight: Float[Tensor, "rows columns"], x: Float[Tensor, "batch columns hidden"]
) -> Float[Tensor, "batch rows hidden"]:
    """The product with each example; ``weight @ x`` would transpose them into one matrix."""
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)
