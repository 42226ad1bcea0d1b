"""The first half of a SwiGLU as one Triton kernel for NVIDIA GPUs, forward only.

The kernel writes ``silu(gate) * up`` to memory, but neither gate nor up. This module needs Triton.
"""

from typing import Any

import torch
import triton  # type: ignore[import-not-found, import-untyped, unused-ignore]
import triton.language as tl  # type: ignore[import-not-found, import-untyped, unused-ignore]
from jaxtyping import Float
from torch import Tensor
from torch.library import triton_op, wrap_triton

from trm.models.layers import silu_glu


def triton_silu_glu(
    weight: Float[Tensor, "rows width"], x: Float[Tensor, "..."], axis: int
) -> Float[Tensor, "..."]:
    """:func:`trm.models.layers.silu_glu`, computed by the kernel where possible.

    The kernel runs without a gradient, in 16 bits, on an NVIDIA GPU. To test it on a CPU, Triton's
    interpreter (``TRITON_INTERPRET=1``) runs it in float32 and float16.
    """
    if torch.is_grad_enabled() or x.dtype not in _TYPES or not (x.is_cuda or _INTERPRETED):
        return silu_glu(weight, x, axis)
    if axis == -1:  # make each vector a column
        columns = x.reshape(1, -1, x.shape[-1]).transpose(1, 2)
        return triton_silu_glu(weight, columns, 1).transpose(1, 2).reshape(*x.shape[:-1], -1)
    out: Tensor = gated_columns(weight, x)
    return out


@triton_op("trm::gated_columns", mutates_args=())
def gated_columns(weight: Tensor, x: Tensor) -> Tensor:
    """``silu(gate @ x) * (up @ x)`` for each matrix of a batch.

    Args:
        weight: (2 * inner, width), the rows of gate before the rows of up, with the dtype of ``x``.
        x: (batch, width, columns), with any strides.

    Returns:
        (batch, inner, columns), with the memory layout of ``x``.
    """
    (batch, width, columns), inner = x.shape, weight.shape[0] // 2
    if x.stride(1) == 1:
        out = x.new_empty(batch, columns, inner).transpose(1, 2)
    else:
        out = x.new_empty(batch, inner, columns)

    def grid(tiles: dict[str, Any]) -> tuple[int]:
        return (batch * triton.cdiv(inner, tiles["ROWS"]) * triton.cdiv(columns, tiles["COLUMNS"]),)

    strides = (*weight.stride(), *x.stride(), *out.stride())
    wrap_triton(_tuned_kernel)[grid](weight, x, out, inner, columns, *strides, width)
    return out


#: The tile sizes to choose from. The two float32 accumulators take half of a thread's registers.
#: DEPTH is the same in all, so that the choice does not change the order of a sum.
TILE_CONFIGS = [
    triton.Config({"ROWS": rows, "COLUMNS": columns, "DEPTH": 64}, num_warps=warps, num_stages=3)
    for rows, columns, warps in ((64, 128, 4), (128, 64, 4), (128, 128, 8), (64, 256, 8))
]


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def gated_kernel(  # type: ignore[no-untyped-def]
    weight, x, out, inner, columns,
    weight_row, weight_column, x_batch, x_row, x_column, out_batch, out_row, out_column,
    width: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr, DEPTH: tl.constexpr,
):  # fmt: skip
    # Neighbouring programs share their columns of x. The whole weight fits into the L2 cache.
    row_tiles, column_tiles = tl.cdiv(inner, ROWS), tl.cdiv(columns, COLUMNS)
    tile = tl.program_id(0)
    batch = (tile // (row_tiles * column_tiles)).to(tl.int64)
    rows = tile % row_tiles * ROWS + tl.arange(0, ROWS)
    places = tile // row_tiles % column_tiles * COLUMNS + tl.arange(0, COLUMNS)
    depths = tl.arange(0, DEPTH)
    wide = places.to(tl.int64)  # times a stride, this may exceed 2**31
    gates = weight + rows[:, None] * weight_row + depths[None, :] * weight_column
    ups = gates + inner * weight_row
    inputs = x + batch * x_batch + depths[:, None] * x_row + wide[None, :] * x_column
    gate = tl.zeros((ROWS, COLUMNS), tl.float32)
    up = tl.zeros((ROWS, COLUMNS), tl.float32)
    for start in range(0, width, DEPTH):
        left = depths < width - start
        block = tl.load(inputs, left[:, None] & (places < columns)[None, :], 0.0)
        weight_mask = (rows < inner)[:, None] & left[None, :]
        gate = tl.dot(tl.load(gates, weight_mask, 0.0), block, gate)
        up = tl.dot(tl.load(ups, weight_mask, 0.0), block, up)
        gates += DEPTH * weight_column
        ups += DEPTH * weight_column
        inputs += DEPTH * x_row
    # Round wherever the plain version rounds. Only the order of the sums differs.
    kind: tl.constexpr = out.dtype.element_ty
    gate, up = gate.to(kind).to(tl.float32), up.to(kind).to(tl.float32)
    silu = (gate * tl.sigmoid(gate)).to(kind).to(tl.float32)
    outputs = out + batch * out_batch + rows[:, None] * out_row + wide[None, :] * out_column
    tl.store(outputs, (silu * up).to(kind), (rows < inner)[:, None] & (places < columns)[None, :])


_INTERPRETED = not isinstance(gated_kernel, triton.JITFunction)
#: No float32 on a GPU: tensor cores round it, and without them the tiles exceed the registers.
#: No bfloat16 in the interpreter: it multiplies the bits as integers.
_TYPES = (torch.float16, torch.float32 if _INTERPRETED else torch.bfloat16)
#: Tuned once for each size and dtype of the weight, whatever the batch.
_tuned_kernel = triton.autotune(
    TILE_CONFIGS[:1] if _INTERPRETED else TILE_CONFIGS, key=["inner", "width"]
)(gated_kernel)
