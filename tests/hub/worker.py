"""Runs jobs from lines of JSON on stdin, and answers on stdout; see ``tests.hub.commands``.

Output is captured at the level of file descriptors, so that nothing from any library is missed.
"""

import json
import os
import sys
import tempfile
import traceback
from typing import Any

from trm.cli import run


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        for line in sys.stdin:
            code = _run_job(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            answers.write(json.dumps([code, _read_new(out), _read_new(err)]) + "\n")
            answers.flush()


def _run_job(job: dict[str, Any]) -> int:
    os.chdir(job["folder"])
    os.environ.pop("HF_TOKEN", None)
    if job["token"] is not None:
        os.environ["HF_TOKEN"] = job["token"]
    try:
        if "program" in job:
            exec(job["program"], {"__name__": "__main__"})
            return 0
        return run(job["arguments"])
    except BaseException:
        traceback.print_exc()
        return 70


def _read_new(file: Any) -> str:
    """The text written since the last call."""
    file.seek(0)
    text: str = file.read().decode()
    file.seek(0)
    file.truncate()
    return text


if __name__ == "__main__":
    main()
