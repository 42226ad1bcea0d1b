"""Checkpoints written without training, and data for them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from trm.config import RunConfig
from trm.data import DatasetMeta, Position, read_meta, write
from trm.models import TinyRecursiveModel
from trm.runs.checkpoint import CheckpointConfig, Evaluation, Progress, puzzle_spec, save_evaluation
from trm.tasks.registry import get_task
from trm.training.checkpoint_snapshot import Snapshot


def write_checkpoint(
    folder: Path,
    run: RunConfig,
    data: DatasetMeta,
    *,
    step: int = 7,
    names: Sequence[str] | None = None,
    evaluated: bool = True,
) -> Path:
    """Write a checkpoint with random weights, whose seed is ``step``.

    Args:
        folder: the new folder.
        run: the settings.
        data: of the puzzles; its number of identifiers is that of ``names``, if given.
        step: the training step.
        names: the puzzle of each row of the puzzle embedding.
        evaluated: whether to write an ``evaluation.json``.
    """
    if names is not None:
        data = data.model_copy(update={"num_puzzle_identifiers": len(names)})
    generator = torch.Generator().manual_seed(step)
    model = TinyRecursiveModel(run.model, puzzle_spec(data, run.model), generator=generator)
    if model.puzzle_embedding is not None:
        model.puzzle_embedding.weight.normal_(generator=generator)
    weights = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    Snapshot(
        CheckpointConfig(step=step, run=run, data=data),
        Progress(step=step, position=Position()),
        weights,
        {"weights.safetensors": {"w": torch.arange(step)}},
        None if names is None else np.array([name.encode() for name in names]),
    ).write(folder)
    if evaluated:
        save_evaluation(
            folder,
            Evaluation(
                step=step, examples=20, headline="exact_accuracy",
                metrics={"exact_accuracy": 0.8125, "mean_steps": 2.25},
                intervals={"exact_accuracy": (0.5877, 0.9323)}, best=0.8125, best_step=step,
            ),
        )  # fmt: skip
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder and below, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_named_data(
    folder: Path, source: Path, names: Sequence[str], used: Sequence[str] | None = None
) -> Path:
    """Write the puzzles of a dataset with the names ``used`` (default: all) in turn."""
    dataset = get_task(read_meta(source).task).open_data([source])
    numbers = np.array([names.index(name) for name in used or names], np.int32)
    splits = {
        name: replace(
            split,
            identifiers=numbers[np.arange(split.num_puzzles) % len(numbers)],
            names=np.array([known.encode() for known in names]),
        )
        for name, split in dataset.splits.items()
    }
    meta = dataset.meta.model_copy(update={"num_puzzle_identifiers": len(names)})
    write(folder, meta, splits)
    return folder
