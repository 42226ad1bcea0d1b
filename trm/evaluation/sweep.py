"""Evaluating one model with many inference options, to compare cost and accuracy."""

import json
import math
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ConfigDict

from trm.checkpoints.tensors import weights_digest
from trm.config import Frozen
from trm.errors import ConfigError, InputError
from trm.evaluation.evaluate import data_folders, default_max_examples, evaluate
from trm.evaluation.report import Report
from trm.html_text import table_html
from trm.inference.model import Model, load
from trm.inference.options import InferenceOptions
from trm.models.flops import eval_step_flops
from trm.reading import FileReader
from trm.storage import Paths, check_writable, write_text
from trm.tasks.given_cells import as_lists
from trm.tasks.metrics import Metric

#: The numbers of samples to try by default.
SAMPLES = (1, 4, 16)
_READER = FileReader(InputError, "Name another --out, or remove it.", "holds no sweep")


class SweepLine(InferenceOptions):
    """One evaluation of a sweep.

    Attributes:
        metrics: all metrics, as of ``trm eval`` with the same options.
        steps_per_puzzle: supervision steps per puzzle, over all its rollouts.
        gflop_per_puzzle: the operations of these steps, in 10^9.
        seconds: the duration of the evaluation.
    """

    metrics: dict[str, Metric]
    steps_per_puzzle: float
    gflop_per_puzzle: float
    seconds: float

    def __repr__(self) -> str:
        return f"<SweepLine of {self.described}: {self.gflop_per_puzzle:.3g} GFLOP per puzzle>"

    __str__ = __repr__

    @property
    def described(self) -> str:
        """The options in words."""
        return self.text.removeprefix(", ") or "1 sample"

    def as_json(self) -> dict[str, Any]:
        """For ``trm sweep-eval --json``."""
        metrics = {name: metric.as_json() for name, metric in self.metrics.items()}
        return self.model_dump(exclude={"metrics"}) | {"metrics": metrics}


class SweepReport(Frozen):
    """The evaluations of a model with many inference options.

    Attributes:
        trained_steps: the supervision steps of a line without ``steps``.
        weights: a digest of the checkpoint's weights.
        digest: a digest of the data.
        split: of the data, ``test`` or ``validation``.
        max_examples: the examples that were evaluated; None for all.
        metric: the metric to compare, the task's headline.
        lines: the evaluations.
    """

    checkpoint: str
    step: int
    trained_steps: int
    weights: str
    task: str
    data: tuple[str, ...]
    digest: str
    split: str = "test"
    max_examples: int | None
    metric: str
    lines: tuple[SweepLine, ...] = ()

    def __repr__(self) -> str:
        if not self.lines:
            return f"<SweepReport of {self.checkpoint}: no lines>"
        count = "1 line" if len(self.lines) == 1 else f"{len(self.lines)} lines"
        best = f"{self.metric} {self.value(self.best)} with {self.best.described}"
        return f"<SweepReport of {self.checkpoint}, {count}: best {best}>"

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """For notebooks: the cost and the value of each line."""
        rows = [
            (line.described, f"{line.gflop_per_puzzle:.3g}", *self.value(line).texts[:2])
            for line in self.lines
        ]
        title = f"{self.metric} of {self.checkpoint} on the {self.split} split"
        return table_html(title, ("options", "GFLOP per puzzle", "value", "95% interval"), rows)

    def value(self, line: SweepLine) -> Metric:
        """The metric to compare."""
        return line.metrics[self.metric]

    @property
    def best(self) -> SweepLine:
        """The line with the highest value, the cheapest if several have it."""
        return max(self.lines, key=lambda line: (self.value(line).value, -line.gflop_per_puzzle))

    @property
    def cheapest(self) -> SweepLine:
        """The cheapest line whose value is within the 95% interval of the best."""
        best = self.value(self.best)
        least = best.interval[0] if best.interval else best.value
        candidates = [line for line in self.lines if self.value(line).value >= least]
        return min(candidates, key=lambda line: line.gflop_per_puzzle)

    def as_json(self) -> dict[str, Any]:
        """For ``trm sweep-eval --json``, and what its file holds."""
        lines = [line.as_json() for line in self.lines]
        ends = {"best": self.best.options.flags, "cheapest": self.cheapest.options.flags}
        return self.model_dump(mode="json", exclude={"lines"}) | {"lines": lines, **ends}


