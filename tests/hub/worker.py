"""Runs jobs from lines of JSON on stdin, and answers on stdout; see ``tests.hub.commands``.

Output is captured at the level of file descriptors, so that nothing from any library is missed.
"""

import io
import json
import os
import sys
import tempfile
import traceback
from typing import Any

WIDTH = os.environ.pop("COLUMNS", "200")  # which the command line would read as it is imported

from trm.cli import run  # noqa: E402

#: By folder, the names that its programs have defined; only of jobs that ask for it.
namespaces: dict[str, dict[str, Any]] = {}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    jobs = sys.stdin
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        os.dup2(out.fileno(), 1)
        os.dup2(err.fileno(), 2)
        for line in jobs:
            code = _run_job(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            answers.write(json.dumps([code, _read_new(out), _read_new(err)]) + "\n")
            answers.flush()


def _run_job(job: dict[str, Any]) -> int:
    os.chdir(job["folder"])
    before, trace = dict(os.environ), sys.gettrace()
    if not job["measured"]:  # see tests.coverage_pause
        sys.settrace(None)
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)
    os.environ.pop("HF_TOKEN", None)
    os.environ |= {"COLUMNS": WIDTH, **job["variables"]}
    if job["token"] is not None:
        os.environ["HF_TOKEN"] = job["token"]
    sys.stdin = io.TextIOWrapper(io.BytesIO(job["stdin"].encode()))
    try:
        if "program" in job:
            fresh = {"__name__": "__main__"}
            kept = namespaces.setdefault(job["folder"], fresh) if job["keep_names"] else fresh
            exec(job["program"], kept)
            return 0
        return run(job["arguments"])
    except BaseException:
        traceback.print_exc()
        return 70
    finally:
        sys.settrace(trace)
        os.environ.clear()
        os.environ |= before


def _read_new(file: Any) -> str:
    """The text written since the last call."""
    file.seek(0)
    text: str = file.read().decode()
    file.seek(0)
    file.truncate()
    return text


if __name__ == "__main__":
    main()
