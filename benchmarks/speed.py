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
quarter of a gigabyte); on a GPU it is what tensors take. The first step compiles.
"""

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

from flops import MODELS
from machine import cpu
from rounds import ceiling, measure
from sides import Job

ROUNDS = 7
#: Examples of a batch in sizes other than the published.
SMALL_BATCH = 4
#: Steps of a round by device and phase: a GPU is asked for many before it is waited for.
REPEATS = {"cpu": {"train": 1, "eval": 1}, "cuda": {"train": 10, "eval": 2}}
DTYPES = {"cpu": ["float32", "bfloat16"], "cuda": ["bfloat16"]}


def main() -> None:
    arguments = parse()
    stored = arguments.table
    found = json.loads(stored.read_text()) if stored else measure_all(arguments)
    how = f"torch {found['torch']}, threads: {found['threads']}, rounds: {found['rounds']}"
    print(f"{found['machine']}; {how}; {found['size']} sizes\n\n{table(found['rows'])}\n")
    for dtype, rate in found["ceilings"].items():
        print(f"ceiling in {dtype}: {rate:.3g} TFLOP/s")


def parse() -> argparse.Namespace:
    names = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", dest="size", action="store_const", const="small",
                      default="published", help="models for a CPU")  # fmt: skip
    size.add_argument("--tiny", dest="size", action="store_const", const="tiny",
                      help="try the script out; measures nothing")  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"))
    parser.add_argument("--batch", type=int, help="instead of each model's own")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--reference", type=Path, help="a checkout of the published code")
    parser.add_argument("--no-compile", dest="compile", action="store_false")
    parser.add_argument("--json", type=Path, help="write the numbers there, after each row")
    parser.add_argument("--resume", action="store_true", help="keep the rows that are there")
    parser.add_argument("--table", type=Path, metavar="JSON", help="of numbers written before")
    arguments = parser.parse_args()
    arguments.dtype = arguments.dtype or DTYPES[arguments.device]
    if arguments.resume and not arguments.json:
        parser.error("--resume needs --json")
    if arguments.rounds < 1:
        parser.error("--rounds has to be 1 at least")
    return arguments


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every row that is not there yet, and write all of them after each."""
    found = begin(arguments)
    done = {(row["model"], row["dtype"], row["phase"], row["batch"]) for row in found["rows"]}
    for job in jobs(arguments):
        if (job.model, job.dtype, job.phase, job.batch) in done:
            continue
        if job.dtype not in found["ceilings"]:
            found["ceilings"][job.dtype] = ceiling(job)
        row = measure(job, arguments.rounds, found["ceilings"][job.dtype])
        found["rows"].append(row)
        print(describe(row), file=sys.stderr)
        if arguments.json:
            write(arguments.json, found)
    return found


def begin(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is measured, with the rows so far where they are of the same."""
    import torch

    same = {
        "machine": machine(arguments.device),
        "device": arguments.device,
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": commit(Path(__file__).parent),
        "size": arguments.size,
        "rounds": arguments.rounds,
        "compile": arguments.compile and arguments.device == "cuda",
        "reference": arguments.reference is not None,
    }
    new = {**same, "command": command(arguments), "ceilings": {}, "rows": []}
    if not (arguments.resume and arguments.json.exists()):
        return new
    before: dict[str, Any] = json.loads(arguments.json.read_text())
    changed = ", ".join(name for name, value in same.items() if before.get(name) != value)
    if changed:
        sys.exit(f"{arguments.json}: measured with another {changed}. Leave out --resume.")
    return before


def jobs(arguments: argparse.Namespace) -> Iterator[Job]:
    """The rows, each as what this package does of it."""
    models = [model for model in MODELS if model.name in arguments.only]
    for model, dtype, phase in product(models, arguments.dtype, ("train", "eval")):
        own = model.batch if arguments.size == "published" else SMALL_BATCH
        yield Job(
            side="trm",
            model=model.name,
            size=arguments.size,
            dtype=dtype,
            phase=phase,
            device=arguments.device,
            batch=arguments.batch or own,
            repeats=REPEATS[arguments.device][phase],
            compile=arguments.compile,
            reference=arguments.reference and str(arguments.reference.resolve()),
        )


def write(file: Path, found: dict[str, Any]) -> None:
    """Whole or not at all, for a measurement that is broken off."""
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(file)


def commit(folder: Path) -> str:
    """The commit of the code, with "-dirty" where it was changed since."""
    git = [
        "git",
        "-C",
        str(folder),
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ]
    done = subprocess.run(git, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def command(arguments: argparse.Namespace) -> str:
    """The command line, without the places of files on this machine."""
    words = ["FOLDER" if arguments.reference and word == str(arguments.reference) else word
             for word in sys.argv[1:]]  # fmt: skip
    return shlex.join(["python", "benchmarks/speed.py", *words])


def machine(device: str) -> str:
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    return cpu()


def describe(row: dict[str, Any]) -> str:
    """One row in short, to be seen while the others are still measured."""
    text = f"{row['model']} {row['dtype']} {row['phase']}: {row['trm']['samples_per_s']} samples/s"
    ratio = row.get("times_reference")
    return text if ratio is None else f"{text}, {ratio} times the reference"


def table(rows: list[dict[str, Any]]) -> str:
    compared = any("reference" in row for row in rows)
    columns = ["model", "type", "", "batch", "samples/s", "ms", "TFLOP/s", "of the ceiling",
               "peak memory", "first step"]  # fmt: skip
    if compared:
        columns += ["reference: samples/s", "peak memory", "first step", "times the reference"]
    lines = [columns, ["---"] * 3 + ["---:"] * (len(columns) - 3)]
    for row in rows:
        own, other = row["trm"], row.get("reference")
        cells = [
            row["model"], row["dtype"], "training" if row["phase"] == "train" else "evaluation",
            str(row["batch"]), f"{own['samples_per_s']:,.1f}", f"{own['ms']:,.1f}",
            f"{own['tflops']:.3g}", f"{own['share_of_ceiling']:.0%}", *_cost(own),
        ]  # fmt: skip
        if other:
            cells += [f"{other['samples_per_s']:,.1f}", *_cost(other)]
            cells.append(f"{row['times_reference']:.2f}")
        lines.append(cells)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _cost(side: dict[str, Any]) -> tuple[str, str]:
    return f"{side['peak_bytes'] / 1e9:.2f} GB", f"{side['first_s']:.1f} s"


if __name__ == "__main__":
    main()
