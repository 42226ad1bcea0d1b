"""Training samples a second on 1 and 2 processes (CPU), or on 1, 2, 4 and 8 GPUs.

    python benchmarks/scaling.py --json benchmarks/scaling.json
    python benchmarks/scaling.py --device cuda --json benchmarks/scaling-gpu.json
    python benchmarks/scaling.py --table benchmarks/scaling.json

Every number is that of a real ``trm train --nproc N``, whose ``metrics.jsonl`` is read: samples a
second of the later half of the steps, after whatever compiles or warms up. Rounds go through all
settings, forwards and backwards in turn, so that a machine that becomes slower does so for all;
the table has the median of the rounds. "times one process" is the median of the ratios within a
round.

Two kinds of scaling: one batch dealt over all processes (strong: a run ends sooner), and a batch
for each (weak: there is more to do in a step, and as much for each process).

Each process has one thread (``OMP_NUM_THREADS=1``): else one process would use both cores of a
machine of two, and two processes would have nothing to win.

What this cannot show on one machine without GPUs: two processes on two cores share the caches and
the memory's bandwidth, and gloo over the loopback device says nothing about NVLink or a network.
It shows that the work is divided, and what the processes cost beside it.
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

from machine import cpu

#: (rounds, steps of a run) by device.
ROUNDS = {"cpu": (5, 16), "cuda": (3, 60)}
GENERATED = ("sudoku", "--source", "generate", "--num-train", "100", "--num-test", "10",
             "--num-aug", "100")  # fmt: skip


@dataclass(frozen=True)
class Model:
    """What is trained.

    Attributes:
        data: the task, and flags of ``trm build-data``.
        flags: of ``trm train``.
        batch: examples of a step in strong scaling.
        part: examples that one process takes at a time, and its batch in weak scaling.
    """

    name: str
    data: tuple[str, ...]
    flags: tuple[str, ...]
    batch: int
    part: int


@dataclass(frozen=True)
class Setting:
    """One cell of the measurement."""

    model: Model
    scaling: str  # "dealt" or "each"
    processes: int

    @property
    def batch(self) -> int:
        """Examples of a step, over all processes."""
        return self.model.batch if self.scaling == "dealt" else self.model.part * self.processes

    @property
    def accumulate(self) -> int:
        """Parts in which a process takes its share."""
        return max(1, self.batch // (self.processes * self.model.part))

    @property
    def command(self) -> tuple[str, ...]:
        """Settings of the same command are measured once."""
        return (
            self.model.data[0], *self.model.flags, "--nproc", str(self.processes),
            "--batch-size", str(self.batch), "--accumulate", str(self.accumulate),
        )  # fmt: skip


def _small(width: int, batch: int) -> Model:
    flags = ("--preset", "mini", "--mlp-t", "--set", f"model.hidden_size={width}")
    return Model(f"sudoku, 9x9, width {width}", GENERATED, flags, batch, batch)


_ARC = ("arc1", "--no-concept")
_SHARD = ("--shard-puzzle-embedding",)
MODELS = {
    "cpu": [_small(128, 32)],
    "cuda": [
        Model("sudoku-mlp", GENERATED, ("--mlp-t",), 768, 768),
        Model("arc-att", _ARC, (), 768, 96),
        Model("arc-att, table sharded", _ARC, _SHARD, 768, 96),
    ],
}


def main() -> None:
    arguments = parse()
    if arguments.table:
        found = json.loads(arguments.table.read_text())
    else:
        found = measure_all(arguments)
        if arguments.json:
            arguments.json.write_text(json.dumps(found, indent=1) + "\n")
    how = f"{found['rounds']} rounds of {found['steps']} steps, {found['threads']} thread each"
    print(f"{found['machine']}; {how}\n\n{table(found['rows'])}")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--processes", type=int, nargs="*", help="numbers of them, the first is 1")
    parser.add_argument("--only", nargs="*", help="these models")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--steps", type=int, help="of each run, of which the later half counts")
    parser.add_argument("--small", action="store_true", help="try the script out; measures nothing")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--table", type=Path, metavar="JSON", help="of numbers written before")
    arguments = parser.parse_args()
    rounds, steps = (1, 4) if arguments.small else ROUNDS[arguments.device]
    arguments.rounds = arguments.rounds or rounds
    arguments.steps = arguments.steps or steps
    if arguments.steps % 4:
        parser.error("--steps has to be a multiple of 4")
    return arguments


def measure_all(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure every setting in every round."""
    models = [_small(16, 8)] if arguments.small else MODELS[arguments.device]
    models = [model for model in models if not arguments.only or model.name in arguments.only]
    counts = arguments.processes or numbers_of_processes(arguments.device)
    settings = [
        Setting(model, scaling, count)
        for model in models
        for scaling in ("dealt", "each")
        for count in counts
    ]
    rates: dict[tuple[str, ...], list[float]] = {setting.command: [] for setting in settings}
    with tempfile.TemporaryDirectory() as folder:
        for data in {model.data for model in models}:
            run(["build-data", *data, "--out", str(data_folder(Path(folder), data))])
        order = {setting.command: setting for setting in settings}  # each command once
        for number in range(arguments.rounds):
            for setting in list(order.values())[:: -1 if number % 2 else 1]:
                rate = samples_per_s(setting, Path(folder), arguments.device, arguments.steps)
                rates[setting.command].append(rate)
                print(f"round {number + 1}: {describe(setting)}: {rate:.1f}", file=sys.stderr)
    return {
        "machine": machine(arguments.device),
        "rounds": arguments.rounds,
        "steps": arguments.steps,
        "threads": 1,
        "rows": list(rows(settings, rates)),
    }


