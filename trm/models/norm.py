"""The one norm of the network."""

import torch
from jaxtyping import Float
from torch import Tensor


def rms_norm(x: Float[Tensor, "*axes"], eps: float, axis: int = -1) -> Float[Tensor, "*axes"]:
    """Divide by the root mean square of an axis, in float32 at least; no learned scale."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.square().mean(axis, keepdim=True) + eps)).to(x.dtype)