class _StoredSweep(SweepReport):
    """What a file holds: a sweep, and more that follows from it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


def combinations(**values: Any) -> list[InferenceOptions]:
    """Every combination of some values of the inference options, without duplicates.

    One sample has no noise, and one rollout has nothing to choose from.

    Args:
        values: the values to try of each option, or a single one. ``samples`` are :data:`SAMPLES`
            by default.

    Raises:
        ConfigError: if a value is out of range, or no combination would use it.
    """
    given: Any = as_lists({"samples": SAMPLES} | values)
    tried: dict[str, list[Any]] = {
        name: value if isinstance(value, list) else [value] for name, value in given.items()
    }
    most = max(tried["samples"], default=1)
    for name, count in (
        ("noise", most),
        ("choose", most * max(tried.get("votes", [1]), default=1)),
    ):
        if count == 1 and any(value is not None for value in tried.get(name, ())):
            raise ConfigError(
                f"--{name} does nothing with one rollout. Add for example --samples 1,4."
            )
    if not all(tried.values()):
        raise ConfigError("an option has no value to try. Give at least one, or leave it out.")
    # The last ones vary fastest.
    names: list[str] = [name for name in ("steps", "votes", "samples") if name in tried]
    names += [name for name in tried if name not in names]
    found: dict[InferenceOptions, None] = {}
    for combination in product(*(tried[name] for name in names)):
        options = dict(zip(names, combination, strict=True))
        if options["samples"] == 1:
            options.pop("noise", None)
            if options.get("votes", 1) == 1:
                options.pop("choose", None)
        found[InferenceOptions.of(**options).resolved] = None
    return list(found)


def sweep_eval(
    checkpoint: Model | str | Path | None = None,
    data: Paths = (),
    *,
    split: str = "test",
    task: str | None = None,
    batch_size: int | None = None,
    max_examples: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    compile: bool | None = None,
    on_line: Callable[[SweepReport, SweepLine, int, int], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> SweepReport:
    """Measure a model with each combination of some inference options: ``trm sweep-eval``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives.
        data: a data folder, or several; by default those that the model was trained on.
        split: ``validation`` for the training puzzles that the run held out: compare options on
            them, then measure the best ones on the test split.
        task: the task of a published checkpoint that does not name it.
        batch_size: examples at a time; by default that of the run.
        max_examples: evaluate only this many, always the same, instead of all.
        out: a JSON file, written after each evaluation. Evaluations that are in it already are not
            repeated.
        device: the device, for a model that is not loaded yet.
        compile: use torch.compile; None: on CUDA.
        on_line: called after each evaluation with the sweep so far, the new line, the number of
            evaluations done and the number in all.
        on_progress: called with the examples of an evaluation done and in all.
        options: the values to try of each inference option, such as ``samples=(1, 4)``; see
            :func:`trm.evaluation.sweep.combinations`.

    Raises:
        ConfigError: if an option is unknown, or a value out of range.
        DataError: if there is no such data.
        CheckpointError: if there is no such checkpoint, or the model does not fit the data.
        InputError: if ``out`` is of another model, other data or other examples, or the run held
            no puzzles out.
        HubError: if the checkpoint cannot be downloaded.
    """
    ways = combinations(**options)
    file = None if out is None else Path(out)
    if file is not None:
        check_writable(file)
    if file is not None and file.suffix != ".json":
        raise InputError(f"--out {file} does not end in .json. Name such a file.")
    model = (
        checkpoint if isinstance(checkpoint, Model) else load(checkpoint, task=task, device=device)
    )
    max_examples = max_examples or default_max_examples(model, split)
    sweep = _empty_sweep(model, data, split, max_examples)
    known: dict[InferenceOptions, SweepLine] = {}
    for number, way in enumerate(ways, start=1):
        if file is not None and way not in known:  # another process may have added it meanwhile
            known |= {line.options: line for line in _read_lines(file, sweep)}
        if way not in known:
            report = evaluate(
                model, data=sweep.data, split=split, batch_size=batch_size,
                max_examples=max_examples, compile=compile, on_progress=on_progress,
                **way.model_dump(),
            )  # fmt: skip
            known[way] = _line(model, report)
            if file is not None:
                _write(file, sweep, known.values())
        if on_line:
            on_line(sweep, known[way], number, len(ways))
    return sweep.model_copy(update={"lines": tuple(known[way] for way in ways)})


def _empty_sweep(model: Model, data: Paths, split: str, max_examples: int | None) -> SweepReport:
    """A sweep without lines."""
    paths = data_folders(model, data)
    dataset = model.task.open_data(paths)
    used = dataset.split("test" if split == "test" else "train")
    return SweepReport(
        checkpoint=model.name,
        step=model.checkpoint.step,
        trained_steps=model.network.config.halt_max_steps,
        weights=weights_digest(model.network),
        task=model.task.name,
        data=paths,
        digest=dataset.meta.digest,
        split=split,
        max_examples=max_examples,
        metric=model.task.evaluator(dataset.meta, used).headline,
    )


def _line(model: Model, report: Report) -> SweepLine:
    network, count = model.network, report.num_examples
    steps = report.num_steps / count
    return SweepLine(
        **report.options.model_dump(include=set(InferenceOptions.model_fields)),
        metrics=dict(report.metrics),
        steps_per_puzzle=steps,
        gflop_per_puzzle=steps * eval_step_flops(network.config, network.spec) / 1e9,
        seconds=report.speed["seconds"],
    )


def _write(file: Path, sweep: SweepReport, lines: Iterable[SweepLine]) -> None:
    # Another process may have added lines meanwhile.
    known = {line.options: line for line in (*_read_lines(file, sweep), *lines)}
    whole = sweep.model_copy(update={"lines": tuple(known.values())})
    write_text(file, json.dumps(whole.as_json(), indent=2) + "\n")


def _read_lines(file: Path, sweep: SweepReport) -> tuple[SweepLine, ...]:
    """The lines of a file; none if it is missing.

    Raises:
        InputError: if the file is damaged, or of another sweep.
    """
    if not file.is_file():
        return ()
    raw = _READER.json(file)
    with _READER.parsing(file):
        stored = _StoredSweep.model_validate(raw)
        for line in stored.lines:
            measured = line.metrics.get(sweep.metric)
            if measured is None or not math.isfinite(measured.value):
                raise ValueError(f"a line of it has no {sweep.metric}")
    for name, text in (
        ("weights", lambda one: one.checkpoint),
        ("digest", lambda one: f"data of digest {one.digest[:12]}"),
        ("split", lambda one: f"the {one.split} split"),
        ("max_examples", lambda one: f"{one.max_examples or 'all'} examples"),
    ):
        if getattr(stored, name) != getattr(sweep, name):
            raise InputError(
                f"{file} has a sweep of {text(stored)}, not of {text(sweep)}. {_READER.advice}"
            )
    return stored.lines
