"""Evaluating one model in many ways of thinking, to see what longer thinking is worth."""

import json
from collections.abc import Callable, Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from trm.config import Frozen, first_problem
from trm.errors import ConfigError, InputError
from trm.evaluation.report import Report, evaluate_model, usual_examples
from trm.inference.model import Model, load, weights_digest
from trm.inference.options import Choice, InferenceOptions
from trm.models.flops import eval_step_flops
from trm.storage import check_writable, write_text
from trm.tasks.metrics import Metric

#: How many samples are tried if nothing is said.
SAMPLES = (1, 4, 16)


class Line(InferenceOptions):
    """What ``trm eval`` gives with these settings.

    Attributes:
        metrics: all of them.
        steps_per_puzzle: supervision steps that its rollouts took together, in the mean.
        gflop_per_puzzle: the arithmetic of these steps, in 10^9 operations.
        seconds: that the evaluation took.
    """

    metrics: dict[str, Metric]
    steps_per_puzzle: float
    gflop_per_puzzle: float
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """For ``trm sweep-eval --json``."""
        metrics = {name: metric.as_json() for name, metric in self.metrics.items()}
        return self.model_dump(exclude={"metrics"}) | {"metrics": metrics}


class Sweep(Frozen):
    """What came of evaluating a model in many ways.

    Attributes:
        trained_steps: supervision steps where a line says nothing.
        weights: a digest of those of the checkpoint.
        digest: of the data.
        split: of it, ``test`` or ``validation``.
        max_examples: looked at, None for all.
        metric: the one to compare by, the task's headline.
        lines: an evaluation each.
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
    lines: tuple[Line, ...] = ()

    def value(self, line: Line) -> Metric:
        """The metric to compare by."""
        return line.metrics[self.metric]

    @property
    def best(self) -> Line:
        """The line of the highest value; of equals the cheapest."""
        return max(self.lines, key=lambda line: (self.value(line).value, -line.gflop_per_puzzle))

    @property
    def cheapest(self) -> Line:
        """The line of least arithmetic whose value is within the 95% interval of the best."""
        best = self.value(self.best)
        least = best.interval[0] if best.interval else best.value
        good = [line for line in self.lines if self.value(line).value >= least]
        return min(good, key=lambda line: line.gflop_per_puzzle)

    def as_json(self) -> dict[str, Any]:
        """For ``trm sweep-eval --json``, and what its file holds."""
        lines = [line.as_json() for line in self.lines]
        ends = {"best": self.best.thinking.flags, "cheapest": self.cheapest.thinking.flags}
        return self.model_dump(mode="json", exclude={"lines"}) | {"lines": lines, **ends}


def combinations(
    steps: Iterable[int | None] = (None,),
    samples: Iterable[int] = SAMPLES,
    noise: Sequence[float | None] = (None,),
    choose: Sequence[Choice | None] = (None,),
    votes: Iterable[int] = (1,),
    halt: float | None = None,
) -> list[InferenceOptions]:
    """Every combination that differs from the others, once.

    One sample has no noise, and one rollout nothing to choose from.

    Raises:
        ConfigError: if a value is out of range, or would not be used in any of them.
    """
    steps, samples, votes = list(steps), list(samples), list(votes)
    most = max(samples, default=1)
    for name, values, count in (
        ("noise", noise, most),
        ("choose", choose, most * max(votes, default=1)),
    ):
        if count == 1 and any(value is not None for value in values):
            raise ConfigError(f"--{name} does nothing with one rollout. Add --samples 1,4, say.")
    if not (steps and samples and votes and noise and choose):
        raise ConfigError("a setting has no value to try. Give one or more, or leave it out.")
    found: dict[InferenceOptions, None] = {}
    for num_steps, num_votes, num_samples in product(steps, votes, samples):
        noises = noise if num_samples != 1 else (None,)
        choices = choose if num_samples * num_votes != 1 else (None,)
        for scale, choice in product(noises, choices):
            how = InferenceOptions.of(
                steps=num_steps, samples=num_samples, noise=scale, choose=choice,
                votes=num_votes, halt=halt,
            )  # fmt: skip
            found[how.settled] = None
    return list(found)


def sweep_eval(
    checkpoint: Model | str | Path | None = None,
    *,
    steps: Sequence[int | None] = (None,),
    samples: Sequence[int] = SAMPLES,
    noise: Sequence[float | None] = (None,),
    choose: Sequence[Choice | None] = (None,),
    votes: Sequence[int] = (1,),
    halt: float | None = None,
    data: Sequence[str | Path] = (),
    split: str = "test",
    task: str | None = None,
    batch_size: int | None = None,
    max_examples: int | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    compiled: bool | None = None,
    on_line: Callable[[Sweep, Line, int, int], None] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Sweep:
    """Measure a model in each combination of some settings: ``trm sweep-eval``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives.
        steps: supervision steps at most; None: those that it was trained with.
        samples: times that each puzzle is solved.
        noise: standard deviations of what disturbs all samples but the first.
        choose: ``halt``, ``vote`` and ``first``, as in :func:`trm.evaluate`.
        votes: symmetric copies of each puzzle.
        halt: of all combinations, the probability above which a rollout ends.
        data: data folders; those it was trained on if left out.
        split: ``validation`` for the training puzzles that the model's run held out: to choose on
            them what is then measured on the test split.
        task: of a published checkpoint that does not say which it was trained for.
        batch_size: that of the run if left out.
        max_examples: look at so many, chosen once and for all, instead of all.
        out: a JSON file that is written anew after each evaluation. If it is there, what is in it
            is not evaluated again.
        device: where, for a model that is not loaded yet.
        compiled: use torch.compile; None: on CUDA.
        on_line: called after each evaluation with the sweep so far, the new line, how many are
            done and how many there are.
        on_progress: called with the examples of an evaluation that are done, and all of them.

    Raises:
        ConfigError: for a value out of range.
        DataError, CheckpointError: if there is no such data, or the model was not made for it.
        InputError: if ``out`` is of another model, other data or other examples, or the model's
            run held nothing out.
        HubError: if it cannot be fetched.
    """
    ways = combinations(steps, samples, noise, choose, votes, halt)
    file = None if out is None else Path(out)
    if file is not None:
        check_writable(file)
    if file is not None and file.suffix != ".json":
        raise InputError(f"--out {file} does not end in .json. Name such a file.")
    model = (
        checkpoint if isinstance(checkpoint, Model) else load(checkpoint, task=task, device=device)
    )
    max_examples = max_examples or usual_examples(model, split)
    about = _about(model, data, split, max_examples)
    known = {} if file is None else {line.thinking: line for line in _begun(file, about)}
    for number, how in enumerate(ways, start=1):
        if how not in known:
            report = evaluate_model(
                model, data=about.data, split=split, batch_size=batch_size,
                max_examples=max_examples, thinking=how, compiled=compiled, on_progress=on_progress,
            )  # fmt: skip
            known[how] = _line(model, report)
            if file is not None:
                _write(file, about, known.values())
        if on_line:
            on_line(about, known[how], number, len(ways))
    return about.model_copy(update={"lines": tuple(known[how] for how in ways)})


def _about(model: Model, data: Sequence[str | Path], split: str, max_examples: int | None) -> Sweep:
    """A sweep without lines."""
    paths = tuple(map(str, data)) or model.config.data_paths
    dataset = model.task.open_data(paths)
    some = dataset.split("test" if split == "test" else "train")
    return Sweep(
        checkpoint=model.name,
        step=model.checkpoint.step,
        trained_steps=model.network.config.halt_max_steps,
        weights=weights_digest(model),
        task=model.task.name,
        data=paths,
        digest=dataset.meta.digest,
        split=split,
        max_examples=max_examples,
        metric=model.task.evaluator(dataset.meta, some).headline,
    )


def _line(model: Model, report: Report) -> Line:
    network, count = model.network, report.num_examples
    steps = report.num_steps / count
    return Line(
        **report.thinking.model_dump(),
        metrics=dict(report.metrics),
        steps_per_puzzle=steps,
        gflop_per_puzzle=steps * eval_step_flops(network.config, network.spec) / 1e9,
        seconds=report.speed["seconds"],
    )


def _write(file: Path, about: Sweep, lines: Iterable[Line]) -> None:
    # Another process may have added lines meanwhile.
    known = {line.thinking: line for line in (*_begun(file, about), *lines)}
    whole = about.model_copy(update={"lines": tuple(known.values())})
    write_text(file, json.dumps(whole.as_json(), indent=2) + "\n")


def _begun(file: Path, about: Sweep) -> tuple[Line, ...]:
    """The lines that are there already.

    Raises:
        InputError: if they are of something else.
    """
    if not file.is_file():
        return ()
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        theirs = Sweep(**{name: found[name] for name in Sweep.model_fields})
    except ValidationError as error:
        raise _misfit(file, f"is damaged: {first_problem(error)}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise _misfit(file, "holds no sweep") from error
    for name, say in (
        ("weights", lambda one: one.checkpoint),
        ("digest", lambda one: f"data of digest {one.digest[:12]}"),
        ("split", lambda one: f"the {one.split} split"),
        ("max_examples", lambda one: f"{one.max_examples or 'all'} examples"),
    ):
        if getattr(theirs, name) != getattr(about, name):
            raise _misfit(file, f"has a sweep of {say(theirs)}, not of {say(about)}")
    return theirs.lines


def _misfit(file: Path, problem: str) -> InputError:
    return InputError(f"{file} {problem}. Name another --out, or remove it.")
