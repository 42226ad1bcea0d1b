"""What a run says of itself: records, to ``metrics.jsonl`` and to whoever listens."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from trm.storage import storage_errors, write_text

#: One logged step (``event: train``), evaluation (``eval``) or checkpoint (``checkpoint``).
Record = Mapping[str, Any]
Listener = Callable[[Record], None]


class MetricsFile:
    """Appends records to ``metrics.jsonl``, one line each.

    Args:
        path: the file.
        after_step: forget what an interrupted run wrote beyond this step.
    """

    def __init__(self, path: Path, after_step: int = 0) -> None:
        self._path = path
        lines: list[str] = []
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _step(line) <= after_step]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def __call__(self, record: Record) -> None:
        """Write a record; a number that is not finite becomes null."""
        clean = {key: _finite(value) for key, value in record.items()}
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(clean, allow_nan=False) + "\n")


def _step(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return math.inf  # a line cut short by a crash


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
