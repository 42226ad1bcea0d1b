"""The numbers behind a plot, read from runs, saved evaluations and saved predictions."""

import itertools
import json
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from trm.errors import InputError, did_you_mean
from trm.runs.layout import METRICS_FILE
from trm.runs.metrics_file import newest_first, oldest_first

Curve = list[tuple[int, float]]
Records = list[dict[str, Any]]

#: Marks what was measured on the rows of training where an evaluation measures the same.
TRAIN = "train/"
_MEASURED_TWICE = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")
_NO_METRICS = ("step", "examples", "elapsed_s", "eta_s")
_PASS = re.compile(r"pass@(\d+)")


def over_steps(run: Path, metric: str | None) -> tuple[str, Curve]:
    """A metric of a run after so many steps; pass@2 or exact accuracy if none is named.

    What an evaluation measures comes first, then what is logged in training, such as ``loss``.
    ``train/exact_accuracy`` is that of the training rows.

    Raises:
        InputError: if the run has no such metric.
    """
    records = _records(run)
    evaluated = [record for record in records if record.get("event") == "eval"]
    trained = [record for record in records if record.get("event") == "train"]
    known = {name: (name, evaluated) for name in _metrics(evaluated)}
    for name in _metrics(trained):
        shown = TRAIN + name if name in _MEASURED_TWICE else name
        known.setdefault(shown, (name, trained))
    name = metric or ("pass@2" if "pass@2" in known else "exact_accuracy")
    if not evaluated and name in ("pass@2", *_MEASURED_TWICE):
        raise InputError(f"{run} has no evaluation yet. Wait for one, or draw --metric loss.")
    if name not in known and name.removeprefix(TRAIN) in known:
        known[name] = known[name.removeprefix(TRAIN)]  # train/loss is the loss
    if name not in known:
        raise InputError(f"{run} has no metric {name!r}. {did_you_mean(name, known)}")
    key, chosen = known[name]
    found = {r["step"]: float(r[key]) for r in chosen if _is_number(r.get(key))}
    return name, sorted(found.items())  # of two records of a step the later counts


def split_mark(run: Path, metric: str) -> str:
    """What to add to a metric that evaluations on held-out training puzzles measured."""
    records = (r for r in newest_first(_file(run), "train") if r.get("event") == "eval")
    newest = next(records, {})
    split = newest.get("split", "test") if metric in newest else "test"
    return "" if split == "test" else f" ({split})"


def pass_at_k(path: Path, label: str) -> dict[str, Curve]:
    """pass@k, by what to call each curve.

    Args:
        path: a run, whose last evaluation is meant, or a file that ``trm eval --json`` or
            ``trm vote --json`` wrote; of several checkpoints each is a curve.
        label: what to call the curve; those of several checkpoints get their names behind it.

    Raises:
        InputError: if there is no pass@k.
    """
    if path.is_dir():
        records = (r for r in newest_first(_file(path), "train") if r.get("event") == "eval")
        saved = [("", record) for record in itertools.islice(records, 1)]
        if not saved:
            raise InputError(f"{path} has no evaluation yet. Wait for one, or run trm eval.")
    else:
        saved = _saved(path)
    found: dict[str, Curve] = {}
    for name, metrics in saved:
        curve = _curve(metrics)
        if curve:
            found[_free(" ".join(filter(None, (label, name))), found)] = curve
    if not found:
        raise InputError(f"{path} has no pass@k: its task is not voted on. Name one of ARC.")
    return found


def _free(name: str, taken: Container[str]) -> str:
    """The name, numbered if it is taken: a manifest may have one name twice."""
    names = itertools.chain([name], (f"{name} ({n})" for n in itertools.count(2)))
    return next(name for name in names if name not in taken)


def _curve(metrics: Mapping[str, Any]) -> Curve:
    pairs = [(_PASS.fullmatch(name), value) for name, value in metrics.items()]
    return sorted((int(k[1]), float(value)) for k, value in pairs if k and _is_number(value))


def labels(paths: Sequence[Path]) -> list[str]:
    """Short names for a legend: without the folders that all paths share."""
    shared = 0
    while (
        all(len(p.parts) > shared + 1 for p in paths) and len({p.parts[shared] for p in paths}) == 1
    ):
        shared += 1
    return [str(Path(*path.parts[shared:])) for path in paths]


def _file(run: Path) -> Path:
    file = run / METRICS_FILE
    if not file.is_file():
        raise InputError(f"{run} is no run: it has no {METRICS_FILE}. Name a run folder.")
    return file


def _records(run: Path) -> Records:
    """What can be drawn of a run."""
    try:
        return [r for r in oldest_first(_file(run)) if type(r.get("step")) is int]
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}.") from error


def _metrics(records: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """The names of the numbers in records, in their order."""
    return {
        n: None for r in records for n, v in r.items() if _is_number(v) and n not in _NO_METRICS
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _saved(path: Path) -> list[tuple[str, dict[str, float]]]:
    """The metrics of a saved evaluation; of several with their names."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, list):
            return [("", _values(raw))]
        return [(entry["name"], _values(entry)) for entry in raw]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path} is neither a run nor what trm eval --json writes. Name one of them."
        ) from None


def _values(report: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(metric["value"]) for name, metric in report["metrics"].items()}
