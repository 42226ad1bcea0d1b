"""Evaluating a trained model on a data set, and what is said of it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trm.data import DatasetMeta
from trm.engine.device import device_errors
from trm.engine.evaluate import Predictions, compiled_step, evaluate
from trm.engine.solve import Model
from trm.errors import CheckpointError
from trm.tasks.metrics import Metric


@dataclass(frozen=True)
class Report:
    """What an evaluation found, of what, on what."""

    checkpoint: Path
    step: int
    task: str
    data: Path
    digest: str
    metrics: Mapping[str, Metric]

    def as_json(self) -> dict[str, Any]:
        """For ``trm eval --json``."""
        return {
            "checkpoint": str(self.checkpoint),
            "step": self.step,
            "task": self.task,
            "data": str(self.data),
            "digest": self.digest,
            "metrics": {name: metric.as_json() for name, metric in self.metrics.items()},
        }


def evaluate_model(
    model: Model,
    *,
    data: Sequence[str] = (),
    batch_size: int | None = None,
    max_examples: int | None = None,
    save_predictions: Path | None = None,
    compiled: bool = True,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Evaluate a model on the test split of a data set.

    Args:
        model: what :func:`trm.load` gives.
        data: data folders; those it was trained on if left out.
        batch_size: that of the run if left out.
        max_examples: look at so many, chosen once and for all, instead of all.
        save_predictions: write every answer to this ``.npz`` file.
        compiled: use torch.compile on CUDA.
        on_progress: called with examples done and examples in all.

    Raises:
        DataError, CheckpointError: if there is no such data, or the model was not made for it.
    """
    dataset = model.task.open_data(data or model.config.data_paths)
    _check_fits(model, dataset.meta, dataset.path)
    split = dataset.split("test")
    predictions = Predictions() if save_predictions else None
    with device_errors():
        metrics = evaluate(
            model.network,
            model.task.evaluator(dataset.meta, split),
            split,
            batch_size=batch_size or model.config.eval_batch_size,
            max_examples=max_examples,
            step=compiled_step(model.network, compiled),
            on_batch=predictions.add if predictions else None,
            on_progress=on_progress,
        )
    assert metrics is not None  # nothing asked it to stop
    if predictions and save_predictions:
        predictions.save(save_predictions)
    return Report(
        checkpoint=model.path,
        step=model.checkpoint.step,
        task=model.task.name,
        data=dataset.path,
        digest=dataset.meta.digest,
        metrics=metrics,
    )


def _check_fits(model: Model, meta: DatasetMeta, path: Path) -> None:
    made_for = model.checkpoint.data
    for what, theirs, ours in (
        ("puzzles of length", meta.seq_len, made_for.seq_len),
        ("a vocabulary of size", meta.vocab_size, made_for.vocab_size),
        ("the vocabulary", meta.vocabulary, made_for.vocabulary),
        ("so many identifiers", meta.num_puzzle_identifiers, made_for.num_puzzle_identifiers),
    ):
        if theirs != ours:
            raise CheckpointError(
                f"{path} has {what} {theirs}, {model.path} was trained for {ours}. "
                "Give data of that kind with --data."
            )
