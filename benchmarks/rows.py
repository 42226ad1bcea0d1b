"""The rows that ``speed.py`` and ``profiler.py`` measure, and their results file."""

import argparse
import dataclasses
import datetime
import json
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import machine
import torch
from flops import MODELS
from rounds import MeasurementError
from sides import Job

Row = dict[str, Any]

PHASES = ("train", "eval")
KERNELS = ("plain", "triton")
DTYPES = {"cpu": ["float32", "bfloat16"], "cuda": ["bfloat16"]}
#: The batch size of the small and tiny models.
SMALL_BATCH = 4


def make_parser(doc: str) -> argparse.ArgumentParser:
    """A parser with the options that both scripts have."""
    names = [model.name for model in MODELS]
    parser = argparse.ArgumentParser(description=doc.split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--small", dest="size", action="store_const", const="small",
                      default="published", help="models for a CPU")  # fmt: skip
    size.add_argument("--tiny", dest="size", action="store_const", const="tiny",
                      help="tiny models, to try the script; the numbers mean nothing")  # fmt: skip
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="MODEL")
    parser.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES)
    parser.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"))
    parser.add_argument("--kernels", nargs="+", choices=KERNELS, default=KERNELS[:1],
                      help="triton: set TRM_KERNELS=triton, only on CUDA")  # fmt: skip
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction,
                      help="compile both sides; default: only on CUDA")  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the numbers to this file after each row")
    parser.add_argument("--resume", action="store_true", help="keep the rows that the file has")
    parser.add_argument("--minutes", type=float, help="start no new row after this many minutes")
    parser.add_argument(
        "--table", type=Path, metavar="JSON", help="only print the table of an earlier file"
    )
    return parser


def parse_arguments(
    parser: argparse.ArgumentParser, argv: Sequence[str] | None
) -> argparse.Namespace:
    """Parse and check ``argv``, or the command line if it is None."""
    arguments = parser.parse_args(argv)
    arguments.dtype = arguments.dtype or DTYPES[arguments.device]
    if arguments.compile is None:
        arguments.compile = arguments.device == "cuda"
    if arguments.resume and not arguments.json:
        parser.error("--resume needs --json")
    if arguments.table:
        return arguments
    require_device(arguments.device)
    if arguments.device == "cpu" and "triton" in arguments.kernels:
        print("--kernels triton is skipped: it needs --device cuda", file=sys.stderr)
        arguments.kernels = KERNELS[:1]
    return arguments


def require_device(device: str) -> None:
    """Exit with an error if the device is missing."""
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: no CUDA device found. Use --device cpu --tiny to try the script.")


def make_jobs(arguments: argparse.Namespace, repeats: dict[str, int]) -> Iterator[Job]:
    """A job for each row, the most important first. ``repeats``: steps per phase."""
    models = [model for model in MODELS if model.name in arguments.only]
    settings = product(arguments.phase, arguments.kernels, models, arguments.dtype)
    for phase, kernels, model, dtype in settings:
        batch = model.batch if arguments.size == "published" else SMALL_BATCH
        yield Job(
            side="trm",
            model=model.name,
            size=arguments.size,
            dtype=dtype,
            phase=phase,
            device=arguments.device,
            batch=arguments.batch or batch,
            repeats=repeats[phase],
            compile=arguments.compile,
            kernels=kernels,
            reference=None,
        )


def load_or_start(arguments: argparse.Namespace, **settings: object) -> dict[str, Any]:
    """The earlier results with ``--resume``, otherwise results without rows.

    Exits with an error if the earlier results have another machine, code or setting.
    """
    conditions = {
        "machine": machine.device_name(arguments.device),
        "device": arguments.device,
        "driver": machine.driver_version(arguments.device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": machine.commit(),
        "size": arguments.size,
        "compile": arguments.compile,
        **settings,
    }
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    new = {
        **conditions,
        "date": today,
        "command": command_line(arguments),
        "failed": [],
        "rows": [],
    }
    if not (arguments.resume and arguments.json.exists()):
        return new
    earlier: dict[str, Any] = json.loads(arguments.json.read_text())
    changed = ", ".join(name for name, value in conditions.items() if earlier.get(name) != value)
    if changed:
        sys.exit(
            f"{arguments.json}: measured with another {changed}. Move the file to start again."
        )
    return earlier


def measure_missing(
    arguments: argparse.Namespace,
    results: dict[str, Any],
    jobs: Iterable[Job],
    measure: Callable[[Job], Row],
    describe: Callable[[Row], str],
) -> None:
    """Measure every job that has no row in ``results``. Writes the file after each row.

    ``results["failed"]`` lists the jobs that fail. On resume they come last.
    """
    started = time.monotonic()
    done = {row_key(row) for row in results["rows"]}
    missing = [job for job in jobs if row_key(dataclasses.asdict(job)) not in done]
    failed = results["failed"]
    pending = sorted(missing, key=lambda job: row_title(dataclasses.asdict(job)) in failed)
    results["failed"] = []
    while pending:
        if arguments.minutes is not None and time.monotonic() - started >= 60 * arguments.minutes:
            names = ", ".join(row_title(dataclasses.asdict(job)) for job in pending)
            print(f"time is up; {len(pending)} not measured: {names}", file=sys.stderr)
            return
        job = pending.pop(0)
        try:
            results["rows"].append(measure(job))
            message = describe(results["rows"][-1])
        except MeasurementError as error:
            results["failed"].append(row_title(dataclasses.asdict(job)))
            message = f"{results['failed'][-1]} failed: {error}"
        if arguments.json:
            write_json(arguments.json, results)
        print(message, file=sys.stderr, flush=True)


def row_key(row: Row) -> tuple[object, ...]:
    """Identifies a row, or the job as a dictionary that measures it."""
    batch = "max" if row.get("largest") else row["batch"]
    return row["model"], row["dtype"], row["phase"], row.get("kernels", "plain"), batch


def row_title(row: Row) -> str:
    """A short title of a row, or of the job as a dictionary that measures it."""
    batch = "the largest batch" if row.get("largest") else f"batch {row['batch']}"
    kernels = "" if row.get("kernels", "plain") == "plain" else f" {row['kernels']}"
    return f"{row['model']}{kernels} {row['dtype']} {row['phase']}, {batch}"


def sort_rows(rows: Iterable[Row]) -> list[Row]:
    """Sort rows by model, type, phase, kernels and batch, as in the tables."""
    models, dtypes = [model.name for model in MODELS], DTYPES["cpu"]

    def order(row: Row) -> tuple[object, ...]:
        return (
            models.index(row["model"]), dtypes.index(row["dtype"]), PHASES.index(row["phase"]),
            row.get("kernels", "plain"), row["batch"],
        )  # fmt: skip

    return sorted(rows, key=order)


def write_json(file: Path, results: dict[str, Any]) -> None:
    """Write results atomically, so that an interrupted measurement leaves a valid file.

    A pair of numbers, such as a point of a curve, is one line.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    text = json.dumps(results, indent=1)
    text = re.sub(r"\[\n\s+([-+.\w]+),\n\s+([-+.\w]+)\n\s+\]", r"[\1, \2]", text)
    partial.write_text(text + "\n")
    partial.replace(file)


def command_line(arguments: argparse.Namespace) -> str:
    """The command line, with FOLDER for the path of the reference."""
    reference = getattr(arguments, "reference", None)
    words = ["FOLDER" if reference and word == str(reference) else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
