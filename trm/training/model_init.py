"""The model that a run starts with: new, or with the weights of a checkpoint."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trm.checkpoints.open_checkpoint import OpenedCheckpoint, open_checkpoint
from trm.checkpoints.tensors import PUZZLE_EMBEDDING, check_shapes, expected_shapes
from trm.config import RunConfig
from trm.data import Dataset, DatasetMeta
from trm.errors import CheckpointError
from trm.models import RecursiveModel, create_model
from trm.models.puzzle_embedding import mean_puzzle_embedding
from trm.runs.checkpoint import puzzle_spec
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.settings import assignments
from trm.tasks.registry import get_task
from trm.training.sharded_embedding import ShardedPuzzleEmbedding

_LATENTS = "other_latent_inits"


def build_model(
    config: RunConfig, dataset: Dataset, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> RecursiveModel:
    """A new model for these puzzles. Its weights depend on the seed and settings only."""
    generator = torch.Generator().manual_seed(config.train.seed)
    spec = puzzle_spec(dataset.meta, config.model)
    shards = config.train.shard_puzzle_embedding and config.model.puzzle_emb_width > 0
    built = replace(spec, num_puzzle_identifiers=1) if shards else spec
    model = create_model(config.model, built, generator=generator)
    if shards:  # the whole table is never allocated
        model.spec = spec
        table = ShardedPuzzleEmbedding(
            spec.num_puzzle_identifiers, config.model.puzzle_emb_width, group
        )
        model.puzzle_embedding = table.to(model.output_head.weight.dtype)
    return model.to(device)


def load_initial_weights(
    model: RecursiveModel,
    config: RunConfig,
    dataset: Dataset,
    group: ProcessGroup = SINGLE_PROCESS,
) -> None:
    """Load the weights of the checkpoint ``train.init_from`` into a new model.

    If the numbers of latents differ, those that both have are loaded. Puzzles that the checkpoint
    does not know begin with the mean of its puzzle embeddings.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint, or it does not fit.
    """
    stored = _opened(config)
    targets: dict[str, Tensor] = dict(model.state_dict())
    shards = {}
    latents, stored_shape = targets.pop(_LATENTS, None), stored.shapes().get(_LATENTS)
    if stored_shape is not None:
        targets[_LATENTS] = torch.empty(stored_shape, device=model.device)
    table, count = model.puzzle_embedding, model.spec.num_puzzle_identifiers
    sharded = isinstance(table, ShardedPuzzleEmbedding)
    own = group.shard(count) if sharded else slice(count)
    has_table = table is not None and PUZZLE_EMBEDDING in stored.shapes()
    rows = _rows_to_keep(config, stored, dataset) if has_table else None
    if table is not None and rows is not None:
        stored_table = stored.puzzle_embedding()
        assert stored_table is not None
        table.weight.copy_(mean_puzzle_embedding(stored_table, len(table.weight)))
        kept = torch.from_numpy(rows[own])
        known = torch.nonzero(kept >= 0).squeeze(1)
        table.weight[known.to(model.device)] = stored_table[kept[known]].to(table.weight)
        targets[PUZZLE_EMBEDDING] = stored_table  # loaded where it is already
    elif isinstance(table, ShardedPuzzleEmbedding):
        targets[PUZZLE_EMBEDDING] = table.shard
        shards[PUZZLE_EMBEDDING] = (count, own)
    stored.load_into(targets, shards)
    if latents is not None and stored_shape is not None:
        both = min(len(latents), stored_shape[0])
        latents[:both].copy_(targets[_LATENTS][:both])


def _rows_to_keep(
    config: RunConfig, stored: OpenedCheckpoint, dataset: Dataset
) -> NDArray[np.int64] | None:
    """The checkpoint's row of each puzzle identifier, -1 for the mean; None to load the table."""
    if config.train.reset_puzzle_embedding:
        return np.full(dataset.meta.num_puzzle_identifiers, -1)
    return stored.trained_on.rows_to_keep(dataset)


