"""The layers of the core network: post-norm blocks that mix tokens, then features.

Paper section 4; published ``models/layers.py``. A weight is used in the type it is passed in:
:class:`trm.models.trm.TinyRecursiveModel` casts all of them once per supervision step.
"""

import functools
import math
import os

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from trm.config import ModelConfig
from trm.errors import ConfigError, did_you_mean
from trm.models.norm import rms_norm
from trm.models.swiglu import Gated, each, normed_gated, plain_gated

Hidden = Float[Tensor, "batch tokens hidden"]
#: Cosines and sines of the rotary positions.
Rotary = tuple[Float[Tensor, "tokens head"], Float[Tensor, "tokens head"]]


def truncated_normal_(tensor: Tensor, std: float, generator: torch.Generator | None = None) -> None:
    """Fill with a normal cut at two deviations, whose deviation *after* the cut is ``std``."""
    cut = 2.0
    density = math.exp(-0.5 * cut * cut) / math.sqrt(2 * math.pi)
    kept = math.erf(cut / math.sqrt(2))
    scale = std / math.sqrt(1 - 2 * cut * density / kept)
    nn.init.trunc_normal_(tensor, 0.0, scale, -cut * scale, cut * scale, generator=generator)


def swiglu_width(width: int, expansion: float, multiple: int) -> int:
    """The inner width of a SwiGLU: 2/3 of the expansion, rounded up to a multiple.

    >>> swiglu_width(512, 4.0, 256)
    1536
    """
    return -(-round(expansion * width * 2 / 3) // multiple) * multiple


class SwiGLU(nn.Module):
    """``down(silu(gate(x)) * up(x))`` on the last axis, without biases.

    Args:
        width: of the axis.
        inner: the width between.
        gated: the first half, see :mod:`trm.models.swiglu`.
    """

    def __init__(self, width: int, inner: int, gated: Gated) -> None:
        super().__init__()
        self.gate_up = nn.Linear(width, 2 * inner, bias=False)
        self.down = nn.Linear(inner, width, bias=False)
        self.gated = gated

    def forward(self, x: Float[Tensor, "*axes width"]) -> Float[Tensor, "*axes width"]:
        out: Tensor = self.down(self.gated(self.gate_up.weight, x, -1))
        return out


class TokenSwiGLU(SwiGLU):
    """The same over the tokens, the second axis of three."""

    def forward(self, x: Hidden) -> Hidden:
        if torch.is_grad_enabled() and x.device.type == "cpu":
            # The fastest for a gradient there: one product sums those of all examples.
            return super().forward(x.transpose(1, 2)).transpose(1, 2)
        return self.on_left(x)

    def on_left(self, x: Hidden) -> Hidden:
        """With the weights on the left, so that nothing is transposed.

        Tensor cores load rows of whole multiples of 16 bytes: those of 97 tokens are not, hence
        the first weight column by column there.
        """
        weight = self.gate_up.weight
        if x.is_cuda:
            weight = weight.t().contiguous().t()
        return each(self.down.weight, self.gated(weight, x, 1))


class Attention(nn.Module):
    """Multi-head attention of every token to every token, without biases."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Hidden, rotary: Rotary | None) -> Hidden:
        query, key, value = rearrange(
            self.qkv(x), "b l (qkv h d) -> qkv b h l d", qkv=3, h=self.num_heads
        )
        if rotary is not None:
            query, key = rotate(query, rotary), rotate(key, rotary)
        mixed = F.scaled_dot_product_attention(query, key, value)
        out: Tensor = self.out(rearrange(mixed, "b h l d -> b l (h d)"))
        return out


def rotary_table(num_tokens: int, head_dim: int, theta: float) -> Rotary:
    """Rotary positions (Su et al. 2021): float32 cosines and sines of each token's angles."""
    frequencies = 1 / theta ** (torch.arange(0, head_dim, 2, dtype=torch.float32) / head_dim)
    angles = torch.outer(torch.arange(num_tokens, dtype=torch.float32), frequencies)
    both = torch.cat((angles, angles), dim=-1)
    return both.cos(), both.sin()


def rotate(
    x: Float[Tensor, "batch heads tokens head"], rotary: Rotary
) -> Float[Tensor, "batch heads tokens head"]:
    """Turn each pair of features (d, d + head/2) by its token's angle, in float32 at least."""
    cos, sin = rotary
    wide = x.to(torch.promote_types(x.dtype, cos.dtype))
    first, second = wide.chunk(2, dim=-1)
    return (wide * cos + torch.cat((-second, first), dim=-1) * sin).to(x.dtype)


class Block(nn.Module):
    """Mix tokens, add, normalise; mix features, add, normalise (post-norm).

    With ``mlp_t`` tokens are mixed by a SwiGLU over the token axis, and that sum is normalised
    over the token axis too, as published.
    """

    def __init__(self, config: ModelConfig, num_tokens: int) -> None:
        super().__init__()
        self.eps = config.rms_norm_eps
        gated = chosen_gated(config)
        self.mixer: TokenSwiGLU | Attention
        if config.mlp_t:
            self.mixer = TokenSwiGLU(num_tokens, _inner(num_tokens, config), gated)
        else:
            self.mixer = Attention(config.hidden_size, config.num_heads)
        self.mlp = SwiGLU(config.hidden_size, _inner(config.hidden_size, config), gated)

    def forward(self, x: Hidden, rotary: Rotary | None) -> Hidden:
        if isinstance(self.mixer, Attention):
            x = rms_norm(x + self.mixer(x, rotary), self.eps)
        else:
            x = rms_norm(x + self.mixer(x), self.eps, axis=1)
        return rms_norm(x + self.mlp(x), self.eps)


def _inner(width: int, config: ModelConfig) -> int:
    return swiglu_width(width, config.expansion, config.swiglu_multiple)


VARIABLE = "TRM_KERNELS"


def chosen_gated(config: ModelConfig) -> Gated:
    """What ``model.swiglu`` asks for, in the version that ``TRM_KERNELS`` names.

    Raises:
        ConfigError: if it names none, or Triton where that is not installed or has no such kernel.
    """
    name = os.environ.get(VARIABLE, "plain")
    if name not in ("plain", "triton"):
        hint = did_you_mean(name, ("plain", "triton"))
        raise ConfigError(f"environment {VARIABLE}: there are no kernels {name!r}. {hint}")
    if config.swiglu == "normed":
        if name != "plain":
            raise ConfigError(
                f"environment {VARIABLE}: {name} has no kernel for model.swiglu = normed. Unset it."
            )
        return functools.partial(normed_gated, eps=config.rms_norm_eps)
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
