"""The processes of a comparison: each run is an ordinary ``trm train``, then a ``trm eval``.

They end with the process that started them, see :func:`trm.runtime.worker.end_with_launcher`.
"""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from trm.errors import ConfigError
from trm.runtime.device import num_cores, num_processes, pick_device
from trm.runtime.worker import LAUNCHER_PID
from trm.settings import ENV_PREFIX
from trm.storage import storage_errors

_POLL_S = 0.05
#: The end of a log in which the error of a process is looked for, in bytes.
_LOG_END = 20_000
_ERROR = "trm: error: "


@dataclass(frozen=True)
class Places:
    """Where the runs are trained.

    Attributes:
        devices: one for each run at a time.
        threads: of a process, for the CPU.
    """

    devices: tuple[str, ...]
    threads: int


def find_places(device: str, jobs: int | None, *, is_timed: bool) -> Places:
    """The devices for the runs that are trained at the same time.

    On a CPU each run has ``OMP_NUM_THREADS`` threads, by default 1, whatever the number of jobs:
    numbers may depend on the threads.

    Args:
        device: by its name, see :func:`trm.runtime.device.pick_device`.
        jobs: the runs at the same time; None for the number of GPUs, or what the cores allow.
        is_timed: whether the budget is time, so that runs may not share a GPU.

    Raises:
        ConfigError: if there is no such device, or if the runs would need more cores.
    """
    kind, cores = pick_device(device).type, num_cores()
    if jobs is not None and not 1 <= jobs <= cores:
        raise ConfigError(
            f"--jobs {jobs}, but the number of CPU cores here is {cores}. Use --jobs 1 to {cores}."
        )
    set_threads = os.environ.get("OMP_NUM_THREADS", "")
    if kind == "cpu":
        threads = int(set_threads) if set_threads.isdecimal() and int(set_threads) else 1
        most = max(1, cores // threads)
        if jobs is not None and jobs > most:
            raise ConfigError(
                f"--jobs {jobs} of {threads} threads need more than the {cores} CPU cores here. "
                f"Use --jobs {most}, or set OMP_NUM_THREADS to less."
            )
        return Places(("cpu",) * (jobs or most), threads)
    count = num_processes(device)
    is_one = ":" in device or kind == "mps"
    names = [device if ":" in device else kind] if is_one else [f"{kind}:{n}" for n in range(count)]
    jobs = jobs or min(len(names), cores)
    if is_timed and jobs > len(names):
        raise ConfigError(
            f"--jobs {jobs} would share {len(names)} {kind} devices, which makes minutes unequal. "
            f"Use --jobs {len(names)}."
        )
    devices = tuple(names[number % len(names)] for number in range(jobs))
    return Places(devices, max(1, cores // jobs))


@dataclass(frozen=True)
class Step:
    """A command of a run.

    Attributes:
        arguments: of ``trm``, without the device.
        result: the file that gets what the command prints; None for the log. It is written whole,
            when the command has succeeded.
    """

    arguments: Sequence[str]
    result: Path | None = None


@dataclass
class Job:
    """The commands of a run, one after the other.

    Attributes:
        label: of the run.
        log: the file that gets what they print.
    """

    label: str
    log: Path
    steps: list[Step]


@dataclass
class _Running:
    job: Job
    device: str
    environment: Mapping[str, str]
    process: "subprocess.Popen[bytes]" = field(init=False)

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start the next command of the job."""
        step = self.job.steps[0]
        with storage_errors(self.job.log), contextlib.ExitStack() as stack:
            self.job.log.parent.mkdir(parents=True, exist_ok=True)
            log: IO[bytes] = stack.enter_context(self.job.log.open("ab"))
            out = log
            if step.result is not None:
                out = stack.enter_context(_unfinished(step.result).open("wb"))
            self.process = subprocess.Popen(
                [sys.executable, "-m", "trm", *step.arguments, "--device", self.device],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=log,
            )

    def finish_step(self) -> bool:
        """Keep the result of a command that succeeded. Returns whether another one follows."""
        step = self.job.steps.pop(0)
        if step.result is not None:
            with storage_errors(step.result):
                _unfinished(step.result).replace(step.result)
        return bool(self.job.steps)


def run_jobs(
    jobs: Sequence[Job], places: Places, on_end: Callable[[str, str | None], None]
) -> None:
    """Run all jobs, one at a time on each place. A job that fails does not stop the others.

    If this process is interrupted, the commands are asked to stop with a checkpoint.

    Args:
        jobs: in the order in which they begin. Their finished steps are removed.
        places: where.
        on_end: called after each job with its label, and the reason if it failed.
    """
    waiting, free = list(jobs), list(places.devices)
    environment = _environment(places.threads)
    running: list[_Running] = []
    try:
        while waiting or running:
            while waiting and free:
                running.append(_Running(waiting.pop(0), free.pop(0), environment))
            time.sleep(_POLL_S)
            for one in list(running):
                code = one.process.poll()
                if code is None:
                    continue
                if code == 0 and one.finish_step():
                    one.start()
                    continue
                running.remove(one)
                free.append(one.device)
                on_end(one.job.label, None if code == 0 else _reason(one.job.log, code))
    finally:
        _stop([one.process for one in running])


def _stop(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Ask processes to stop, and wait; a second interrupt kills them."""
    try:
        for process in processes:
            process.terminate()  # in a terminal, Ctrl-C has asked them already
        for process in processes:
            process.wait()
    finally:
        for process in processes:
            process.kill()


def _environment(threads: int) -> dict[str, str]:
    """The environment of the commands: their settings are all on their command lines."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(ENV_PREFIX) or name == "TRM_KERNELS"
    }
    return kept | {"OMP_NUM_THREADS": str(threads), LAUNCHER_PID: str(os.getpid())}


def _reason(log: Path, code: int) -> str:
    """Why a command failed: its error, or its exit code."""
    with storage_errors(log), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _LOG_END))
        lines = file.read().decode(errors="replace").splitlines()
    last = lines[-1] if lines else ""
    if last.startswith(_ERROR):
        return last.removeprefix(_ERROR)
    what = f"signal {-code}" if code < 0 else f"exit code {code}"
    return f"it ended with {what}. Its output is in {log}."


def _unfinished(path: Path) -> Path:
    return path.with_name(f".{path.name}.unfinished")
