"""Workers end with their launcher."""

import os
import signal
import subprocess
import sys

import pytest

from trm.runtime.worker import LAUNCHER_PID

#: Starts a worker, and is gone when that is ready.
LAUNCHER = """
import os, subprocess, sys
env = {**os.environ, "LAUNCHER_PID": str(os.getpid()), "TORCHELASTIC_RUN_ID": "x"}
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=env, stderr=subprocess.PIPE)
worker.stderr.readline()
"""
#: No signal ends it, as if it waited in C++.
WORKER = """
import os, signal, sys, time
from trm.runtime import worker
worker.end_with_launcher(os.environ, step_s=0.01, save_s={save_s})
signal.signal(signal.SIGTERM, signal.SIG_IGN)
launcher = os.getppid()
{more}
print("ready", file=sys.stderr, flush=True)
while os.getppid() == launcher or {waits}:
    time.sleep(0.01)
print("saved", flush=True)
"""


@pytest.mark.parametrize(
    ("more", "save_s", "waits", "expected"),
    [("", 60, True, ""), ("worker.allow_last_save()", 60, False, "saved\n"),
     ("worker.allow_last_save()", 0.01, True, "")],
    ids=["waiting", "saving", "saving too long"],
)  # fmt: skip
def test_a_worker_that_no_signal_ends_ends_after_its_launcher(
    more: str, save_s: float, waits: bool, expected: str
) -> None:
    program = WORKER.format(more=more, save_s=save_s, waits=waits)
    done = subprocess.run(  # until the worker closes its end of stdout
        [sys.executable, "-c", LAUNCHER, program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == expected


def test_a_command_of_a_comparison_ends_with_it_too() -> None:
    launcher = LAUNCHER.replace(', "TORCHELASTIC_RUN_ID": "x"', "")
    assert launcher != LAUNCHER
    program = WORKER.format(more="", save_s=60, waits=True)
    done = subprocess.run(
        [sys.executable, "-c", launcher, program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == ""


def test_a_worker_whose_launcher_has_died_before_it_began() -> None:
    gone = {LAUNCHER_PID: "1", "TORCHELASTIC_RUN_ID": "x"}
    done = subprocess.run(
        [sys.executable, "-m", "trm", "tasks"], env={**os.environ, **gone},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (128 + signal.SIGTERM, "", "")


def test_a_command_that_a_worker_starts_is_no_worker() -> None:
    program = (
        "import os, subprocess, sys; from trm.runtime.worker import end_with_launcher;"
        "end_with_launcher(os.environ);"
        "subprocess.run([sys.executable, '-m', 'trm', '--version'], check=True)"
    )
    env = {**os.environ, LAUNCHER_PID: str(os.getpid()), "TORCHELASTIC_RUN_ID": "x"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("trm ")
