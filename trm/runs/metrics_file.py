"""What a run says of itself: records, to ``metrics.jsonl`` and to whoever listens."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trm.storage import storage_errors, write_text

#: One logged step (``event: train``), evaluation (``eval``) or checkpoint (``checkpoint``).
Record = Mapping[str, Any]
Listener = Callable[[Record], None]

_BLOCK = 1 << 20
#: No record is as long: what is longer is what a crash left, such as zeros.
_LONGEST = 1 << 20


class MetricsFile:
    """Appends records to ``metrics.jsonl``, one line each.

    Args:
        path: the file.
        after_step: forget what an interrupted run wrote beyond this step.
        evaluated: whether the evaluation of that step is not to be done again.
    """

    def __init__(self, path: Path, after_step: int = 0, *, evaluated: bool = False) -> None:
        self._path = path
        self._cut_short = False
        lines: list[str] = []
        if path.is_file():
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        kept = [line for line in lines if _counts(line, after_step, evaluated)]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def __call__(self, record: Record) -> None:
        """Write a record; a number that is not finite becomes null.

        Raises:
            StorageError: if the disk is full; what follows is written to a line of its own.
        """
        clean = {key: _finite(value) for key, value in record.items()}
        line = json.dumps(clean, allow_nan=False) + "\n"
        before, self._cut_short = "\n" if self._cut_short else "", True
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(before + line)
        self._cut_short = False


def record_crash(path: Path, error: str) -> None:
    """Note in a file of records that a run has died of what it could not say itself."""
    newest = next(newest_first(path), None) if path.is_file() else None
    if newest is not None and newest.get("event") != "end":
        record = {"event": "end", "step": newest["step"], "finished": False, "error": error}
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            whole = file.read() == b"\n"  # else a line was cut short
        with storage_errors(path), path.open("a", encoding="utf-8") as end:
            end.write("\n" * (not whole) + json.dumps(record) + "\n")


def _counts(line: str, after_step: int, evaluated: bool) -> bool:
    try:
        record = json.loads(line)
        step, event = int(record["step"]), record["event"]
    except (ValueError, KeyError, TypeError):
        return False  # a line cut short by a crash
    return step < after_step or (step == after_step and (evaluated or event != "eval"))


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def oldest_first(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, without lines that are none."""
    with path.open("rb") as file:
        for line in file:
            if record := _record(line):
                yield record


def newest_first(path: Path, skip: str | None = None) -> Iterator[dict[str, Any]]:
    """The records from the end of the file on; it is read only as far as they are asked for.

    Args:
        path: the file.
        skip: leave out records of this event. Of lines that are quickly told to be such,
            100,000 take a tenth of a second.
    """
    mark = None if skip is None else f'"event": "{skip}"'.encode()
    for line in _lines_backwards(path):
        if mark is not None and mark in line:
            continue
        record = _record(line)
        if record and (mark is None or record.get("event") != skip):
            yield record


def _lines_backwards(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        end, rest = file.seek(0, os.SEEK_END), b""
        while end:
            start = max(0, end - _BLOCK)
            file.seek(start)
            rest, *lines = (file.read(end - start) + rest).split(b"\n")
            yield from reversed(lines)
            rest = rest if len(rest) <= _LONGEST else b""
            end = start
        yield rest


def _record(line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
