"""The first half of a SwiGLU as one kernel for NVIDIA GPUs, in Triton; forward only.

Neither gate nor up is written to memory, only their product. Import this where Triton is installed.
"""

from typing import Any

import torch
import triton  # type: ignore[import-not-found, import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, import-untyped, unused-ignore]
from jaxtyping import Float
from torch import Tensor
from torch.library import triton_op, wrap_triton

from trm.models.swiglu import plain_gated


def triton_gated(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "..."], axis: int
) -> Float[Tensor, "..."]:
    """:func:`trm.models.swiglu.plain_gated`, by the kernel where it can compute that.

    That is without a gradient and in 16 bits, on an NVIDIA GPU; or in float32 and float16 on a CPU,
    where Triton's interpreter is asked for (``TRITON_INTERPRET=1``), to test it.
    """
    if torch.is_grad_enabled() or x.dtype not in _TYPES or not (x.is_cuda or _INTERPRETED):
        return plain_gated(weight, x, axis)
    if axis == -1:  # each vector is a column
        columns = x.reshape(1, -1, x.shape[-1]).transpose(1, 2)
        return triton_gated(weight, columns, 1).transpose(1, 2).reshape(*x.shape[:-1], -1)
    out: Tensor = gated_columns(weight, x)
    return out


@triton_op("trm::gated_columns", mutates_args=())
def gated_columns(weight: Tensor, x: Tensor) -> Tensor:
    """``silu(gate @ x) * (up @ x)`` for each matrix of a batch.

    Args:
        weight: the rows of gate, then those of up (2 * inner, width), of the type of ``x``.
        x: (batch, width, columns), of any strides.

    Returns:
        (batch, inner, columns), laid out as ``x`` is.
    """
    (batch, width, columns), inner = x.shape, weight.shape[0] // 2
    if x.stride(1) == 1:
        out = x.new_empty(batch, columns, inner).transpose(1, 2)
    else:
        out = x.new_empty(batch, inner, columns)

    def grid(tiles: dict[str, Any]) -> tuple[int]:
        return (batch * triton.cdiv(inner, tiles["ROWS"]) * triton.cdiv(columns, tiles["COLUMNS"]),)

    strides = (*weight.stride(), *x.stride(), *out.stride())
    wrap_triton(_kernel)[grid](weight, x, out, inner, columns, *strides, width)
    return out


def _config(rows: int, columns: int, warps: int, stages: int) -> Any:
    # All of one depth, so that the choice does not change the order in which a sum is taken.
    tiles = {"ROWS": rows, "COLUMNS": columns, "DEPTH": 64}
    return triton.Config(tiles, num_warps=warps, num_stages=stages)


#: Two float32 accumulators of a tile leave each thread half of its registers.
_CONFIGS = [
    _config(64, 128, 4, 3),
    _config(128, 64, 4, 3),
    _config(128, 128, 8, 3),
    _config(64, 256, 8, 3),
]


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _gated_kernel(  # type: ignore[no-untyped-def]
    weight, x, out, inner, columns,
    weight_row, weight_column, x_batch, x_row, x_column, out_batch, out_row, out_column,
    width: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    # Programs side by side share their columns of x; the weight fits into the L2 cache as it is.
    row_tiles, column_tiles = tl.cdiv(inner, ROWS), tl.cdiv(columns, COLUMNS)
    tile = tl.program_id(0)
    batch = (tile // (row_tiles * column_tiles)).to(tl.int64)
    rows = tile % row_tiles * ROWS + tl.arange(0, ROWS)
    places = tile // row_tiles % column_tiles * COLUMNS + tl.arange(0, COLUMNS)
    depths = tl.arange(0, DEPTH)
    wide = places.to(tl.int64)  # which times a stride may be more than 2**31
    gates = weight + rows[:, None] * weight_row + depths[None, :] * weight_column
    ups = gates + inner * weight_row
    inputs = x + batch * x_batch + depths[:, None] * x_row + wide[None, :] * x_column
    gate = tl.zeros((ROWS, COLUMNS), tl.float32)
    up = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, width, DEPTH):
        left = depths < width - start
        given = tl.load(inputs, left[:, None] & (places < columns)[None, :], 0.0)
        weight_mask = (rows < inner)[:, None] & left[None, :]
        gate = tl.dot(tl.load(gates, weight_mask, 0.0), given, gate)
        up = tl.dot(tl.load(ups, weight_mask, 0.0), given, up)
        gates += DEPTH * weight_column
        ups += DEPTH * weight_column
        inputs += DEPTH * x_row
    # Rounded wherever the plain version rounds: what differs is the order of the sums.
    kind: tl.constexpr = out.dtype.element_ty
    gate, up = gate.to(kind).to(tl.float32), up.to(kind).to(tl.float32)
    silu = (gate * tl.sigmoid(gate)).to(kind).to(tl.float32)
    outputs = out + batch * out_batch + rows[:, None] * out_row + wide[None, :] * out_column
    tl.store(outputs, (silu * up).to(kind), (rows < inner)[:, None] & (places < columns)[None, :])


_INTERPRETED = not isinstance(_gated_kernel, triton.JITFunction)
#: Tensor cores round float32, and without them the tiles are too large for the registers. The
#: interpreter multiplies the bits of a bfloat16 as if they were an integer's.
_TYPES = (torch.float16, torch.float32 if _INTERPRETED else torch.bfloat16)
#: Tuned anew for a weight of another size or type, not for another batch.
_kernel = triton.autotune(_CONFIGS[:1] if _INTERPRETED else _CONFIGS, key=["inner", "width"])(
    _gated_kernel
)
