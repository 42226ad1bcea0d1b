"""The records of a run, in ``metrics.jsonl``."""

import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from trm.errors import InputError
from trm.reading import FileReader, parse_json
from trm.storage import storage_errors, write_text

#: One logged step (``event: train``), evaluation (``eval``) or checkpoint (``checkpoint``).
Record = Mapping[str, Any]
Listener = Callable[[Record], None]

_files = FileReader(InputError, "Name another run.")
_BLOCK_BYTES = 1 << 20
#: A longer line is not a record. A crash may leave one, such as zeros.
_MAX_LINE_BYTES = 1 << 20


class MetricsFile:
    """Appends records to ``metrics.jsonl``, one line each.

    Args:
        path: the file.
        after_step: the step that the run resumes from; later records are removed.
        evaluated: whether the evaluation of that step is kept.
    """

    def __init__(self, path: Path, after_step: int = 0, *, evaluated: bool = False) -> None:
        self._path = path
        self._cut_short = False
        lines: list[str] = []
        if path.is_file():
            with _files.open(path) as file, _files.parsing(path):
                lines = file.read().decode(errors="replace").splitlines()
        kept = [line for line in lines if _is_kept(line, after_step, evaluated)]
        write_text(path, "".join(f"{line}\n" for line in kept))

    def __call__(self, record: Record) -> None:
        """Write a record; a number that is not finite becomes null.

        Raises:
            StorageError: if the disk is full. The next record starts on a new line.
        """
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in record.items()
        }
        line = json.dumps(finite, allow_nan=False) + "\n"
        before, self._cut_short = "\n" if self._cut_short else "", True
        with storage_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(before + line)
        self._cut_short = False


def record_crash(path: Path, error: str) -> None:
    """Record why a run ended, if it could not do so itself.

    Args:
        path: its ``metrics.jsonl``.
        error: what ended it.
    """
    newest = next(newest_first(path), None) if path.is_file() else None
    if newest is not None and newest.get("event") != "end":
        record = {"event": "end", "step": newest["step"], "finished": False, "error": error}
        with path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            is_complete = file.read() == b"\n"  # or a line was cut short
        with storage_errors(path), path.open("a", encoding="utf-8") as end:
            end.write("\n" * (not is_complete) + json.dumps(record) + "\n")


def _is_kept(line: str, after_step: int, evaluated: bool) -> bool:
    try:
        record = parse_json(line)
        step, event = int(record["step"]), record["event"]
    except (ValueError, KeyError, TypeError, OverflowError):
        return False  # a line cut short by a crash
    return step < after_step or (step == after_step and (evaluated or event != "eval"))


def oldest_first(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, from its start; invalid lines are skipped.

    Raises:
        InputError: if it cannot be read.
    """
    with _files.open(path) as file, _files.parsing(path):
        for line in file:
            if record := _parse(line):
                yield record


def newest_first(path: Path, skip: str | None = None) -> Iterator[dict[str, Any]]:
    """The records of a file, from its end; invalid lines are skipped.

    The file is read in blocks, and only up to the last record that is used.

    Args:
        path: the file.
        skip: an event whose records are skipped; this is faster than to parse them.

    Raises:
        InputError: if it cannot be read.
    """
    skipped = None if skip is None else f'"event": "{skip}"'.encode()
    for line in _lines_backwards(path):
        if skipped is not None and skipped in line:
            continue
        record = _parse(line)
        if record and (skip is None or record.get("event") != skip):
            yield record


def _lines_backwards(path: Path) -> Iterator[bytes]:
    with _files.open(path) as file, _files.parsing(path):
        end, rest = file.seek(0, os.SEEK_END), b""
        while end:
            start = max(0, end - _BLOCK_BYTES)
            file.seek(start)
            rest, *lines = (file.read(end - start) + rest).split(b"\n")
            yield from reversed(lines)
            rest = rest if len(rest) <= _MAX_LINE_BYTES else b""
            end = start
        yield rest


def _parse(line: bytes) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError:
        return {}
    return record if isinstance(record, dict) else {}
