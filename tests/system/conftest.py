"""Commands in processes of their own, that a test may watch and end."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

TRM = (sys.executable, "-m", "trm")
#: Every process of a command inherits this environment variable, with a value of its own.
MARK = "TEST_COMMAND"


class Command:
    """A running ``trm`` command; what it prints is read line by line."""

    def __init__(self, folder: Path, arguments: tuple[Any, ...], env: dict[str, str]) -> None:
        self._mark = uuid.uuid4().hex
        self._process = subprocess.Popen(
            [*TRM, *map(str, arguments)],
            cwd=folder,
            env={**os.environ, MARK: self._mark, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.lines: list[str] = []

    def read_until(self, start: str) -> str:
        """Wait for a line that begins so."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line)
            if line.startswith(start):
                return line
        raise AssertionError(f"no line {start!r} in {self.lines}, {self.end()}")

    def read_lines(self, count: int) -> bool:
        """Wait for so many lines; false if it ended before."""
        assert self._process.stdout is not None
        for _ in range(count):
            line = self._process.stdout.readline()
            if not line:
                return False
            self.lines.append(line)
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to it alone."""
        self._process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for its end; exit code and stderr."""
        rest, errors = self._process.communicate()
        self.lines += rest.splitlines(keepends=True)
        return self._process.returncode, errors

    @property
    def processes(self) -> set[int]:
        """Every process that lives of this command, also after the first one has ended."""
        found = set()
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended
                if f"{MARK}={self._mark}".encode() in (folder / "environ").read_bytes():
                    found.add(int(folder.name))
        return found

    @property
    def workers(self) -> dict[int, int]:
        """The processes that it started, by rank."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        found = {}
        for child in map(int, children):
            with contextlib.suppress(OSError):
                variables = Path(f"/proc/{child}/environ").read_bytes().split(b"\0")
                for variable in variables:
                    if variable.startswith(b"RANK="):
                        found[int(variable[5:])] = child
        return found


def wait_for_end(handles: list[int]) -> None:
    """Wait until the processes of these ``pidfd`` handles are gone."""
    for handle in handles:
        assert select.select([handle], [], [], 60)[0], "a process lives on"
        os.close(handle)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start commands in the test's folder; those that still run at its end are killed."""
    started: list[Command] = []

    def begin(*arguments: Any, **env: str) -> Command:
        started.append(Command(tmp_path, arguments, {"OMP_NUM_THREADS": "1", **env}))
        return started[-1]

    yield begin
    for command in started:
        if command._process.poll() is None:
            command._process.kill()
        command._process.communicate()


@pytest.fixture
def ports() -> Iterator[int]:
    """Ports that nobody listens on."""

    def free() -> Iterator[int]:
        while True:
            with socket.socket() as found:
                found.bind(("127.0.0.1", 0))
                port = found.getsockname()[1]
            yield port

    return free()


@pytest.fixture
def srun(start: Callable[..., Command], ports: Iterator[int]) -> Callable[..., list[Command]]:
    """Start two processes with the variables that ``srun`` sets.

    A variable of two values has the second one in the second process.
    """

    def begin(*arguments: Any, **env: tuple[str, str]) -> list[Command]:
        job = str(next(port for port in ports if port < 40_000))  # which the port is taken from
        return [
            start(
                *arguments,
                SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank), SLURM_STEP_NUM_TASKS="2",
                SLURM_STEP_NODELIST="localhost", SLURM_JOB_ID=job,
                **{name: values[rank] for name, values in env.items()},
            )
            for rank in (0, 1)
        ]  # fmt: skip

    return begin


@pytest.fixture
def tiny_run(mini_data: Path) -> tuple[str, ...]:
    """A command line that trains a sudoku model of seconds; a checkpoint every five steps."""
    return (
        "train", "sudoku", "--preset", "mini", "--device", "cpu", "--batch-size", "8",
        "--data", str(mini_data), "--save-every", "5",
        "--set", "model.forward_dtype=float32",
        "--set", "model.hidden_size=16", "--set", "model.num_heads=1",
        "--set", "model.l_cycles=1", "--set", "model.halt_max_steps=2",
        "--set", "train.log_every_steps=1", "--set", "eval.max_examples=4",
    )  # fmt: skip


def records(run: Path, event: str) -> list[dict[str, Any]]:
    """The records of one kind in ``metrics.jsonl``, without times."""
    timed = ("samples_per_s", "tflops", "mfu", "input_share", "eta_s", "elapsed_s")
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [
        {name: value for name, value in record.items() if name not in timed}
        for record in lines
        if record["event"] == event
    ]


def numbers(checkpoint: Path) -> dict[str, Any]:
    """Every number of a checkpoint, as bytes."""
    files = sorted(checkpoint.rglob("*.safetensors"))
    return {
        f"{file.relative_to(checkpoint)}/{name}": array.tobytes()
        for file in files
        for name, array in load_file(file).items()
    }


@pytest.fixture(name="records")
def _records() -> Callable[..., list[dict[str, Any]]]:
    return records


@pytest.fixture(name="numbers")
def _numbers() -> Callable[..., dict[str, Any]]:
    return numbers


@pytest.fixture(name="wait_for_end")
def _wait_for_end() -> Callable[..., None]:
    return wait_for_end
