"""The real client, in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_PROGRAM = """
import json, os, sys
from huggingface_hub import CommitOperationAdd, HfApi, hf_hub_download, snapshot_download
api = HfApi()
read = lambda path: open(path).read()
for call in sys.argv[1:]:
    try:
        value = eval(call)
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", "")
        value = f"{type(error).__name__} {status}".strip()
    print(json.dumps(value, default=str))
"""


def evaluate_calls(calls: Iterable[str], env: Mapping[str, str], folder: Path) -> list[object]:
    """Evaluate calls one after the other, in a new process that works in ``folder``.

    They have ``api`` (an ``HfApi``), ``hf_hub_download``, ``snapshot_download``,
    ``CommitOperationAdd``, ``os`` and ``read`` (the text of a file).

    Returns:
        What each gave, as JSON has it; of an error its class, and its status if it has one:
        ``"HfHubHTTPError 409"``.
    """
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *calls], env=env, capture_output=True, cwd=folder
    )
    assert done.returncode == 0, done.stderr.decode()
    return [json.loads(line) for line in done.stdout.splitlines()]
