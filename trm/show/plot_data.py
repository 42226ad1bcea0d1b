"""The numbers behind a plot, read from runs and from files that ``trm eval --json`` wrote."""

import itertools
import re
import shlex
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, FiniteFloat

from trm.errors import InputError, did_you_mean
from trm.reading import FileReader, finite_number
from trm.runs.layout import METRICS_FILE
from trm.runs.listing import list_runs
from trm.runs.metrics_file import newest_first, oldest_first
from trm.runs.run_folder import TRAIN_ONE, find_run, runs_hint
from trm.show.plots import Curve
from trm.storage import Paths, as_paths

#: Prefix for metrics of the training batches that an evaluation measures too.
TRAIN_PREFIX = "train/"
_MEASURED_TWICE = ("exact_accuracy", "cell_accuracy", "halting_accuracy", "mean_steps")
_NO_METRICS = ("step", "examples", "all_examples", "elapsed_s", "eta_s")
_READER = FileReader(
    InputError, "Give a run, or a file from trm eval --json.", "holds no evaluation"
)
_PASS_AT_K = re.compile(r"pass@(\d{1,9})")


def to_draw(paths: Paths | None) -> list[Path]:
    """The runs and files that the user named, or the newest run.

    Raises:
        InputError: if there is no run.
    """
    if paths is not None:
        return [find_run(path) for path in as_paths(paths)]
    runs = list_runs() if Path("runs").is_dir() else []
    if not runs:
        raise InputError(f"no run in runs/. Name one, or train one, such as: {TRAIN_ONE}")
    return [runs[0].folder]


def metric_over_steps(run: Path, metric: str | None) -> tuple[str, Curve]:
    """The values of a metric over a run's steps.

    Args:
        run: the run folder.
        metric: a metric of the evaluations or of training, such as ``loss``. The prefix ``train/``
            means training, as in ``train/exact_accuracy``. None: pass@2 if the run has it, else
            ``exact_accuracy``.

    Returns:
        The metric's name, and pairs of step and value.

    Raises:
        InputError: if the run does not have the metric.
    """
    try:
        records = [r for r in oldest_first(_metrics_file(run)) if _is_step(r.get("step"))]
    except OSError as error:
        raise InputError(f"cannot read {error.filename}: {error.strerror}.") from error
    eval_records = [record for record in records if record.get("event") == "eval"]
    train_records = [record for record in records if record.get("event") == "train"]
    known = {name: (name, eval_records) for name in _metric_names(eval_records)}
    for name in _metric_names(train_records):
        prefixed = TRAIN_PREFIX + name if name in _MEASURED_TWICE else name
        known.setdefault(prefixed, (name, train_records))
    name = metric or ("pass@2" if "pass@2" in known else "exact_accuracy")
    if not eval_records and name in ("pass@2", *_MEASURED_TWICE):
        raise InputError(f"{run} has no evaluation yet. Wait for one, or draw --metric loss.")
    if name not in known and name.removeprefix(TRAIN_PREFIX) in known:
        known[name] = known[name.removeprefix(TRAIN_PREFIX)]  # train/loss is the same as loss
    if name not in known:
        raise InputError(f"{run} has no metric {name!r}. {did_you_mean(name, known)}")
    key, chosen = known[name]
    # If a step has two records, the later one counts.
    values = {r["step"]: float(r[key]) for r in chosen if _is_number(r.get(key))}
    curve = sorted(values.items())
    return name, _of_equal_lengths(curve) if chosen is train_records else curve


def _of_equal_lengths(curve: Curve) -> Curve:
    """Join the records of few steps, as there are where a run was stopped, with the next ones.

    A record is the mean over the steps since the one before it. Records of few steps are noisy.
    """
    steps = [0, *(step for step, _ in curve)]
    lengths = [end - start for start, end in itertools.pairwise(steps)]
    usual = statistics.mode(lengths[1:] or lengths) if lengths else 0
    joined: list[tuple[float, float]] = []
    weight = total = 0.0
    for (step, value), length in zip(curve, lengths, strict=True):
        weight, total = weight + length, total + value * length
        if weight >= usual or (step == steps[-1] and (2 * weight >= usual or not joined)):
            joined.append((step, total / weight if weight else value))
            weight = total = 0.0
    return joined


