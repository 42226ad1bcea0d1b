"""Measure training samples per second on 1 and 2 processes (CPU), or on 1, 2, 4 and 8 GPUs.

    python benchmarks/scaling.py --json benchmarks/scaling.json
    python benchmarks/scaling.py --device cuda --json benchmarks/scaling-gpu.json
    python benchmarks/scaling.py --table benchmarks/scaling.json

Every number comes from the ``metrics.jsonl`` of a real ``trm train --nproc N``: samples per second
in the second half of the steps, after compilation and warm-up. Each round runs all settings, in
alternating order, so that a machine that slows down affects all of them. The table has the median
of the rounds. "times one process" is the median of the ratios within a round.

There are two kinds of scaling: one batch is divided over all processes (strong scaling: a run ends
sooner), or each process gets a batch of its own (weak scaling: a step does more work).

Each process has one thread (``OMP_NUM_THREADS=1``). Otherwise one process would use both cores of a
machine with two cores, and a second process could not help.

Limits of a measurement on one machine without GPUs: two processes on two cores share the caches and
the memory bandwidth, and gloo over the loopback device says nothing about NVLink or a network. The
measurement shows that the work is divided, and the overhead of several processes.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from machine import describe_cpu

#: Rounds, and steps per run, by device.
ROUNDS = {"cpu": (5, 16), "cuda": (3, 60)}
GENERATED = ("sudoku", "--source", "generate", "--num-train", "100", "--num-test", "10",
             "--num-aug", "100")  # fmt: skip


@dataclass(frozen=True)
class Model:
    """A model to train, and its data.

    Attributes:
        data: the task and flags of ``trm build-data``.
        flags: flags of ``trm train``.
        batch: examples per step in strong scaling.
        micro_batch: examples that a process computes at a time, and its batch in weak scaling.
    """

    name: str
    data: tuple[str, ...]
    flags: tuple[str, ...]
    batch: int
    micro_batch: int


@dataclass(frozen=True)
class Setting:
    """A model, a kind of scaling, and a number of processes."""

    model: Model
    scaling: str  # "dealt" (strong) or "each" (weak)
    processes: int

    @property
    def batch(self) -> int:
        """Examples per step, over all processes."""
        return (
            self.model.batch if self.scaling == "dealt" else self.model.micro_batch * self.processes
        )

    @property
    def accumulate(self) -> int:
        """Micro-batches per step and process."""
        return max(1, self.batch // (self.processes * self.model.micro_batch))

    @property
    def command(self) -> tuple[str, ...]:
        """Flags of ``trm train``. Settings with the same command are measured once."""
        return (
            self.model.data[0], *self.model.flags, "--nproc", str(self.processes),
            "--batch-size", str(self.batch), "--accumulate", str(self.accumulate),
        )  # fmt: skip

    @property
    def description(self) -> str:
        """The setting in one line, for progress."""
        return f"{self.model.name}, --nproc {self.processes} --batch-size {self.batch}"


def small_model(width: int, batch: int) -> Model:
    flags = ("--preset", "mini", "--set", f"model.hidden_size={width}")
    return Model(f"sudoku, 9x9, width {width}", GENERATED, flags, batch, batch)


_ARC = ("arc1", "--no-concept")
_SHARD = ("--shard-puzzle-embedding",)
MODELS = {
    "cpu": [small_model(128, 32)],
    "cuda": [
        Model("sudoku-mlp", GENERATED, ("--mlp-t",), 768, 768),
        Model("arc-att", _ARC, (), 768, 96),
        Model("arc-att, table sharded", _ARC, _SHARD, 768, 96),
    ],
}


def main() -> None:
    arguments = parse()
    if arguments.table:
        results = json.loads(arguments.table.read_text())
    else:
        results = measure_all(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(results, indent=1) + "\n")
    rounds = f"{results['rounds']} rounds of {results['steps']} steps"
    setup = f"{rounds}, {results['threads']} thread each"
    print(f"{results['machine']}; {setup}\n\n{table(results['rows'])}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument(
        "--processes", type=int, nargs="*", help="numbers of processes, starting with 1"
    )
    parser.add_argument("--only", nargs="*", help="models to measure; default: all")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--steps", type=int, help="steps per run; the second half counts")
    parser.add_argument(
        "--small",
        action="store_true",
        help="small models, to try the script; the numbers mean nothing",
    )
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument(
        "--table", type=Path, metavar="JSON", help="print the table of an earlier file"
    )
    arguments = parser.parse_args()
    rounds, steps = (1, 4) if arguments.small else ROUNDS[arguments.device]
    arguments.rounds = arguments.rounds or rounds
    arguments.steps = arguments.steps or steps
    if arguments.steps % 4:
        parser.error("--steps must be a multiple of 4")
    return arguments


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every setting in every round."""
    models = [small_model(16, 8)] if arguments.small else MODELS[arguments.device]
    models = [model for model in models if not arguments.only or model.name in arguments.only]
    counts = arguments.processes or process_counts(arguments.device)
    settings = [
        Setting(model, scaling, count)
        for model in models
        for scaling in ("dealt", "each")
        for count in counts
    ]
    rates: dict[tuple[str, ...], list[float]] = {setting.command: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        for data in {model.data for model in models}:
            run_trm(["build-data", *data, "--out", str(data_folder(Path(folder), data))])
        order = {setting.command: setting for setting in settings}  # each command once
        for number in range(arguments.rounds):
            for setting in list(order.values())[:: -1 if number % 2 else 1]:
                rate = samples_per_s(setting, Path(folder), arguments.device, arguments.steps)
                rates[setting.command].append(rate)
                print(f"round {number + 1}: {setting.description}: {rate:.1f}", file=sys.stderr)
    return {
        "machine": describe_machine(arguments.device),
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "threads": 1,
        "rows": list(make_rows(settings, rates)),
    }


def process_counts(device: str) -> list[int]:
    if device == "cpu":
        return [1, 2]
    import torch

    return [count for count in (1, 2, 4, 8) if count <= torch.cuda.device_count()]


def data_folder(folder: Path, data: tuple[str, ...]) -> Path:
    return folder / "data" / data[0]


def samples_per_s(setting: Setting, folder: Path, device: str, steps: int) -> float:
    """Train, and read the speed of the second half of the steps from ``metrics.jsonl``."""
    every = steps // 4
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        run_trm([
            "train", *setting.command, "--device", device, "--max-restarts", "0",
            "--data", str(data_folder(folder, setting.model.data)),
            "--out", runs, "--run-name", "run", "--max-steps", str(steps),
            "--set", f"train.log_every_steps={every}", "--set", f"train.eval_every_steps={steps}",
            "--set", f"train.save_every_steps={steps}", "--set", "eval.max_examples=1",
        ])  # fmt: skip
        lines = Path(runs, setting.model.data[0], "run", "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record["event"] == "train"]
    rates: list[float] = [
        record["samples_per_s"] for record in records if record["step"] > steps // 2
    ]
    return statistics.harmonic_mean(rates)  # all records have the same number of samples


def run_trm(arguments: Sequence[str]) -> None:
    """Run ``trm`` without output. If it fails, exit with its error."""
    done = subprocess.run(
        [sys.executable, "-m", "trm", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"trm {' '.join(arguments)}: {done.stderr}")


def make_rows(
    settings: Sequence[Setting], rates: dict[tuple[str, ...], list[float]]
) -> Iterator[dict[str, Any]]:
    """A row for each setting, compared with the first number of processes."""
    for _, group in groupby(settings, key=lambda setting: (setting.model.name, setting.scaling)):
        first, *_ = same = list(group)
        for setting in same:
            own, baseline = rates[setting.command], rates[first.command]
            ratios = [rate / base for rate, base in zip(own, baseline, strict=True)]
            yield {
                "model": setting.model.name,
                "scaling": setting.scaling,
                "processes": setting.processes,
                "batch": setting.batch,
                "accumulate": setting.accumulate,
                "samples_per_s": round(statistics.median(own), 1),
                "rounds": [round(rate, 1) for rate in own],
                "times_first": round(statistics.median(ratios), 2),
            }


def describe_machine(device: str) -> str:
    import torch

    if device == "cuda":
        names = {torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
        return f"{torch.cuda.device_count()} {', '.join(sorted(names))}, torch {torch.__version__}"
    return f"{describe_cpu()}, torch {torch.__version__}"


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| model | batch | processes | samples/s | lowest to highest | times one process |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        kind = (
            f"{row['batch']}, dealt"
            if row["scaling"] == "dealt"
            else f"{row['batch'] // row['processes']} for each"
        )
        low, high = min(row["rounds"]), max(row["rounds"])
        lines.append(
            f"| {row['model']} | {kind} | {row['processes']} | {row['samples_per_s']:,.1f} "
            f"| {low:,.1f} to {high:,.1f} | {row['times_first']:.2f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
