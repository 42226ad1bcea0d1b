"""The first half of a SwiGLU, ``silu(gate(x)) * up(x)``: the plain version, and the choice of one.

The environment variable ``TRM_KERNELS`` chooses: ``plain``, as if it were not set, or ``triton``,
for :mod:`trm.models.kernels`. It is read as a model is built. ``model.swiglu`` chooses what is
computed: that, or :func:`normed_gated`.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from trm.models.norm import rms_norm

#: Takes weight (2 * inner, width) and x, with the axis of x that has ``width``: 1 of three or -1.
#: The rows of the gate stand before those of up.
Gated = Callable[[Tensor, Tensor, int], Tensor]


def plain_gated(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int
) -> Float[Tensor, "*others"]:
    """What every version has to compute: products, ``silu`` and their product, each rounded."""
    gate, up = _gate_and_up(weight, x, axis)
    return F.silu(gate) * up


def normed_gated(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int, *, eps: float
) -> Float[Tensor, "*others"]:
    """``sigmoid(gate(x)) * rms_norm(gate(x) * up(x))`` (Dillon 2026, arXiv 2601.19085).

    ``silu(gate) * up`` is ``sigmoid(gate) * gate * up``; the norm takes the size out of that
    product, which grows with matrices as large as Muon's steps make them.
    """
    gate, up = _gate_and_up(weight, x, axis)
    return gate.sigmoid() * rms_norm(gate * up, eps, axis)


def _gate_and_up(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int
) -> tuple[Float[Tensor, "*others"], Float[Tensor, "*others"]]:
    if axis == -1:
        gate, up = F.linear(x, weight).chunk(2, dim=-1)
    else:
        gate, up = each(weight, x).chunk(2, dim=1)
    return gate, up


def each(
    weight: Float[Tensor, "rows columns"], x: Float[Tensor, "batch columns hidden"]
) -> Float[Tensor, "batch rows hidden"]:
    """The product with each example; ``weight @ x`` would transpose them into one matrix."""
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)
