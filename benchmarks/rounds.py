"""The rounds of ``speed.py``: worker processes that take their steps in turn."""

import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from sides import Job, matrix_size

from trm.models.flops import eval_step_flops, train_step_flops

#: Measurements of the ceiling. The median counts.
CEILING_ROUNDS = 7
#: Makes glibc's allocator keep its memory, see ``speed.py``. Other C libraries ignore this.
KEEP_MEMORY = {
    "MALLOC_TOP_PAD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
}


class MeasurementError(Exception):
    """A row could not be measured. The output of its process is on stderr."""


class TooLargeError(MeasurementError):
    """The batch is too large for the device."""


class WorkerProcess:
    """A process that measures a job. The constructor starts it and does not wait.

    Args:
        job: what the process measures.
        program: the script that it runs, in this folder.
    """

    def __init__(self, job: Job, program: str = "sides.py") -> None:
        self.job = job
        command = [sys.executable, str(Path(__file__).with_name(program)), json.dumps(asdict(job))]
        environment = os.environ | KEEP_MEMORY | {"TRM_KERNELS": job.kernels}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> "WorkerProcess":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self) -> dict[str, Any]:
        """Wait for the next result.

        Raises:
            TooLargeError: if the device has too little memory.
            MeasurementError: if the process ended without a result.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            code = self._process.wait()
            raise MeasurementError(f"the {self.job.side} process ended with exit code {code}")
        result: dict[str, Any] = json.loads(line)
        if "out_of_memory" in result:
            raise TooLargeError(f"{self.job.side}: {result['out_of_memory'].splitlines()[0]}")
        return result

    def start_steps(self) -> None:
        """Tell the process to take its steps. Does not wait."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def measure(self) -> dict[str, Any]:
        """Let the process take its steps, and wait for the result."""
        self.start_steps()
        return self.read()


def measure_ceiling(job: Job) -> float:
    """The TFLOP per second of a large matrix product in a job's type."""
    repeats = 1 if job.device == "cpu" else 10
    with WorkerProcess(replace(job, side="ceiling", repeats=repeats)) as worker:
        worker.read()  # ready
        seconds = [worker.measure()["seconds"] for _ in range(1 + CEILING_ROUNDS)][1:]
    return float(f"{2 * matrix_size(job) ** 3 / statistics.median(seconds) / 1e12:.4g}")


def measure_row(job: Job, rounds: int, ceiling: float) -> dict[str, Any]:
    """Measure one row: a phase of a model, for this package and the reference.

    Args:
        job: what to measure.
        rounds: measurements of each side.
        ceiling: TFLOP per second of :func:`measure_ceiling`.
    """
    names = ["trm", "reference"] if job.reference else ["trm"]
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(WorkerProcess(replace(job, side=name))) for name in names
        }
        for worker in workers.values():
            worker.read()  # ready
        first = first_step_seconds(workers, together=job.compile)
        for worker in workers.values():
            worker.measure()  # warm-up: it still has one-time work
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names[:: -1 if number % 2 else 1]:
                measured[name].append(workers[name].measure())
    row: dict[str, Any] = {
        "model": job.model, "dtype": job.dtype, "phase": job.phase, "kernels": job.kernels,
        "batch": job.batch,
    }  # fmt: skip
    flops = job_flops(job)
    for name in names:
        seconds = [result["seconds"] for result in measured[name]]
        rate = flops / statistics.median(seconds) / 1e12
        row[name] = {
            "ms": round(1e3 * statistics.median(seconds), 3),
            "samples_per_s": round(job.batch / statistics.median(seconds), 2),
            "tflops": float(f"{rate:.4g}"),
            "share_of_ceiling": round(rate / ceiling, 4),
            "peak_bytes": max(result["peak_bytes"] for result in measured[name]),
            "first_s": round(first[name], 3),
            "rounds_ms": [round(1e3 * value, 3) for value in seconds],
        }
    if job.reference:
        rounds_ms = (row[name]["rounds_ms"] for name in names)
        ratios = [reference / trm for trm, reference in zip(*rounds_ms, strict=True)]
        row["times_reference"] = round(statistics.median(ratios), 3)
    return row


def first_step_seconds(workers: dict[str, WorkerProcess], together: bool) -> dict[str, float]:
    """Seconds of each worker's first step; ``together`` saves time if the step compiles."""
    if not together:
        return {name: worker.measure()["seconds"] for name, worker in workers.items()}
    for worker in workers.values():
        worker.start_steps()
    return {name: worker.read()["seconds"] for name, worker in workers.items()}


def job_flops(job: Job) -> int:
    """Operations of a training step, or of an evaluation batch with all supervision steps."""
    model = job.sized_model
    if job.phase == "train":
        return job.batch * train_step_flops(model.config, model.spec)
    return job.batch * model.config.halt_max_steps * eval_step_flops(model.config, model.spec)
