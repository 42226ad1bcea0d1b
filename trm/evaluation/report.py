"""Evaluating a trained model on a data set, and what is said of it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm.data import VALIDATION, Dataset, Split, num_eval_examples, with_validation_split
from trm.errors import InputError, did_you_mean
from trm.evaluation.evaluate import evaluate as run_evaluation
from trm.evaluation.predictions import About, Predictions, compact
from trm.inference.model import Model, load
from trm.inference.options import PUBLISHED, Choice, InferenceOptions
from trm.models.flops import eval_step_flops
from trm.models.puzzle_embedding import mean_puzzle_embedding
from trm.runtime.device import compile_network, device_errors
from trm.runtime.peak_flops import measure_peak_flops, utilization
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.tasks.metrics import EvalBatch, Evaluator, Metric


@dataclass(frozen=True)
class Row:
    """One evaluation in a table of several; see :meth:`Report.row`."""

    name: str
    task: str
    step: int
    metric: str
    value: Metric
    reported: float | None = None
    split: str = "test"
    thinking: InferenceOptions = PUBLISHED


@dataclass(frozen=True)
class Report:
    """What an evaluation found, of what, on what.

    Attributes:
        num_examples: that were looked at.
        num_steps: supervision steps that this process took for them, those of all rollouts.
        split: of the data, ``test`` or ``validation``.
        thinking: for how long, in how many ways.
        speed: ``seconds`` that it took, all answers and compiling included; ``samples_per_s`` over
            all processes; ``tflops`` of each process, by the supervision steps really taken, and
            ``mfu``, their share of what a large matrix product reaches on the same device.
    """

    checkpoint: str
    step: int
    task: str
    data: Path
    digest: str
    metrics: Mapping[str, Metric]
    evaluator: Evaluator
    speed: Mapping[str, float]
    num_examples: int
    num_steps: int
    split: str = "test"
    thinking: InferenceOptions = PUBLISHED

    def row(self, name: str, metric: str | None, reported: float | None) -> "Row":
        """One line of a table over several evaluations.

        Args:
            name: what to call it, its checkpoint's path if empty.
            metric: the metric to show, the task's headline if None.
            reported: what others measured.

        Raises:
            InputError: if there is no such metric.
        """
        metric = metric or self.evaluator.headline
        if metric not in self.metrics:
            hint = did_you_mean(metric, self.metrics)
            raise InputError(f"task {self.task} has no metric {metric!r}. {hint}")
        return Row(
            name or self.checkpoint, self.task, self.step, metric, self.metrics[metric],
            reported, self.split, self.thinking,
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """For ``trm eval --json``."""
        return {
            "checkpoint": self.checkpoint,
            "step": self.step,
            "task": self.task,
            "data": str(self.data),
            "split": self.split,
            "digest": self.digest,
            **self.thinking.model_dump(),
            "metrics": {name: metric.as_json() for name, metric in self.metrics.items()},
            "speed": dict(self.speed),
        }


def evaluate_model(
    model: Model,
    *,
    data: Sequence[str] = (),
    split: str = "test",
    batch_size: int | None = None,
    max_examples: int | None = None,
    thinking: InferenceOptions = PUBLISHED,
    save_predictions: Path | None = None,
    extras: Sequence[str] = (),
    reset_puzzle_embedding: bool = False,
    compiled: bool | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    group: ProcessGroup = SINGLE_PROCESS,
) -> Report:
    """Evaluate a model on the test split of a data set, or on what its run held out.

    Args:
        model: what :func:`trm.load` gives.
        data: data folders; those it was trained on if left out.
        split: ``validation`` for the training puzzles that the model's run held out.
        batch_size: that of the run if left out.
        max_examples: look at so many, chosen once and for all; if left out at all, of what the
            run held out at as many as training did.
        thinking: for how long, in how many ways.
        save_predictions: write every answer to this ``.npz`` file.
        extras: what the evaluator will be asked for, see :meth:`Evaluator.check_has`.
        reset_puzzle_embedding: give every puzzle the mean of the model's puzzle embeddings.
        compiled: use torch.compile; None: on CUDA.
        on_progress: called with examples done and examples in all.
        group: the processes that evaluate together; the first one has the metrics, and writes.

    Raises:
        DataError, CheckpointError: if there is no such data, or the model was not made for it.
        InputError: if its run held nothing out, or not of this data.
    """
    thinking = thinking.thinking.settled
    for name, number in (("batch_size", batch_size), ("max_examples", max_examples)):
        if number is not None and number < 1:
            raise InputError(f"{name} is {number}. Give 1 or more.")
    max_examples = max_examples or usual_examples(model, split)
    paths = tuple(data) or model.config.data_paths
    dataset = model.task.open_data(paths)
    model.trained_on.check(dataset)
    chosen = _chosen(model, dataset, split)
    if not reset_puzzle_embedding:
        chosen = model.trained_on.with_identifiers(chosen, dataset)
    evaluator = model.task.evaluator(dataset.meta, chosen)
    evaluator.check_has(extras)
    batches: list[EvalBatch] = []
    with device_errors(), _mean_embedding(model, dataset, reset_puzzle_embedding):
        compile_network(model.network, compiled)
        stopwatch = _Stopwatch(model)
        metrics = run_evaluation(
            model.network,
            evaluator,
            chosen,
            batch_size=batch_size or model.config.eval_batch_size,
            max_examples=max_examples,
            thinking=thinking,
            on_batch=(lambda batch: batches.append(compact(batch))) if save_predictions else None,
            on_steps=stopwatch.add,
            on_progress=on_progress,
            group=group,
        )
    num_examples = num_eval_examples(chosen, max_examples)
    speed = stopwatch.speed(num_examples)
    assert metrics is not None  # nothing asked it to stop
    if save_predictions and group.is_first:
        about = About(
            task=model.task.name,
            data=paths,
            split=split,
            validation_share=model.config.data.validation_share if split == VALIDATION else 0.0,
            digest=dataset.meta.digest,
            checkpoint=model.name,
            step=model.checkpoint.step,
            **thinking.model_dump(),
        )
        Predictions.of(about, batches).save(save_predictions, chosen.names)
    return Report(
        checkpoint=model.name,
        step=model.checkpoint.step,
        task=model.task.name,
        data=dataset.path,
        digest=dataset.meta.digest,
        metrics=metrics,
        evaluator=evaluator,
        speed=speed,
        num_examples=num_examples,
        num_steps=stopwatch.steps,
        split=split,
        thinking=thinking,
    )


def usual_examples(model: Model, split: str) -> int | None:
    """How many examples an evaluation looks at if nothing is said, None for all.

    What a run held out is there with all its copies, of which training looked at some.
    """
    return model.config.eval.max_examples if split == VALIDATION else None


def _chosen(model: Model, dataset: Dataset, split: str) -> Split:
    """The puzzles of a data set to evaluate a model on."""
    if split == "test":
        return dataset.split(split)
    if split != VALIDATION:
        raise InputError(f"split {split!r} is neither test nor {VALIDATION}. Give one of them.")
    share, trained_on = model.config.data.validation_share, model.checkpoint.data.digest
    if not share:
        raise InputError(
            f"{model.name} was trained without holding puzzles out. Train with "
            "--validation-share 0.1, or evaluate on the test split."
        )
    if dataset.meta.digest != trained_on:
        raise InputError(
            f"{dataset.path} has digest {dataset.meta.digest[:12]}, {model.name} held puzzles out "
            f"of data of digest {trained_on[:12]}. Give the data that it was trained on."
        )
    return with_validation_split(dataset, share).split(split)


class _Stopwatch:
    """Times an evaluation that begins now, and counts the supervision steps of this process."""

    def __init__(self, model: Model) -> None:
        network = model.network
        self._peak_flops = measure_peak_flops(network.device, network.dtype)
        self._step_flops = eval_step_flops(network.config, network.spec)
        self.steps = 0
        self._began = time.perf_counter()

    def add(self, steps: int) -> None:
        self.steps += steps

    def speed(self, examples: int) -> dict[str, float]:
        """See :attr:`Report.speed`."""
        seconds = time.perf_counter() - self._began
        rate = utilization(self.steps / seconds, self._step_flops, self._peak_flops)
        return {"seconds": seconds, "samples_per_s": examples / seconds, **rate}


@contextlib.contextmanager
def _mean_embedding(model: Model, dataset: Dataset, wanted: bool) -> Iterator[None]:
    """Inside the block each of the data set's puzzles has the mean puzzle embedding."""
    table = model.network.puzzle_embedding
    if not wanted or table is None:
        yield
        return
    weight = table.weight
    table.weight = mean_puzzle_embedding(weight, dataset.meta.num_puzzle_identifiers)
    try:
        yield
    finally:
        table.weight = weight


