"""Command lines of trm against the small Hub, one after the other in one process.

The client reads its environment once, and importing torch takes seconds. So all tests share one
process with the Hub's environment; only the token changes between commands.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from tests.coverage_pause import VARIABLE

WORKER = Path(__file__).with_name("worker.py")


class Done(NamedTuple):
    """The exit code, stdout and stderr of a command."""

    code: int
    out: str
    err: str


class Commands:
    """A process that runs command lines of trm, and programs; use it as a context."""

    def __init__(self, environment: Mapping[str, str], python: str | Path = sys.executable) -> None:
        env = {name: value for name, value in environment.items() if not name.startswith("TRM_")}
        self._process = subprocess.Popen(
            [python, "-P", WORKER],
            env={**env, "COLUMNS": "200", "NO_COLOR": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Commands":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.communicate()

    def run(
        self,
        arguments: Sequence[str | Path],
        folder: Path,
        token: str | None,
        *,
        stdin: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> Done:
        """Run a command line in a folder, with environment variables that only it sees."""
        return self._ask(
            arguments=[str(argument) for argument in arguments],
            folder=str(folder),
            token=token,
            stdin=stdin,
            variables=dict(variables),
        )

    def execute(
        self, program: str, folder: Path, token: str | None, *, keep_names: bool = False
    ) -> Done:
        """Run a Python program; if it raises, the exit code is 70 and stderr has the traceback.

        With ``keep_names`` it has the names that earlier programs defined in that folder.
        """
        return self._ask(
            program=program,
            folder=str(folder),
            token=token,
            keep_names=keep_names,
            stdin="",
            variables={},
        )

    def _ask(self, **job: Any) -> Done:
        job["measured"] = VARIABLE in os.environ
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the process ended with code {self._process.wait()}"
        return Done(*json.loads(answer))


class Online:
    """Runs command lines and programs in one folder, with alice's token unless another is given.

    Their output never contains a token or a traceback.
    """

    def __init__(self, process: Commands, folder: Path) -> None:
        self._process, self._folder = process, folder

    def __call__(self, *arguments: str | Path, token: str | None = "hf_alice") -> Done:
        """Run a command line of trm."""
        return _checked(self._process.run(arguments, self._folder, token))

    def program(self, program: str, token: str | None = "hf_alice") -> str:
        """The stdout of a Python program, which must succeed."""
        done = _checked(self._process.execute(program, self._folder, token))
        assert (done.code, done.err) == (0, ""), done
        return done.out


def _checked(done: Done) -> Done:
    assert "hf_" not in done.out + done.err
    assert "Traceback" not in done.err, done.err
    return done


def succeeded(done: Done) -> str:
    """The stdout of a command that succeeded and wrote nothing to stderr."""
    assert (done.code, done.err) == (0, ""), done
    return done.out


def refused(done: Done) -> str:
    """The error message of a command that failed."""
    assert (done.code, done.out) == (1, ""), done
    assert re.fullmatch(r"trm: error: [^\n]+\n", done.err), done.err
    return done.err.removeprefix("trm: error: ").strip()
