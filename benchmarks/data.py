"""Measure data building and batch making: seconds, peak memory, disk, examples per second.

    python benchmarks/data.py --concept ConceptARC --sudoku FOLDER --json benchmarks/data.json

Each build runs in its own process, once to compile and fill caches and once to be measured. One
process with one thread makes the batches, as in training. The rate is the median of several rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machine import describe_cpu

BATCH_SIZE = 768
ROUNDS, BATCHES = 5, 20


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--concept", help="a checkout of ConceptARC; default: build with --no-concept"
    )
    parser.add_argument("--sudoku", default="generate", help="hub, generate or a folder")
    parser.add_argument("--maze", default="generate", help="hub, generate or a folder")
    parser.add_argument("--only", nargs="*", help="tasks to measure; default: all")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--batches", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.batches:
        print(json.dumps(time_batches(arguments.batches)))
        return
    concept = ["--concept", arguments.concept] if arguments.concept else ["--no-concept"]
    commands = {
        "sudoku": ["--source", arguments.sudoku],
        "maze": ["--source", arguments.maze],
        "arc1": concept,
        "arc2": concept,
    }
    rows = [
        measure(task, flags)
        for task, flags in commands.items()
        if not arguments.only or task in arguments.only
    ]
    results = {"machine": describe_cpu(), "batch_size": BATCH_SIZE, "tasks": rows}
    print(f"{results['machine']}; batches of {BATCH_SIZE}, one process, one thread\n")
    print(table(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def measure(task: str, flags: list[str]) -> dict[str, Any]:
    """Build a task's data twice, measure the second build, and measure batches from it."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        command = [sys.executable, "-m", "trm", "build-data", task, *flags, "--out", str(data)]
        for _ in range(2):
            started = time.perf_counter()
            build = subprocess.Popen([*command, "--overwrite"], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(build.pid, 0)
            seconds = time.perf_counter() - started
            if status:
                sys.exit(f"{' '.join(command)} failed")
        meta = json.loads((data / "dataset.json").read_text())
        disk = sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
        batches = subprocess.run(
            [sys.executable, __file__, "--batches", str(data)],
            capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    return {
        "task": task,
        "puzzles": sum(split["puzzles"] for split in meta["splits"].values()),
        "train_puzzles": meta["splits"]["train"]["puzzles"],
        "seconds": round(seconds, 2),
        "peak_bytes": usage.ru_maxrss * 1024,
        "disk_bytes": disk,
        **json.loads(batches.stdout),
    }


def time_batches(folder: Path) -> dict[str, float]:
    """Examples per second of a training stream, and seconds to open it and make one batch."""
    from trm.data import TrainStream, read_meta
    from trm.tasks.registry import get_task

    task = get_task(read_meta(folder).task)
    started = time.perf_counter()
    stream = TrainStream(task.open_data([folder]).split("train"), BATCH_SIZE, seed=0)
    next(stream)
    opened = time.perf_counter() - started
    rates = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(BATCHES):
            next(stream)
        rates.append(BATCHES * BATCH_SIZE / (time.perf_counter() - started))
    return {"examples_per_s": round(statistics.median(rates)), "open_s": round(opened, 2)}


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| task | training puzzles with copies | build | peak memory | disk | examples/s | "
        "batches/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {row['task']} | {row['train_puzzles']:,} | {row['seconds']:.1f} s "
        f"| {row['peak_bytes'] / 1e6:.0f} MB | {row['disk_bytes'] / 1e6:.0f} MB "
        f"| {row['examples_per_s']:,} | {row['examples_per_s'] / BATCH_SIZE:.0f} |"
        for row in rows
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
