"""The rounds of ``speed.py``: processes that take their steps in turn, and what comes of it."""

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

#: Measurements of the ceiling, of which the median counts.
PRODUCTS = 7
#: Lets the C library keep the memory that it got, see ``speed.py``; others than glibc's ignore it.
KEEP_MEMORY = {
    "MALLOC_TOP_PAD_": str(1 << 28),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 30),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
}


class MeasurementError(Exception):
    """A row could not be measured; what its process had to say is on stderr."""


class TooLargeError(MeasurementError):
    """The batch is too large for the device."""


class Side:
    """A process that measures. It starts at once, and is waited for later.

    Args:
        job: what.
        program: the file that is run with it.
    """

    def __init__(self, job: Job, program: str = "sides.py") -> None:
        self.job = job
        command = [sys.executable, str(Path(__file__).with_name(program)), json.dumps(asdict(job))]
        environment = os.environ | KEEP_MEMORY | {"TRM_KERNELS": job.kernels}
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def __enter__(self) -> "Side":
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def answer(self) -> dict[str, Any]:
        """Its next line.

        Raises:
            MeasurementError: if it ended instead.
        """
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementError(f"the process of {self.job.side} ended, {self._process.wait()}")
        found: dict[str, Any] = json.loads(line)
        if "out_of_memory" in found:
            raise TooLargeError(f"{self.job.side}: {found['out_of_memory'].splitlines()[0]}")
        return found

    def ask(self) -> None:
        """Let it take its steps."""
        assert self._process.stdin
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def measure(self) -> dict[str, Any]:
        """Let it take its steps, and wait for them."""
        self.ask()
        return self.answer()


def ceiling(job: Job) -> float:
    """The TFLOP a second of a large matrix product in the type of a job."""
    with Side(replace(job, side="ceiling", repeats=1 if job.device == "cpu" else 10)) as side:
        side.answer()  # it is ready
        seconds = [side.measure()["seconds"] for _ in range(1 + PRODUCTS)][1:]
    return float(f"{2 * matrix_size(job) ** 3 / statistics.median(seconds) / 1e12:.4g}")


def measure(job: Job, rounds: int, ceiling: float) -> dict[str, Any]:
    """One row: a phase of a model, of this package and the reference."""
    names = ["trm", "reference"] if job.reference else ["trm"]
    with ExitStack() as stack:
        sides = {name: stack.enter_context(Side(replace(job, side=name))) for name in names}
        for side in sides.values():
            side.answer()  # it is ready
        first = first_steps(sides, together=job.compile)
        for side in sides.values():
            side.measure()  # in which much still happens for the first time
        measured: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
        for number in range(rounds):
            for name in names[:: -1 if number % 2 else 1]:
                measured[name].append(sides[name].measure())
    row: dict[str, Any] = {
        "model": job.model, "dtype": job.dtype, "phase": job.phase, "kernels": job.kernels,
        "batch": job.batch,
    }  # fmt: skip
    flops = flops_of(job)
    for name in names:
        seconds = [one["seconds"] for one in measured[name]]
        rate = flops / statistics.median(seconds) / 1e12
        row[name] = {
            "ms": round(1e3 * statistics.median(seconds), 3),
            "samples_per_s": round(job.batch / statistics.median(seconds), 2),
            "tflops": float(f"{rate:.4g}"),
            "share_of_ceiling": round(rate / ceiling, 4),
            "peak_bytes": max(one["peak_bytes"] for one in measured[name]),
            "first_s": round(first[name], 3),
            "rounds_ms": [round(1e3 * one, 3) for one in seconds],
        }
    if job.reference:
        own, other = (row[name]["rounds_ms"] for name in names)
        ratios = [theirs / ours for ours, theirs in zip(own, other, strict=True)]
        row["times_reference"] = round(statistics.median(ratios), 3)
    return row


def first_steps(sides: dict[str, Side], together: bool) -> dict[str, float]:
    """Seconds of the first step of each; together where they compile, which takes a minute."""
    if not together:
        return {name: side.measure()["seconds"] for name, side in sides.items()}
    for side in sides.values():
        side.ask()
    return {name: side.answer()["seconds"] for name, side in sides.items()}


def flops_of(job: Job) -> int:
    """Operations of a training step, or of a batch through all its supervision steps."""
    model = job.built
    if job.phase == "train":
        return job.batch * train_step_flops(model.config, model.spec)
    return job.batch * model.config.halt_max_steps * eval_step_flops(model.config, model.spec)
