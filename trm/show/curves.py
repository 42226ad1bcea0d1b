"""The numbers behind a plot, read from runs, saved evaluations and saved predictions."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trm.engine.runs import METRICS_FILE
from trm.errors import InputError, did_you_mean

Curve = list[tuple[int, float]]
_PASS = re.compile(r"pass@(\d+)")


def evaluations(run: Path) -> list[dict[str, Any]]:
    """The evaluations in a run's ``metrics.jsonl``, in order of step.

    Raises:
        InputError: if the folder is no run, or has no evaluation yet.
    """
    file = run / METRICS_FILE
    if not file.is_file():
        raise InputError(f"{run} is no run: it has no {METRICS_FILE}. Name a run folder.")
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    found = [record for line in lines if (record := _record(line)).get("event") == "eval"]
    if not found:
        raise InputError(f"{run} has no evaluation yet. Wait for one, or run trm eval.")
    return found


def _record(line: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError:  # cut short by a crash, or about to be written
        return {}
    return record if isinstance(record, dict) else {}


def over_steps(run: Path, metric: str | None) -> tuple[str, Curve]:
    """A metric of a run after so many steps; pass@2 or exact accuracy if none is named.

    Raises:
        InputError: if the run has no such metric.
    """
    records = evaluations(run)
    known = {n for record in records for n, v in record.items() if isinstance(v, float)}
    known.discard("elapsed_s")
    name = metric or ("pass@2" if "pass@2" in known else "exact_accuracy")
    if name not in known:
        raise InputError(f"{run} has no metric {name!r}. {did_you_mean(name, known)}")
    return name, [(r["step"], r[name]) for r in records if isinstance(r.get(name), float)]


def pass_at_k(path: Path) -> Curve:
    """pass@k after the last evaluation of a run, or as ``trm eval --json`` or ``trm vote --json``
    wrote it.

    Raises:
        InputError: if there is no pass@k.
    """
    metrics: Mapping[str, Any]
    if path.is_dir():
        metrics = evaluations(path)[-1]
    else:
        metrics = {name: metric["value"] for name, metric in _metrics_of(path).items()}
    found = [(int(k[1]), v) for name, v in metrics.items() if (k := _PASS.fullmatch(name))]
    if not found:
        raise InputError(f"{path} has no pass@k: its task is not voted on. Name one of ARC.")
    return sorted(found)


def _metrics_of(path: Path) -> Mapping[str, Any]:
    try:
        metrics: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))["metrics"]
        if all(isinstance(metric["value"], float) for metric in metrics.values()):
            return metrics
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise InputError(f"{path} is neither a run nor what trm eval --json writes. Name one of them.")


def labels(paths: Sequence[Path]) -> list[str]:
    """Short names for a legend: without the folders that all paths share."""
    shared = 0
    while (
        all(len(p.parts) > shared + 1 for p in paths) and len({p.parts[shared] for p in paths}) == 1
    ):
        shared += 1
    return [str(Path(*path.parts[shared:])) for path in paths]
