"""Run the Triton kernel in its own process, since Triton reads the environment when imported.

TRITON_INTERPRET=1 python kernel_program.py results cpu float32 float16 FILE
python kernel_program.py assembly FILE
"""

import os
import sys
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from trm.config import TRMConfig
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.models.layers import GLU, select_glu, silu_glu

#: Batch, width, columns, inner: whole tiles, part of a tile, several, and Sudoku's 97 tokens.
SHAPES = [(1, 64, 128, 64), (3, 5, 7, 3), (1, 97, 33, 48), (3, 97, 130, 70), (2, 200, 1, 129)]
MODELS: dict[str, dict[str, Any]] = {
    "mlp": {"mlp_t": True, "pos_encodings": "none"},
    "attention": {},
}


class Calls(TorchDispatchMode):
    """Counts the calls of the kernel."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.count += str(func) == "trm.gated_columns.default"
        return func(*args, **(kwargs or {}))


def in_nan(x: Tensor) -> Tensor:
    """A view of the same numbers inside a tensor of NaNs, which must not be read."""
    outer = x.new_full([size + 4 for size in x.shape], float("nan"))
    inside = outer[tuple(slice(2, 2 + size) for size in x.shape)]
    return inside.copy_(x)


def products(kernel: GLU, device: torch.device, dtype: torch.dtype) -> list[Any]:
    """The results of the kernel and the plain version for each shape and layout."""
    rng, cases = torch.Generator().manual_seed(0), []
    for batch, width, columns, inner in SHAPES:
        weight = torch.randn(2 * inner, width, generator=rng) / width**0.5
        tokens = torch.randn(batch, width, columns, generator=rng)
        weight, tokens = weight.to(device, dtype), tokens.to(device, dtype)
        features = tokens.transpose(1, 2)
        layouts = {
            "tokens": (weight, tokens, 1),
            "tokens, weight by columns": (weight.t().contiguous().t(), tokens, 1),
            "features": (weight, features.contiguous(), -1),
            "features, of any strides": (weight, features, -1),
            "inside a larger tensor": (in_nan(weight), in_nan(tokens), 1),
        }
        for name, arguments in layouts.items():
            with Calls() as calls:
                result = kernel(*arguments)
            cases.append(((batch, width, columns, inner), name, result, silu_glu(*arguments)))
            assert calls.count == 1
    return cases


def model_run(name: str, kernels: str, device: torch.device, *, training: bool) -> dict[str, Any]:
    """The logits and gradients of two supervision steps, and the number of kernel calls."""
    os.environ["TRM_KERNELS"] = kernels
    settings = {
        "hidden_size": 16, "num_heads": 2, "h_cycles": 2, "l_cycles": 2, "swiglu_multiple": 8,
        "forward_dtype": "float32" if device.type == "cpu" else "bfloat16",
    }  # fmt: skip
    config = TRMConfig.model_validate(settings | MODELS[name])
    rng = torch.Generator().manual_seed(1)
    model = TinyRecursiveModel(config, PuzzleSpec(6, 9), generator=rng).to(device)
    inputs = torch.randint(0, 6, (3, 9), generator=rng, dtype=torch.int32).to(device)
    identifiers = torch.zeros(3, dtype=torch.int32, device=device)
    with torch.enable_grad() if training else torch.inference_mode(), Calls() as calls:
        embedded = model.embed(inputs, model.puzzle_vectors(identifiers))
        state = model.initial_state(3)
        for _ in range(2):
            state, logits, _ = model(state, embedded)
    gradients = []
    if training:
        logits.square().mean().backward()
        gradients = [p.grad for p in model.core.parameters()]
    return {"logits": logits.detach(), "gradients": gradients, "calls": calls.count}


def results(device: torch.device, dtypes: list[str]) -> dict[str, Any]:
    kernel = select_glu(TRMConfig())
    with torch.no_grad():
        cases = {dtype: products(kernel, device, getattr(torch, dtype)) for dtype in dtypes}
    models = {
        (name, training, kernels): model_run(name, kernels, device, training=training)
        for name in MODELS
        for training in (False, True)
        for kernels in ("plain", "triton")
    }
    return {"products": cases, "models": models}


def assembly() -> dict[str, Any]:
    """What the compiler generates for an H100; no GPU is needed."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from trm.models import kernels

    names, reports = kernels.gated_kernel.arg_names, {}
    for dtype in ("bf16", "fp16"):
        for config in kernels.TILE_CONFIGS:
            # The 97 tokens of Sudoku, a weight stored by columns; other sizes divide by 16.
            constants = {**config.kwargs, "width": 97, "weight_row": 1, "x_column": 1}
            constants["out_column"] = 1
            kinds = dict.fromkeys(names, "i32") | dict.fromkeys(constants, "constexpr")
            kinds |= dict.fromkeys(("weight", "x", "out"), f"*{dtype}")
            source = ASTSource(
                kernels.gated_kernel,
                kinds,
                {(names.index(name),): value for name, value in constants.items()},
                {(names.index(n),): [["tt.divisibility", 16]] for n in names if n not in constants},
            )
            options = {"num_warps": config.num_warps, "num_stages": config.num_stages}
            compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
            instructions = Counter(compiled.asm["ptx"].split())
            reports[f"{dtype} {config}"] = {
                "program": compiled.asm["cubin"][:4],
                "products": sum(n for name, n in instructions.items() if "wgmma.mma" in name),
                "shared memory": compiled.metadata.shared,
            }
    return reports


def without_interpreter() -> dict[str, Any]:
    """The result on a CPU without the interpreter, and the kernel compiled for a GPU."""
    x, weight = torch.randn(2, 7, 5).bfloat16(), torch.randn(6, 5).bfloat16()
    with torch.no_grad(), Calls() as calls:
        same = torch.equal(select_glu(TRMConfig())(weight, x, -1), silu_glu(weight, x, -1))
    return {"same": same, "calls": calls.count, "assembly": assembly()}


if __name__ == "__main__":
    what, *arguments, file = sys.argv[1:]
    if what == "assembly":
        torch.save(without_interpreter(), file)
    else:
        torch.save(results(torch.device(arguments[0]), arguments[1:]), file)