def numbers_of_processes(device: str) -> list[int]:
    if device == "cpu":
        return [1, 2]
    import torch

    return [count for count in (1, 2, 4, 8) if count <= torch.cuda.device_count()]


def data_folder(folder: Path, data: tuple[str, ...]) -> Path:
    return folder / "data" / data[0]


def samples_per_s(setting: Setting, folder: Path, device: str, steps: int) -> float:
    """Train, and read what the run wrote about the later half of its steps."""
    every = steps // 4
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        run([
            "train", *setting.command, "--device", device, "--max-restarts", "0",
            "--data", str(data_folder(folder, setting.model.data)),
            "--out", runs, "--run-name", "run", "--max-steps", str(steps),
            "--set", f"train.log_every_steps={every}", "--set", f"train.eval_every_steps={steps}",
            "--set", f"train.save_every_steps={steps}", "--set", "eval.max_examples=1",
        ])  # fmt: skip
        lines = Path(runs, setting.model.data[0], "run", "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record["event"] == "train"]
    later: list[float] = [
        record["samples_per_s"] for record in records if record["step"] > steps // 2
    ]
    return statistics.harmonic_mean(later)  # all lines stand for equally many samples


def run(arguments: Sequence[str]) -> None:
    """Run ``trm`` quietly; its error ends the measurement."""
    done = subprocess.run(
        [sys.executable, "-m", "trm", *arguments],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"trm {' '.join(arguments)}: {done.stderr}")


def describe(setting: Setting) -> str:
    return f"{setting.model.name}, --nproc {setting.processes} --batch-size {setting.batch}"


def rows(
    settings: Sequence[Setting], rates: dict[tuple[str, ...], list[float]]
) -> Iterator[dict[str, Any]]:
    """One for each setting, compared with that of one process."""
    for _, group in groupby(settings, key=lambda setting: (setting.model.name, setting.scaling)):
        first, *_ = same = list(group)
        for setting in same:
            own, one = rates[setting.command], rates[first.command]
            ratios = [many / single for many, single in zip(own, one, strict=True)]
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


def machine(device: str) -> str:
    import torch

    if device == "cuda":
        names = {torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())}
        return f"{torch.cuda.device_count()} {', '.join(sorted(names))}, torch {torch.__version__}"
    return f"{cpu()}, torch {torch.__version__}"


def table(found: list[dict[str, Any]]) -> str:
    lines = [
        "| model | batch | processes | samples/s | lowest to highest | times one process |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for row in found:
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
