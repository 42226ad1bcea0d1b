"""Entries of a leaderboard, made from evaluations."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trm.config import first_problem
from trm.errors import InputError, did_you_mean
from trm.evaluation.provenance import Provenance, Sha256
from trm.inference.options import SolveOptions
from trm.leaderboard.entry import Entry, Figure, Puzzles, Thinking
from trm.leaderboard.folder import FOLDER, write_entry
from trm.reading import FileReader
from trm.tasks.metrics import Metric

_READER = FileReader(InputError, "Name a file of trm eval --json.")


class _Evaluation(SolveOptions):
    """What ``trm eval --json`` prints of one checkpoint."""

    checkpoint: str
    step: int
    task: str
    data: str
    split: str
    digest: Sha256
    examples: int
    headline: str
    metrics: dict[str, Metric]
    speed: dict[str, Any]
    provenance: Provenance
    name: str = ""  # of several checkpoints
    metric: str | None = None
    reported: float | None = None

    @property
    def thinking(self) -> Thinking:
        made = self.provenance
        given = self.options.model_dump(exclude_none=True)
        if given.get("steps") == made.trained_steps:
            del given["steps"]
        return Thinking(
            **given, copies=made.copies, trained_steps=made.trained_steps, own_rule=made.own_rule
        )


def add_to_leaderboard(
    evaluation: str | Path,
    *,
    folder: str | Path = FOLDER,
    name: str | None = None,
    data_name: str | None = None,
    metric: str | None = None,
    full_training_split: bool = False,
    note: str | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Make results files of evaluations: ``trm leaderboard add``.

    Args:
        evaluation: a file of ``trm eval --json``, of one checkpoint or several.
        folder: where to write.
        name: of the model in the table; default: the path of its checkpoint.
        data_name: of the puzzles in the table; default: the data folder.
        metric: the figure; default: the headline metric of the task.
        full_training_split: the model was trained on the whole training split of data of which
            others take a part.
        note: anything else to know.
        overwrite: replace results files of the same model, puzzles and way of thinking.

    Returns:
        The files that were written, or are there with the same entry.

    Raises:
        InputError: if the file is not of a complete evaluation, or there is no such metric.
        StorageError: if a file cannot be written.
    """
    found = _read(Path(evaluation))
    if name is not None and len(found) > 1:
        raise InputError(
            f"{evaluation} has {len(found)} checkpoints. Leave out --name: the names in it count."
        )
    entries = [
        _entry(one, Path(evaluation), name, data_name, metric, full_training_split, note)
        for one in found
    ]
    return [write_entry(entry, Path(folder), overwrite=overwrite) for entry in entries]


def _read(file: Path) -> list[_Evaluation]:
    raw = _READER.json(file)
    several = raw if isinstance(raw, list) else [raw]
    with _READER.parsing(file):
        if not several or not all(isinstance(one, dict) for one in several):
            raise ValueError("it is not an evaluation")
        if not all(one.get("provenance") for one in several):
            raise ValueError("it has no provenance. Evaluate again with this version of trm")
        return [_Evaluation.model_validate(one) for one in several]


def _entry(
    found: _Evaluation, file: Path, name: str | None, data_name: str | None, metric: str | None,
    full_training_split: bool, note: str | None,
) -> Entry:  # fmt: skip
    made = found.provenance
    if not made.complete:
        raise InputError(
            f"{file}: time ended the evaluation of {found.checkpoint}, so it cannot be repeated. "
            "Evaluate with --max-examples instead of --max-minutes."
        )
    try:
        return Entry(
            status="measured",
            model=name or found.name or found.checkpoint,
            puzzles=Puzzles(
                name=data_name or found.data, task=found.task,
                split=found.split,  # type: ignore[arg-type]
                digest=found.digest, subset=made.subset, examples=found.examples,
                split_examples=made.split_examples,
            ),
            figure=_figure(found, file, metric),
            thinking=found.thinking,
            parameters=made.parameters,
            full_training_split=full_training_split,
            note=note,
            checkpoint=found.checkpoint,
            step=found.step,
            seeds=(made.seed,),
            provenance=made,
        )  # fmt: skip
    except ValidationError as error:
        raise _READER.damaged(file, first_problem(error)) from error


def _figure(found: _Evaluation, file: Path, metric: str | None) -> Figure:
    name = metric or found.metric or found.headline
    value = found.metrics.get(name)
    if value is None:
        raise InputError(f"{file} has no metric {name!r}. {did_you_mean(name, found.metrics)}")
    if value.interval is None or not value.count:
        shares = [key for key, one in found.metrics.items() if one.interval and one.count]
        raise InputError(
            f"{name} in {file} is not a share of puzzles with an interval. Take one of: "
            f"{', '.join(shares) or 'none is in it'}."
        )
    return Figure(metric=name, value=value.value, count=value.count, interval=value.interval)