def split_suffix(run: Path, metric: str) -> str:
    """The evaluated split in parentheses, such as `` (validation)``; empty for the test split."""
    newest = next(_newest_evaluations(run), {})
    split = newest.get("split", "test") if metric in newest else "test"
    return "" if split == "test" else f" ({split})"


def pass_at_k_curves(path: Path, label: str) -> dict[str, Curve]:
    """pass@k against k, by the label of each curve.

    Args:
        path: a run, for its last evaluation, or a file that ``trm eval --json`` or
            ``trm vote --json`` wrote. Each checkpoint in the file gives one curve.
        label: the label of the curve. With several checkpoints their names are appended.

    Raises:
        InputError: if there is no pass@k.
    """
    if path.is_dir():
        evaluations = [("", record) for record in itertools.islice(_newest_evaluations(path), 1)]
        if not evaluations:
            command = f"trm eval --ckpt {shlex.quote(str(path))} --json"
            raise InputError(
                f"{path} has no evaluation yet. Wait for one, or draw the file of: {command} > "
                "eval.json"
            )
    else:
        evaluations = _read_evaluations(path)
    curves: dict[str, Curve] = {}
    for name, metrics in evaluations:
        pairs = [(_PASS_AT_K.fullmatch(key), value) for key, value in metrics.items()]
        curve = sorted((int(k[1]), float(value)) for k, value in pairs if k and _is_number(value))
        if curve:
            own = " ".join(filter(None, (label, name)))
            # A manifest may name two checkpoints alike.
            numbered = (f"{own} ({n})" for n in itertools.count(2))
            curves[next(n for n in itertools.chain([own], numbered) if n not in curves)] = curve
    if not curves:
        raise InputError(f"{path} has no pass@k: its task has no voting. Give an ARC run or file.")
    return curves


def legend_labels(paths: Sequence[Path]) -> list[str]:
    """Short names for a legend: the paths without the folders that they all share."""
    shared = 0
    while (
        all(len(p.parts) > shared + 1 for p in paths) and len({p.parts[shared] for p in paths}) == 1
    ):
        shared += 1
    return [str(Path(*path.parts[shared:])) for path in paths]


def _metrics_file(run: Path) -> Path:
    file = run / METRICS_FILE
    if not file.is_file():
        raise InputError(f"{run} is not a run: it has no {METRICS_FILE}. {runs_hint(run)}")
    return file


def _newest_evaluations(run: Path) -> Iterator[dict[str, Any]]:
    records = newest_first(_metrics_file(run), "train")
    return (record for record in records if record.get("event") == "eval")


def _metric_names(records: Iterable[Mapping[str, Any]]) -> dict[str, None]:
    """The names of the numbers in records, in order of appearance."""
    return {
        n: None for r in records for n, v in r.items() if _is_number(v) and n not in _NO_METRICS
    }


def _is_number(value: Any) -> bool:
    return finite_number(value) is not None


def _is_step(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**53


class _Value(BaseModel):
    value: FiniteFloat


class _Evaluation(BaseModel):
    """What is drawn of an entry of a JSON file; one evaluation has no name."""

    name: str = ""
    metrics: dict[str, _Value]


def _read_evaluations(path: Path) -> list[tuple[str, dict[str, float]]]:
    """The name and metrics of each evaluation in a JSON file."""
    raw = _READER.json(path)
    with _READER.parsing(path):
        entries = [
            _Evaluation.model_validate(entry) for entry in (raw if isinstance(raw, list) else [raw])
        ]
    return [
        (entry.name, {name: metric.value for name, metric in entry.metrics.items()})
        for entry in entries
    ]
