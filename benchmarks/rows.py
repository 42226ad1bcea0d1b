"""The rows of ``speed.py`` and ``profiler.py``: which there are, and the file that keeps them."""

import argparse
import dataclasses
import datetime
import json
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
#: Examples of a batch in sizes other than the published.
SMALL_BATCH = 4


def parser(doc: str) -> argparse.ArgumentParser:
    """The options that both have."""
    names = [model.name for model in MODELS]
    made = argparse.ArgumentParser(description=doc.split("\n")[0])
    made.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    size = made.add_mutually_exclusive_group()
    size.add_argument("--small", dest="size", action="store_const", const="small",
                      default="published", help="models for a CPU")  # fmt: skip
    size.add_argument("--tiny", dest="size", action="store_const", const="tiny",
                      help="try the script out; measures nothing")  # fmt: skip
    made.add_argument("--only", nargs="+", choices=names, default=names, metavar="MODEL")
    made.add_argument("--phase", nargs="+", choices=PHASES, default=PHASES)
    made.add_argument("--dtype", nargs="+", choices=("float32", "bfloat16"))
    made.add_argument("--kernels", nargs="+", choices=KERNELS, default=KERNELS[:1],
                      help="triton: with TRM_KERNELS=triton, on CUDA only")  # fmt: skip
    made.add_argument("--compile", action=argparse.BooleanOptionalAction,
                      help="on both sides; on CUDA unless told otherwise")  # fmt: skip
    made.add_argument("--json", type=Path, help="write the numbers there, after each row")
    made.add_argument("--resume", action="store_true", help="keep the rows that are there")
    made.add_argument("--minutes", type=float, help="begin no row after so many")
    made.add_argument("--table", type=Path, metavar="JSON", help="of numbers written before")
    return made


def checked(made: argparse.ArgumentParser, words: Sequence[str] | None) -> argparse.Namespace:
    """The options that were given, on the command line if not in ``words``."""
    arguments = made.parse_args(words)
    arguments.dtype = arguments.dtype or DTYPES[arguments.device]
    if arguments.compile is None:
        arguments.compile = arguments.device == "cuda"
    if arguments.resume and not arguments.json:
        made.error("--resume needs --json")
    if arguments.table:
        return arguments
    need_device(arguments.device)
    if arguments.device == "cpu" and "triton" in arguments.kernels:
        print("--kernels triton is left out: it needs --device cuda", file=sys.stderr)
        arguments.kernels = KERNELS[:1]
    return arguments


def need_device(device: str) -> None:
    """End here if there is no such device."""
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: no CUDA device here. To try it out: --device cpu --tiny.")


def jobs(arguments: argparse.Namespace, repeats: dict[str, int]) -> Iterator[Job]:
    """The rows, the most important first."""
    models = [model for model in MODELS if model.name in arguments.only]
    settings = product(arguments.phase, arguments.kernels, models, arguments.dtype)
    for phase, kernels, model, dtype in settings:
        own = model.batch if arguments.size == "published" else SMALL_BATCH
        yield Job(
            side="trm",
            model=model.name,
            size=arguments.size,
            dtype=dtype,
            phase=phase,
            device=arguments.device,
            batch=arguments.batch or own,
            repeats=repeats[phase],
            compile=arguments.compile,
            kernels=kernels,
            reference=None,
        )


def begin(arguments: argparse.Namespace, **settings: object) -> dict[str, Any]:
    """What is measured, with the rows so far where they are of the same."""
    same = {
        "machine": machine.name(arguments.device),
        "device": arguments.device,
        "driver": machine.driver(arguments.device),
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "commit": machine.commit(),
        "size": arguments.size,
        "compile": arguments.compile,
        **settings,
    }
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    new = {**same, "date": today, "command": command(arguments), "failed": [], "rows": []}
    if not (arguments.resume and arguments.json.exists()):
        return new
    before: dict[str, Any] = json.loads(arguments.json.read_text())
    changed = ", ".join(name for name, value in same.items() if before.get(name) != value)
    if changed:
        sys.exit(f"{arguments.json}: measured with another {changed}. Move it away to begin anew.")
    return before


def fill(
    arguments: argparse.Namespace,
    found: dict[str, Any],
    wanted: Iterable[Job],
    measure: Callable[[Job], Row],
    describe: Callable[[Row], str],
) -> None:
    """Measure every row that is not there yet; write all of them after each, and describe it.

    Those that fail are named in ``found["failed"]``, and come last when they are tried again.
    """
    began = time.monotonic()
    done = {key(row) for row in found["rows"]}
    missing = [job for job in wanted if key(dataclasses.asdict(job)) not in done]
    failed = found["failed"]
    left = sorted(missing, key=lambda job: title(dataclasses.asdict(job)) in failed)
    found["failed"] = []
    while left:
        if arguments.minutes is not None and time.monotonic() - began >= 60 * arguments.minutes:
            names = ", ".join(title(dataclasses.asdict(job)) for job in left)
            print(f"time is up; {len(left)} not measured: {names}", file=sys.stderr)
            return
        job = left.pop(0)
        try:
            found["rows"].append(measure(job))
            said = describe(found["rows"][-1])
        except MeasurementError as error:
            found["failed"].append(title(dataclasses.asdict(job)))
            said = f"{found['failed'][-1]} failed: {error}"
        if arguments.json:
            write(arguments.json, found)
        print(said, file=sys.stderr, flush=True)


def key(row: Row) -> tuple[object, ...]:
    """What tells one row, or the job of it, from another."""
    batch = "max" if row.get("largest") else row["batch"]
    return row["model"], row["dtype"], row["phase"], row.get("kernels", "plain"), batch


def title(row: Row) -> str:
    """A row, or the job of it, in short."""
    batch = "the largest batch" if row.get("largest") else f"batch {row['batch']}"
    kernels = "" if row.get("kernels", "plain") == "plain" else f" {row['kernels']}"
    return f"{row['model']}{kernels} {row['dtype']} {row['phase']}, {batch}"


def in_order(rows: Iterable[Row]) -> list[Row]:
    """As a table has them: by model, type and phase."""
    models, dtypes = [model.name for model in MODELS], DTYPES["cpu"]

    def place(row: Row) -> tuple[object, ...]:
        return (
            models.index(row["model"]), dtypes.index(row["dtype"]), PHASES.index(row["phase"]),
            row.get("kernels", "plain"), row["batch"],
        )  # fmt: skip

    return sorted(rows, key=place)


def write(file: Path, found: dict[str, Any]) -> None:
    """Whole or not at all, for a measurement that is broken off."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f"{file.name}.partial")
    partial.write_text(json.dumps(found, indent=1) + "\n")
    partial.replace(file)


def command(arguments: argparse.Namespace) -> str:
    """The command line, without the places of files on this machine."""
    reference = getattr(arguments, "reference", None)
    words = ["FOLDER" if reference and word == str(reference) else word for word in sys.argv[1:]]
    return shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *words])