def _kept_text(num_kept: int, count: int, name: str) -> str:
    """How many puzzle embeddings of a checkpoint a run keeps."""
    if num_kept <= 1:  # the first is the blank one
        return (
            f"{name} knows none of the {count - 1:,} puzzle identifiers: their embeddings begin "
            "with the mean of all its puzzle embeddings."
        )
    return (
        f"{num_kept:,} of {count:,} puzzle embeddings are those of {name}, the other "
        f"{count - num_kept:,} begin with the mean of all its puzzle embeddings. To reset all, "
        "give --reset-puzzle-embedding."
    )


def _shapes(config: RunConfig, meta: DatasetMeta) -> dict[str, list[int]]:
    """The shapes of the weights of a model for these puzzles."""
    with torch.device("meta"):
        model = create_model(config.model, puzzle_spec(meta, config.model), init_weights=False)
    return expected_shapes(model.state_dict())


def _has_shapes(
    config: RunConfig, stored: OpenedCheckpoint, expected: dict[str, list[int]]
) -> bool:
    """Whether a model for the puzzles of a checkpoint has these shapes, but for the embedding."""
    found = _shapes(config, stored.config.data)
    return found | {PUZZLE_EMBEDDING: []} == expected | {PUZZLE_EMBEDDING: []}


def _opened(config: RunConfig) -> OpenedCheckpoint:
    """The checkpoint of ``train.init_from``; of any task, whose puzzles are compared instead."""
    return open_checkpoint(config.train.init_from, task=config.task, any_task=True)


def check_initial_weights(config: RunConfig, dataset: Dataset) -> list[str]:
    """Check that ``train.init_from`` fits the run, before anything is written.

    Returns:
        What the user should know: which checkpoint was taken of several, and how many puzzle
        embeddings are kept, if not all are.

    Raises:
        CheckpointError, HubError: if there is no such checkpoint, or it does not fit.
    """
    stored, task = _opened(config), get_task(config.task)
    messages = [f"--init-from {stored.name}: {choice}." for choice in stored.choices]
    other = stored.config.run.task
    if other != task.name:
        remark = f"--init-from {stored.name} was trained for task {other}. {task.leak_of(other)}"
        messages.append(remark.strip())
    expected = _shapes(config, dataset.meta)
    found = stored.shapes()
    length, trained = dataset.meta.seq_len, stored.config.data.seq_len
    own_kind, kind = config.model.kind, stored.config.run.model.kind
    if kind != own_kind:
        raise CheckpointError(
            f"{stored.name} is a model of kind {kind}, and this run has {own_kind}. Give --model "
            f"{kind}."
        )
    fits = length != trained and _has_shapes(config, stored, expected)
    stored.trained_on.check(dataset, any_length=fits)
    if length != trained:
        messages.append(
            f"--init-from {stored.name} was trained on puzzles of {trained} cells, these have "
            f"{length}."
        )
    expected.pop(_LATENTS, None)
    found.pop(_LATENTS, None)
    if PUZZLE_EMBEDDING in expected and PUZZLE_EMBEDDING in found:
        rows = _rows_to_keep(config, stored, dataset)
        if rows is not None:  # only the width has to match
            found[PUZZLE_EMBEDDING][0] = expected[PUZZLE_EMBEDDING][0]
            num_kept = int((rows >= 0).sum())
            if not config.train.reset_puzzle_embedding:
                messages.append(_kept_text(num_kept, len(rows), stored.name))
    theirs, ours = (RunConfig(task=task.name, model=c.model) for c in (stored.config.run, config))
    different = " ".join(assignments(theirs, ours)) or "see its config.json"
    advice = f"Give the model settings that it was trained with: {different}."
    check_shapes(expected, found, stored.name, settings="this run", advice=advice)
    for setting in config.model.same_shapes:
        trained, value = getattr(stored.config.run.model, setting), getattr(config.model, setting)
        if trained != value:
            raise CheckpointError(
                f"{stored.name} was trained with model.{setting} = {trained}, this run has "
                f"{value}: its weights would mean another network. Give --set "
                f"model.{setting}={trained}."
            )
    return messages
