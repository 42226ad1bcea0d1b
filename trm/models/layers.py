"""The layers of the network: RMSNorm, SwiGLU, attention and the block made of them.

Paper section 4, published ``models/layers.py``. A layer computes in the dtype of its weights, which
:class:`trm.models.base.RecursiveModel` casts once per supervision step.
"""

import functools
import math
import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor, nn

from trm.config.model import BlockConfig
from trm.errors import ConfigError, did_you_mean

Hidden = Float[Tensor, "batch tokens hidden"]
#: Cosines and sines of the rotary positions.
Rotary = tuple[Float[Tensor, "tokens head"], Float[Tensor, "tokens head"]]
#: A gated linear unit, ``glu(weight, x, axis)``: ``weight`` is (2 * inner, width), the rows of gate
#: before those of up; ``axis`` is the axis of ``x`` with size ``width``, -1 or (of three) 1.
GLU = Callable[[Tensor, Tensor, int], Tensor]
#: The environment variable that selects the kernels of a SwiGLU: ``plain`` or ``triton``.
KERNELS_VARIABLE = "TRM_KERNELS"


def truncated_normal_(tensor: Tensor, std: float, generator: torch.Generator | None = None) -> None:
    """Fill with a normal cut off at two deviations, whose deviation *after* the cut is ``std``."""
    cut = 2.0
    density = math.exp(-0.5 * cut * cut) / math.sqrt(2 * math.pi)
    kept = math.erf(cut / math.sqrt(2))
    scale = std / math.sqrt(1 - 2 * cut * density / kept)
    nn.init.trunc_normal_(tensor, 0.0, scale, -cut * scale, cut * scale, generator=generator)


def rms_norm(x: Float[Tensor, "*axes"], eps: float, axis: int = -1) -> Float[Tensor, "*axes"]:
    """Divide by the root mean square along an axis, in float32 or wider; no learned scale."""
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    return (wide * torch.rsqrt(wide.square().mean(axis, keepdim=True) + eps)).to(x.dtype)


def silu_glu(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int
) -> Float[Tensor, "*others"]:
    """``silu(gate(x)) * up(x)``, the first half of the published SwiGLU; see :data:`GLU`.

    The Triton kernel rounds where this does: after each product, after ``silu`` and at the end.
    """
    gate, up = _gate_and_up(weight, x, axis)
    return F.silu(gate) * up


def normed_glu(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int, *, eps: float
) -> Float[Tensor, "*others"]:
    """``sigmoid(gate(x)) * rms_norm(gate(x) * up(x))`` (Dillon 2026, arXiv 2601.19085).

    ``silu(gate) * up`` equals ``sigmoid(gate) * gate * up``. The norm removes the scale of
    ``gate * up``, which grows with the large weights that Muon makes.
    """
    gate, up = _gate_and_up(weight, x, axis)
    return gate.sigmoid() * rms_norm(gate * up, eps, axis)


def _gate_and_up(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "*axes"], axis: int
) -> tuple[Float[Tensor, "*others"], Float[Tensor, "*others"]]:
    if axis == -1:
        gate, up = F.linear(x, weight).chunk(2, dim=-1)
    else:
        gate, up = left_matmul(weight, x).chunk(2, dim=1)
    return gate, up


def left_matmul(
    weight: Float[Tensor, "rows columns"], x: Float[Tensor, "batch columns hidden"]
) -> Float[Tensor, "batch rows hidden"]:
    """``weight @ x`` as a batched product; the operator itself would transpose and copy ``x``."""
    return torch.bmm(weight.expand(x.shape[0], -1, -1), x)


def select_glu(config: BlockConfig) -> GLU:
    """The gated linear unit for ``model.swiglu`` and the environment variable ``TRM_KERNELS``.

    Raises:
        ConfigError: if the variable has an unknown value, or selects Triton where Triton is not
            installed or has no kernel for ``model.swiglu``.
    """
    name = os.environ.get(KERNELS_VARIABLE, "plain")
    if name not in ("plain", "triton"):
        hint = did_you_mean(name, ("plain", "triton"))
        raise ConfigError(f"environment {KERNELS_VARIABLE}: unknown kernels {name!r}. {hint}")
    if config.has_normed_swiglu:
        if name != "plain":
            raise ConfigError(
                f"environment {KERNELS_VARIABLE}: {name} has no kernel for model.swiglu = normed. "
                "Unset it."
            )
        return functools.partial(normed_glu, eps=config.rms_norm_eps)
    if name == "plain":
        return silu_glu
    try:
        from trm.models.kernels import triton_silu_glu
    except ImportError as error:
        raise ConfigError(
            f"environment {KERNELS_VARIABLE}: triton cannot be imported ({error}). "
            f"Run pip install triton, or unset {KERNELS_VARIABLE}."
        ) from error
    return triton_silu_glu


