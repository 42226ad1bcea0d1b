"""Where the time of a training step or an evaluated batch goes, by kind of kernel.

    python benchmarks/profiler.py --device cuda --json benchmarks/profile-gpu.json
    python benchmarks/profiler.py --small --only sudoku-mlp --phase train
    python benchmarks/profiler.py --table benchmarks/profile-gpu.json --names

The steps are those of ``speed.py``, under ``torch.profiler``, each row in a process of its own. On
a GPU the times are those of its kernels; "idle" is what is left of the step, when it waits for the
host. On a CPU they are those of PyTorch's operations, each without the operations that it calls.

The kinds are told by name, see ``RULES``; the file keeps the names, so that ``--table`` sorts them
anew. ``--names`` lists those that no rule knows.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from rounds import Side
from rows import Row, begin, checked, fill, in_order, jobs, parser, title
from sides import Job

#: Steps that are profiled.
STEPS = {"cpu": {"train": 1, "eval": 1}, "cuda": {"train": 3, "eval": 1}}
_ATTENTION, _PRODUCT, _OPTIMIZER = "attention", "matrix products", "optimizer"
_LOSS, _COPY = "loss, softmax", "copies, memory"
_ELEMENTWISE, _HOST = "normalisation, elementwise", "views, autograd"
#: Kinds, and what a name of theirs has in it: the first rule that fits counts. Inductor's names,
#: which list all operations that it fused, come first: "triton_poi_fused__to_copy_add_mul_3".
RULES = [
    (_OPTIMIZER, r"^triton_for_"),
    (_LOSS, r"^triton_(poi|per|red)_.*(softmax|_log(_|\d)|cross_entropy|nll_loss|gather|argmax)"),
    (_ELEMENTWISE, r"^triton_(poi|per|red)_"),
    (_ATTENTION, r"attention|flash|fmha|sdpa|mha_"),
    (
        _PRODUCT,
        r"gemm|gemv|cutlass|nvjet|cublas|splitk|xmma|triton_tem_|gated_kernel|matmul|mkldnn_linear",
    ),
    (_PRODUCT, r"^aten::(mm|addmm|bmm|baddbmm|mv|dot)$"),
    (_OPTIMIZER, r"atan2|foreach|multi_tensor|lerp"),
    (_LOSS, r"softmax|cross_entropy|nll_loss|argmax|scatter_gather|log_kernel|^aten::log$"),
    (_LOSS, r"^aten::(gather|scatter_add_?|log_sigmoid\w*|log1p)$"),
    (_COPY, r"memcpy|memset|copy|catarray|fill|index|embedding|^aten::(cat|stack|clone|empty\w*)$"),
    (_COPY, r"^aten::(zero_|zeros\w*|ones\w*|full\w*|new_\w+|to|contiguous|constant_pad_nd)$"),
    (
        _HOST,
        r"^autograd::|Backward\d*$|AccumulateGrad$|^detach$|^aten::(t|transpose|permute|view)$",
    ),
    (_HOST, r"^aten::(as_strided|_?reshape\w*|_unsafe_view|split\w*|chunk|narrow|slice\w*|pad)$"),
    (
        _HOST,
        r"^aten::(select\w*|expand\w*|(un)?squeeze\w*|unbind|linear|detach\w*|\w+_types?|re\w+_(conj|neg))$",
    ),
    (_ELEMENTWISE, r"elementwise|reduce_kernel|norm|glu|silu|sigmoid|rope|rotary"),
    (_ELEMENTWISE, r"^aten::(r?sub|add|mul|div|neg|abs|sgn|sign|pow|square|r?sqrt|reciprocal)_?$"),
    (_ELEMENTWISE, r"^aten::(mean|sum|where|any|all|eq|ne|lt|le|gt|ge|__\w+__|logical_\w+)_?$"),
    (_ELEMENTWISE, r"^aten::(bitwise_\w+|clamp\w*|maximum|minimum|exp|sin|cos|isfinite)_?$"),
]
OTHER = "other"


def main() -> None:
    arguments = parse()
    stored = arguments.table
    found = json.loads(stored.read_text()) if stored else measure_all(arguments)
    show(found, arguments.names)
    if found.get("failed"):
        sys.exit(f"failed: {', '.join(found['failed'])}")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--batch", type=int, help="instead of each model's own")
    made.add_argument("--names", action="store_true", help="list those that no rule knows")
    return checked(made, words)


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row that is not there yet."""
    found = begin(arguments)
    fill(arguments, found, jobs(arguments, STEPS[arguments.device]), measure, describe)
    return found


def show(found: dict[str, Any], names: bool = False) -> None:
    """Print a table of each row and where they are from."""
    how = f"torch {found['torch']}, threads: {found['threads']}"
    print(f"{found['machine']}; {how}; {found['size']} sizes")
    for row in in_order(found["rows"]):
        print(f"\n{describe(row)}\n\n{table(row)}")
        if names:
            print("\n".join(["", *unknown(row)]))


def measure(job: Job) -> Row:
    """One row, its times by kind and by name."""
    with Side(job, "traced.py") as side:
        found = side.answer()
    return {"model": job.model, "dtype": job.dtype, "phase": job.phase, "kernels": job.kernels,
            "batch": job.batch, **found, "groups": groups(found["names"])}  # fmt: skip


def group_of(name: str) -> str:
    """The kind of a kernel or operation."""
    fits = (kind for kind, rule in RULES if re.search(rule, name, re.IGNORECASE))
    return next(fits, OTHER)


def groups(names: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each kind: milliseconds and calls of a step, and its share of what was spent on all."""
    found: dict[str, dict[str, float]] = {}
    total = sum(entry["ms"] for entry in names)
    for entry in names:
        nothing = {"ms": 0.0, "share": 0.0, "calls": 0.0}
        kind = found.setdefault(group_of(entry["name"]), nothing)
        kind["ms"] += entry["ms"]
        kind["share"] += entry["ms"] / total
        kind["calls"] += entry["calls"]
    return found


def describe(row: Row) -> str:
    """A row in short."""
    spent = sum(entry["ms"] for entry in row["names"])
    text = f"{title(row)}: {row['wall_ms']:,.2f} ms a step, {spent:,.2f} ms profiled"
    if row["idle_ms"] is None:
        return text
    return f"{text}, idle {row['idle_ms']:,.2f} ms ({row['idle_ms'] / row['wall_ms']:.1%})"


def table(row: Row) -> str:
    """Of the rules as they are now."""
    lines = ["| kind | ms | share | calls |", "|---|---:|---:|---:|"]
    lines += [
        f"| {kind} | {of['ms']:,.3f} | {of['share']:.1%} | {of['calls']:,.0f} |"
        for kind, of in sorted(groups(row["names"]).items(), key=lambda item: -item[1]["ms"])
    ]
    return "\n".join(lines)


def unknown(row: Row) -> list[str]:
    """What no rule knows, the most time first."""
    return [
        f"{entry['ms']:.3f} ms, {entry['calls']:,.0f} calls: {entry['name']}"
        for entry in row["names"]
        if group_of(entry["name"]) == OTHER
    ]


if __name__ == "__main__":
    main()
