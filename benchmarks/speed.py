"""Training and evaluation of the published models: samples a second, arithmetic, memory.

    python benchmarks/speed.py --device cuda --reference FOLDER --json benchmarks/speed-gpu.json
    python benchmarks/speed.py --small --reference FOLDER --json benchmarks/speed-cpu.json
    python benchmarks/speed.py --table benchmarks/speed-cpu.json

Training is a whole step: the supervision step, its gradient, the optimizers of network and puzzle
embedding, and the running average. Evaluation is one batch through all its supervision steps, from
the host's memory to answers in there. The puzzles are random; nothing waits for data.

``--reference`` is a checkout of the published code, which is then measured beside this package: the
same random batches and sizes, compiled where this package is (its loss head as a whole, as its
trainer does), its own sparse sign-SGD and running average, and the order of its trainer. Its Adam
is the CUDA package ``adam_atan2``; where there is none, this package's takes its place. Each side
is a process of its own; within a round both are measured, in turn first and second, so that a
machine that becomes slower does so for both. The number of a row is the median of its rounds, and
"times the reference" the median of the ratios within a round.

Both sides run with an allocator that keeps its memory. By default the C library hands that of
large tensors back and fetches it again, more or less often from one process to the next, which
alone changed the time of an evaluation on a CPU by a quarter.

Arithmetic is that of :mod:`trm.models.flops`. The ceiling is the product of two large square
matrices of the same type, as fast as this machine makes it with as many threads; the share of it
is often called MFU. Memory on the CPU is the most that the whole process had, PyTorch included (a
quarter of a gigabyte); on a GPU it is what tensors take. The first step compiles where anything
does, then both sides at once.

``--batch max`` adds a row of the largest batch that there is memory for, the model's own doubled
and doubled again; ``--kernels plain triton`` one with TRM_KERNELS=triton. Both are of this package
only.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import machine
from rounds import MeasurementError, TooLargeError, ceiling, measure
from rows import Row, begin, checked, fill, in_order, jobs, key, parser, title
from sides import Job

ROUNDS = 7
#: Steps of a round by device and phase: a GPU is asked for many before it is waited for.
REPEATS = {"cpu": {"train": 1, "eval": 1}, "cuda": {"train": 10, "eval": 2}}
#: How often a batch is doubled at most, and the share of the memory that its tensors may take.
DOUBLINGS, ROOM = 3, 0.9


def main() -> None:
    arguments = parse()
    stored = arguments.table
    found = json.loads(stored.read_text()) if stored else measure_all(arguments)
    show(found)
    if found.get("failed"):
        sys.exit(f"failed: {', '.join(found['failed'])}")


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    made = parser(__doc__ or "")
    made.add_argument("--batch", type=batch_size, metavar="N", help="instead of each model's own; "
                      "max: besides that, the largest for which there is memory")  # fmt: skip
    made.add_argument("--rounds", type=int, default=ROUNDS)
    made.add_argument("--reference", type=Path, help="a checkout of the published code")
    arguments = checked(made, words)
    if arguments.rounds < 1:
        made.error("--rounds has to be 1 at least")
    arguments.largest = arguments.batch == "max"
    arguments.batch = None if arguments.largest else arguments.batch
    return arguments


def batch_size(text: str) -> int | str:
    return text if text == "max" else int(text)


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row that is not there yet."""
    reference = arguments.reference and str(arguments.reference.resolve())
    found = begin(arguments, rounds=arguments.rounds, reference=bool(reference))
    found.setdefault("ceilings", {})

    def measure_row(job: Job) -> Row:
        if job.dtype not in found["ceilings"]:
            found["ceilings"][job.dtype] = ceiling(job)
        most = found["ceilings"][job.dtype]
        if job.largest:
            return measure_largest(job, found["rows"], arguments.rounds, most)
        return measure(job, arguments.rounds, most)

    fill(arguments, found, with_variants(arguments, reference), measure_row, describe)
    return found


def with_variants(arguments: argparse.Namespace, reference: str | None) -> Iterator[Job]:
    """The rows with their reference, then those of the largest batches, which have none."""
    own = list(jobs(arguments, REPEATS[arguments.device]))
    for job in own:
        yield replace(job, reference=reference) if job.kernels == "plain" else job
    if arguments.largest:
        yield from (replace(job, largest=True, repeats=1) for job in own)


def measure_largest(job: Job, rows: list[Row], rounds: int, ceiling: float) -> Row:
    """The row of a batch that is doubled for as long as there seems to be memory for it.

    What a batch takes does not more than double with it. So the memory of the row with the model's
    own batch says where to begin, and one that is too large after all is halved.
    """
    wanted = key(vars(replace(job, largest=False)))
    own = next((row for row in rows if key(row) == wanted), None)
    if own is None:
        raise MeasurementError("there is no row of its own batch")
    peak, room = own["trm"]["peak_bytes"], ROOM * machine.memory(job.device)
    batch = max(job.batch << n for n in range(1 + DOUBLINGS) if n == 0 or peak << n <= room)
    while batch > job.batch:
        try:
            return measure(replace(job, batch=batch), rounds, ceiling) | {"largest": True}
        except TooLargeError:
            batch //= 2
    return own | {"largest": True}


def show(found: dict[str, Any]) -> None:
    """Print the table and where it is from."""
    how = f"torch {found['torch']}, threads: {found['threads']}, rounds: {found['rounds']}"
    print(f"{found['machine']}; {how}; {found['size']} sizes\n\n{table(found['rows'])}\n")
    for dtype, rate in found["ceilings"].items():
        print(f"ceiling in {dtype}: {rate:.3g} TFLOP/s")


def describe(row: Row) -> str:
    """One row in short, to be seen while the others are still measured."""
    text = f"{title(row)}: {row['trm']['samples_per_s']} samples/s"
    ratio = row.get("times_reference")
    return text if ratio is None else f"{text}, {ratio} times the reference"


def table(rows: list[Row]) -> str:
    compared = any("reference" in row for row in rows)
    columns = ["model", "type", "", "batch", "samples/s", "ms", "TFLOP/s", "of the ceiling",
               "peak memory", "first step"]  # fmt: skip
    if compared:
        columns += ["reference: samples/s", "peak memory", "first step", "times the reference"]
    lines = [columns, ["---"] * 3 + ["---:"] * (len(columns) - 3)]
    for row in in_order(rows):
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
