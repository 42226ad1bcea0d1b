"""Show where the time of a training step or an evaluation batch goes, by kind of kernel.

    python benchmarks/profiler.py --device cuda --json benchmarks/profile-gpu.json
    python benchmarks/profiler.py --small --only sudoku-mlp --phase train
    python benchmarks/profiler.py --table benchmarks/profile-gpu.json --names

``torch.profiler`` profiles the steps of ``speed.py``, each row in its own process. On a GPU the
times are those of its kernels, and "idle" is the rest of the step, when the GPU waits for the host.
On a CPU they are the times of PyTorch's operations, without the operations that each one calls.

``RULES`` infers the kind from the name. The file keeps the names, so ``--table`` uses the current
rules. ``--names`` lists the names that match no rule.
"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from typing import Any

from rounds import WorkerProcess
from rows import (
    Row,
    load_or_start,
    make_jobs,
    make_parser,
    measure_missing,
    parse_arguments,
    row_title,
    sort_rows,
)
from sides import Job

#: Profiled steps by device and phase.
STEPS = {"cpu": {"train": 1, "eval": 1}, "cuda": {"train": 3, "eval": 1}}
_ATTENTION, _PRODUCT, _OPTIMIZER = "attention", "matrix products", "optimizer"
_LOSS, _COPY = "loss, softmax", "copies, memory"
_ELEMENTWISE, _HOST = "normalisation, elementwise", "views, autograd"
#: Kinds, and the pattern of their names. The first rule that matches decides. Inductor's names list
#: all fused operations ("triton_poi_fused__to_copy_add_mul_3"), so their rules come first.
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
    results = json.loads(stored.read_text()) if stored else measure_all(arguments)
    show(results, arguments.names)
    if results.get("failed"):
        sys.exit(f"failed: {', '.join(results['failed'])}")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--batch", type=int, help="batch size; default: each model's own")
    parser.add_argument("--names", action="store_true", help="list the names that match no rule")
    return parse_arguments(parser, argv)


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row that the results file does not have."""
    results = load_or_start(arguments)
    jobs = make_jobs(arguments, STEPS[arguments.device])
    measure_missing(arguments, results, jobs, profile_job, describe)
    return results


def show(results: dict[str, Any], names: bool = False) -> None:
    """Print the machine, and a table for each row."""
    setup = f"torch {results['torch']}, threads: {results['threads']}"
    print(f"{results['machine']}; {setup}; {results['size']} sizes")
    for row in sort_rows(results["rows"]):
        print(f"\n{describe(row)}\n\n{table(row)}")
        if names:
            unmatched = [entry for entry in row["names"] if kind_of(entry["name"]) == OTHER]
            print()
            for entry in unmatched:
                print(f"{entry['ms']:.3f} ms, {entry['calls']:,.0f} calls: {entry['name']}")


def profile_job(job: Job) -> Row:
    """Profile a job in its own process. The row has the times by kind and by name."""
    with WorkerProcess(job, "traced.py") as worker:
        profile = worker.read()
    return {"model": job.model, "dtype": job.dtype, "phase": job.phase, "kernels": job.kernels,
            "batch": job.batch, **profile, "groups": sum_by_kind(profile["names"])}  # fmt: skip


def kind_of(name: str) -> str:
    """The kind of a kernel or operation."""
    kinds = (kind for kind, pattern in RULES if re.search(pattern, name, re.IGNORECASE))
    return next(kinds, OTHER)


def sum_by_kind(names: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """For each kind: milliseconds and calls per step, and the share of the profiled time."""
    sums: dict[str, dict[str, float]] = {}
    total = sum(entry["ms"] for entry in names)
    for entry in names:
        zeros = {"ms": 0.0, "share": 0.0, "calls": 0.0}
        kind = sums.setdefault(kind_of(entry["name"]), zeros)
        kind["ms"] += entry["ms"]
        kind["share"] += entry["ms"] / total
        kind["calls"] += entry["calls"]
    return sums


def describe(row: Row) -> str:
    """A row in one line."""
    profiled = sum(entry["ms"] for entry in row["names"])
    text = f"{row_title(row)}: {row['wall_ms']:,.2f} ms a step, {profiled:,.2f} ms profiled"
    if row["idle_ms"] is None:
        return text
    return f"{text}, idle {row['idle_ms']:,.2f} ms ({row['idle_ms'] / row['wall_ms']:.1%})"


def table(row: Row) -> str:
    """The times by kind, with the current rules."""
    lines = ["| kind | ms | share | calls |", "|---|---:|---:|---:|"]
    lines += [
        f"| {kind} | {sums['ms']:,.3f} | {sums['share']:.1%} | {sums['calls']:,.0f} |"
        for kind, sums in sorted(sum_by_kind(row["names"]).items(), key=lambda kv: -kv[1]["ms"])
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