def evaluate(
    checkpoint: Model | str | Path | None = None,
    *,
    data: Sequence[str | Path] = (),
    split: str = "test",
    task: str | None = None,
    batch_size: int | None = None,
    max_examples: int | None = None,
    steps: int | None = None,
    samples: int = 1,
    noise: float | None = None,
    choose: Choice | None = None,
    votes: int = 1,
    halt: float | None = None,
    reset_puzzle_embedding: bool = False,
    save_predictions: str | Path | None = None,
    device: str = "auto",
) -> Report:
    """Measure a trained model on the puzzles of a data set: ``trm eval``.

    Args:
        checkpoint: what :func:`trm.load` takes or gives.
        data: data folders; those it was trained on if left out.
        split: ``validation`` for the training puzzles that the model's run held out.
        task: of a published checkpoint that does not say which it was trained for.
        batch_size: that of the run if left out.
        max_examples: look at so many, chosen once and for all, instead of all.
        steps: supervision steps at most; those that it was trained with if left out.
        samples: solve each puzzle so often, all but the first time with noise.
        noise: its standard deviation.
        choose: ``halt``, the surest answer, ``vote``, the majority's, ``first``, the first sure.
        votes: solve so many symmetric copies of each puzzle.
        halt: end at the first step whose halting probability is above this, not after all.
        reset_puzzle_embedding: give every puzzle the mean of the model's puzzle embeddings.
        save_predictions: write every answer to this ``.npz`` file.
        device: where, for a model that is not loaded yet.

    Raises:
        ConfigError: for a value out of range, or values that do not go together.
        DataError, CheckpointError: if there is no such data, or the model was not made for it.
        InputError: if its run held nothing out, or not of this data.
        HubError: if it cannot be fetched.
    """
    thinking = InferenceOptions.of(
        steps=steps, samples=samples, noise=noise, choose=choose, votes=votes, halt=halt
    )
    if not isinstance(checkpoint, Model):
        checkpoint = load(checkpoint, task=task, device=device)
    return evaluate_model(
        checkpoint,
        data=[str(folder) for folder in data],
        split=split,
        batch_size=batch_size,
        max_examples=max_examples,
        thinking=thinking,
        reset_puzzle_embedding=reset_puzzle_embedding,
        save_predictions=None if save_predictions is None else Path(save_predictions),
    )
