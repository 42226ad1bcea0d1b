"""The runs on the page, and their records as they are written."""

from pathlib import Path
from typing import Any

from trm.errors import InputError
from trm.reading import FileReader, finite_number, parse_json
from trm.runs.layout import METRICS_FILE
from trm.runs.listing import list_runs, run_folders

#: Bytes of records in one answer, and about the most training records of it.
_BLOCK, _MOST_RECORDS = 1 << 20, 400
_FILES = FileReader(InputError, "Choose another run.")


def runs_json(runs: Path) -> list[dict[str, Any]]:
    """The runs, the newest first; none if there is no such folder."""
    return [run.as_json() for run in list_runs(runs)] if runs.is_dir() else []


def new_records(runs: Path, run: str, start: int) -> dict[str, Any]:
    """The records of a run from a byte of its file on, as far as they are complete.

    Training records are thinned out. A resumed run may have cut its file, which then is read from
    its start again.

    Args:
        runs: the folder of runs.
        run: a run of :func:`runs_json`.
        start: the byte, from an earlier answer.

    Raises:
        InputError: if there is no such run, or its file cannot be read.
    """
    folders = {str(folder): folder for folder in (run_folders(runs) if runs.is_dir() else [])}
    if run not in folders:
        raise InputError(f"{run!r:.99}: no such run. Choose another one.")
    path = folders[run] / METRICS_FILE
    if not path.exists():
        return {"start": 0, "end": 0, "more": False, "records": []}
    with _FILES.open(path) as file, _FILES.parsing(path):
        size = file.seek(0, 2)
        start = start if 0 <= start <= size else 0
        file.seek(start)
        block = file.read(_BLOCK)
    complete = block[: block.rfind(b"\n") + 1]
    if not complete and len(block) == _BLOCK:
        complete = block  # no record is that long
    end = start + len(complete)
    return {"start": start, "end": end, "more": end < size and bool(complete),
            "records": _thinned(complete)}  # fmt: skip


def _thinned(block: bytes) -> list[dict[str, Any]]:
    """The numbers of the records in a block; all evaluations, and some training records."""
    records = [found for line in block.splitlines() if (found := _numbers(line))]
    training = [number for number, one in enumerate(records) if one["event"] == "train"]
    kept = set(training[:: 1 + len(training) // _MOST_RECORDS])
    return [one for n, one in enumerate(records) if n in kept or one["event"] == "eval"]


def _numbers(line: bytes) -> dict[str, Any]:
    try:
        record = parse_json(line)
    except ValueError:
        return {}
    if not isinstance(record, dict) or record.get("event") not in ("train", "eval"):
        return {}
    numbers = {str(name): finite_number(value) for name, value in record.items()}
    return {name: value for name, value in numbers.items() if value is not None} | {
        "event": record["event"]
    }
