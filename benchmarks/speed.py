"""Measure training and evaluation of the published models: speed, arithmetic, memory.

    python benchmarks/speed.py --device cuda --reference FOLDER --json benchmarks/speed-gpu.json
    python benchmarks/speed.py --small --reference FOLDER --json benchmarks/speed-cpu.json
    python benchmarks/speed.py --table benchmarks/speed-cpu.json

Training is a whole step: the supervision step, its gradient, the optimizers of network and puzzle
embedding, and the EMA. Evaluation is one batch with all its supervision steps, from the host's
memory to answers in the host's memory. The puzzles are random, and nothing waits for data.

``--reference`` is a checkout of the published code, which is then measured too: with the same
random batches and sizes, compiled if this package is (the whole loss head, as its trainer does),
with its own sparse sign-SGD and EMA, in the order of its trainer. Its Adam is the CUDA package
``adam_atan2``; without that package, this package's optimizer takes its place. Each side runs in
its own process. Every round measures both sides, in alternating order, so that a machine that slows
down affects both. A row has the median of its rounds, and "times the reference" is the median of
the ratios within a round.

Both sides run with an allocator that keeps its memory. By default the C library returns the memory
of large tensors and requests it again, more often in some processes than in others. That alone
changed the time of an evaluation on a CPU by a quarter.

:mod:`trm.models.flops` counts the arithmetic. The ceiling is the speed of one product of two large
square matrices of the same type, with as many threads; the share of it is often called MFU. Memory
on the CPU is the peak of the whole process, including PyTorch (a quarter of a gigabyte); on a GPU
it is the peak of the tensors. The first step includes compilation; both sides compile at the same
time.

``--batch max`` adds a row with the largest batch that fits into memory: the model's own batch,
doubled repeatedly. ``--kernels plain triton`` adds a row with TRM_KERNELS=triton. Both measure only
this package.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import machine
from rounds import MeasurementError, TooLargeError, measure_ceiling, measure_row
from rows import (
    Row,
    load_or_start,
    make_jobs,
    make_parser,
    measure_missing,
    parse_arguments,
    row_key,
    row_title,
    sort_rows,
)
from sides import Job

ROUNDS = 7
#: Steps per round by device and phase. A GPU runs several steps before the host waits for it.
REPEATS = {"cpu": {"train": 1, "eval": 1}, "cuda": {"train": 10, "eval": 2}}
#: The maximum number of doublings of a batch, and the share of memory that it may use.
MAX_DOUBLINGS, MAX_MEMORY_SHARE = 3, 0.9


def main() -> None:
    arguments = parse()
    stored = arguments.table
    results = json.loads(stored.read_text()) if stored else measure_all(arguments)
    show(results)
    if results.get("failed"):
        sys.exit(f"failed: {', '.join(results['failed'])}")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = make_parser(__doc__ or "")
    parser.add_argument("--batch", type=batch_size, metavar="N", help="batch size; default: each "
                        "model's own; max: that, and the largest that fits in memory")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--reference", type=Path, help="a checkout of the published code")
    arguments = parse_arguments(parser, argv)
    if arguments.rounds < 1:
        parser.error("--rounds must be at least 1")
    arguments.largest = arguments.batch == "max"
    arguments.batch = None if arguments.largest else arguments.batch
    return arguments


def batch_size(text: str) -> int | str:
    return text if text == "max" else int(text)


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row that the results file does not have."""
    reference = arguments.reference and str(arguments.reference.resolve())
    results = load_or_start(arguments, rounds=arguments.rounds, reference=bool(reference))
    ceilings = results.setdefault("ceilings", {})

    def measure(job: Job) -> Row:
        if job.dtype not in ceilings:
            ceilings[job.dtype] = measure_ceiling(job)
        if job.largest:
            return measure_largest(job, results["rows"], arguments.rounds, ceilings[job.dtype])
        return measure_row(job, arguments.rounds, ceilings[job.dtype])

    measure_missing(arguments, results, speed_jobs(arguments, reference), measure, describe)
    return results


def speed_jobs(arguments: argparse.Namespace, reference: str | None) -> Iterator[Job]:
    """The jobs with the reference, then those of the largest batches, without it."""
    jobs = list(make_jobs(arguments, REPEATS[arguments.device]))
    for job in jobs:
        yield replace(job, reference=reference) if job.kernels == "plain" else job
    if arguments.largest:
        yield from (replace(job, largest=True, repeats=1) for job in jobs)


def measure_largest(job: Job, rows: list[Row], rounds: int, ceiling: float) -> Row:
    """Measure the largest batch that fits into memory: the model's own, doubled repeatedly.

    Twice the batch takes at most twice the memory. So the row with the model's own batch gives an
    estimate of the largest batch, which is halved until it fits.

    Raises:
        MeasurementError: if ``rows`` has no row with the model's own batch.
    """
    own_key = row_key(vars(replace(job, largest=False)))
    own = next((row for row in rows if row_key(row) == own_key), None)
    if own is None:
        raise MeasurementError("there is no row with the model's own batch")
    peak = own["trm"]["peak_bytes"]
    limit = MAX_MEMORY_SHARE * machine.device_memory(job.device)
    batch = max(job.batch << n for n in range(1 + MAX_DOUBLINGS) if n == 0 or peak << n <= limit)
    while batch > job.batch:
        try:
            return measure_row(replace(job, batch=batch), rounds, ceiling) | {"largest": True}
        except TooLargeError:
            batch //= 2
    return own | {"largest": True}


def show(results: dict[str, Any]) -> None:
    """Print the machine, the table and the ceilings."""
    setup = f"torch {results['torch']}, threads: {results['threads']}, rounds: {results['rounds']}"
    print(f"{results['machine']}; {setup}; {results['size']} sizes\n\n{table(results['rows'])}\n")
    for dtype, rate in results["ceilings"].items():
        print(f"ceiling in {dtype}: {rate:.3g} TFLOP/s")


def describe(row: Row) -> str:
    """A row in one line, for progress."""
    text = f"{row_title(row)}: {row['trm']['samples_per_s']} samples/s"
    ratio = row.get("times_reference")
    return text if ratio is None else f"{text}, {ratio} times the reference"


def table(rows: list[Row]) -> str:
    compared = any("reference" in row for row in rows)
    columns = ["model", "type", "", "batch", "samples/s", "ms", "TFLOP/s", "of the ceiling",
               "peak memory", "first step"]  # fmt: skip
    if compared:
        columns += ["reference: samples/s", "peak memory", "first step", "times the reference"]
    lines = [columns, ["---"] * 3 + ["---:"] * (len(columns) - 3)]
    for row in sort_rows(rows):
        own, other = row["trm"], row.get("reference")
        variant = row.get("kernels", "plain")
        cells = [
            row["model"] if variant == "plain" else f"{row['model']}, {variant}",
            row["dtype"], "training" if row["phase"] == "train" else "evaluation",
            str(row["batch"]), f"{own['samples_per_s']:,.1f}", f"{own['ms']:,.1f}",
            f"{own['tflops']:.3g}", f"{own['share_of_ceiling']:.0%}", *_cost(own),
        ]  # fmt: skip
        if other:
            cells += [f"{other['samples_per_s']:,.1f}", *_cost(other)]
            cells.append(f"{row['times_reference']:.2f}")
        lines.append(cells + [""] * (len(columns) - len(cells)))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cost(side: dict[str, Any]) -> tuple[str, str]:
    return f"{side['peak_bytes'] / 1e9:.2f} GB", f"{side['first_s']:.1f} s"


if __name__ == "__main__":
    main()