def swiglu_width(width: int, expansion: float, multiple: int) -> int:
    """The inner width of a SwiGLU: 2/3 of the expansion, rounded up to a multiple.

    >>> swiglu_width(512, 4.0, 256)
    1536
    """
    return -(-round(expansion * width * 2 / 3) // multiple) * multiple


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))`` on the last axis, without biases.

    Args:
        width: size of that axis.
        inner: size of gate and up.
        glu: the first half, such as :func:`silu_glu`.
    """

    def __init__(self, width: int, inner: int, glu: GLU) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.glu = glu

    def forward(self, x: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes width"]:
        out: Tensor = self.down(self.glu(self.gate_up.weight, x, -1))
        return out


class TokenSwiGLU(SwiGLU):
    """A SwiGLU over the tokens, the second of three axes."""

    def forward(self, x: Hidden) -> Hidden:
        if torch.is_grad_enabled() and x.device.type == "cpu":
            # Fastest with a gradient on a CPU: one product sums over all examples.
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        return self.left_multiply(x)

    def left_multiply(self, x: Hidden) -> Hidden:
        """The same, with the weights on the left, so that nothing is transposed.

        Tensor cores load rows in multiples of 16 bytes. The rows of a weight for 97 tokens do not
        fit that, so on a GPU this weight is stored column by column.
        """
        weight = self.gate_up.weight
        if x.is_cuda:
            weight = weight.t().contiguous().t()
        return left_matmul(self.down.weight, self.glu(weight, x, 1))


class Attention(nn.Module):
    """Multi-head self-attention, bidirectional and without biases.

    Args:
        width: of a token.
        num_heads: the number of heads, each ``width // num_heads`` wide. Together they may be
            narrower than ``width``.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        inner = width // num_heads * num_heads
        self.qkv = nn.Linear(width, 3 * inner, bias=False)
        self.out = nn.Linear(inner, width, bias=False)

    def forward(self, x: Hidden, rotary: Rotary | None) -> Hidden:
        query, key, value = rearrange(
            self.qkv(x), "b l (qkv h d) -> qkv b h l d", qkv=3, h=self.num_heads
        )
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(rearrange(mixed, "b h l d -> b l (h d)"))
        return out


def rotary_table(positions: Int[Tensor, "axes tokens"], head_dim: int, theta: float) -> Rotary:
    """Rotary positions (Su et al. 2021): float32 cosines and sines of each token's angles.

    Args:
        positions: of each token on each axis. Each axis rotates an equal share of a head.
        head_dim: width of a head.
        theta: base of the frequencies.
    """
    width = head_dim // len(positions)
    frequencies = 1 / theta ** (torch.arange(0, width, 2, dtype=torch.float32) / width)
    angles = torch.cat([torch.outer(axis.float(), frequencies) for axis in positions], dim=-1)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos(), both.sin()


def rotate(
    x: Float[Tensor, "batch heads tokens head"], rotary: Rotary
) -> Float[Tensor, "batch heads tokens head"]:
    """Rotate each pair of features (d, d + head/2) by its token's angle, in float32 or wider."""
    cos, sin = rotary
    wide = x.to(torch.promote_types(x.dtype, cos.dtype))
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


class Block(nn.Module):
    """Mix tokens, add, normalise; mix features, add, normalise (post-norm).

    With an MLP mixer (``mlp_t``), a SwiGLU over the token axis mixes the tokens, and the first norm
    is over the token axis too, as published.
    """

    def __init__(self, config: BlockConfig, num_tokens: int) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        glu = select_glu(config)

        def inner(width: int) -> int:
            return swiglu_width(width, config.expansion, config.swiglu_multiple)

        self.mixer: TokenSwiGLU | Attention
        if config.has_mlp_mixer:
            self.mixer = TokenSwiGLU(num_tokens, inner(num_tokens), glu)
        else:
            self.mixer = Attention(config.hidden_size, config.num_heads)
        self.mlp = SwiGLU(config.hidden_size, inner(config.hidden_size), glu)

    def forward(self, x: Hidden, rotary: Rotary | None = None) -> Hidden:
        if isinstance(self.mixer, Attention):
            x = rms_norm(x + self.mixer(x, rotary), self.eps)
        else:
            x = rms_norm(x + self.mixer(x), self.eps, axis=1)
        return rms_norm(x + self.mlp(x), self.eps)
