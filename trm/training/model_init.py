"""The model that a run begins with."""

from dataclasses import replace

import torch
from torch import Tensor

from trm.checkpoints.opened import open_checkpoint
from trm.checkpoints.tensors import PUZZLE_EMBEDDING, check_shapes, expected_shapes
from trm.config import RunConfig
from trm.data import Dataset
from trm.errors import CheckpointError
from trm.models import TinyRecursiveModel
from trm.models.puzzle_embedding import mean_puzzle_embedding
from trm.runs.checkpoint import puzzle_spec
from trm.runtime.process_group import SINGLE_PROCESS, ProcessGroup
from trm.training.sharded_embedding import ShardedPuzzleEmbedding

_LATENTS = "other_latent_inits"
#: Settings without which the same weights are another network, and that no shape tells.
_MEANING = ("swiglu", "damping")
_POSITIONS = ("pos_encodings", "rope_theta")


def build_model(
    config: RunConfig, dataset: Dataset, device: torch.device, group: ProcessGroup = SINGLE_PROCESS
) -> TinyRecursiveModel:
    """A new model for these puzzles; the seed alone decides its weights."""
    generator = torch.Generator().manual_seed(config.train.seed)
    spec = puzzle_spec(dataset.meta)
    shards = config.train.shard_puzzle_embedding and config.model.puzzle_emb_width > 0
    built = replace(spec, num_puzzle_identifiers=1) if shards else spec
    model = TinyRecursiveModel(config.model, built, generator=generator)
    if shards:  # the whole table is never made
        model.spec = spec
        table = ShardedPuzzleEmbedding(
            spec.num_puzzle_identifiers, config.model.puzzle_emb_width, group
        )
        model.puzzle_embedding = table.to(model.output_head.weight.dtype)
    return model.to(device)


def load_initial_weights(
    model: TinyRecursiveModel, config: RunConfig, group: ProcessGroup = SINGLE_PROCESS
) -> None:
    """Fill a new model with the weights of the checkpoint ``train.init_from``.

    It may have been trained with another number of latents: the first ones are taken.

    Raises:
        CheckpointError, HubError: if there is none, or it does not fit.
    """
    stored = open_checkpoint(config.train.init_from, task=config.task)
    targets: dict[str, Tensor] = dict(model.state_dict())
    shares = {}
    own, theirs = targets.pop(_LATENTS, None), stored.shapes().get(_LATENTS)
    if theirs is not None:
        targets[_LATENTS] = torch.empty(theirs, device=model.device)
    table = model.puzzle_embedding
    begun = stored.puzzle_embedding() if config.train.reset_puzzle_embedding else None
    if table is not None and begun is not None:
        table.weight.copy_(mean_puzzle_embedding(begun, len(table.weight)))
        targets[PUZZLE_EMBEDDING] = begun  # which has nowhere else to go
    elif isinstance(table, ShardedPuzzleEmbedding):
        count = model.spec.num_puzzle_identifiers
        targets[PUZZLE_EMBEDDING], shares[PUZZLE_EMBEDDING] = (
            table.shard,
            (count, group.shard(count)),
        )
    stored.load_into(targets, shares)
    if own is not None and theirs is not None:
        both = min(len(own), theirs[0])
        own[:both].copy_(targets[_LATENTS][:both])


def check_initial_weights(config: RunConfig, dataset: Dataset) -> None:
    """Refuse ``train.init_from`` where it does not fit, before anything is written.

    Raises:
        CheckpointError, HubError: saying what does not fit.
    """
    stored = open_checkpoint(config.train.init_from, task=config.task)
    stored.trained_on.check(dataset)
    with torch.device("meta"):
        model = TinyRecursiveModel(config.model, puzzle_spec(dataset.meta))
    expected = expected_shapes(model.state_dict())
    found = stored.shapes()
    expected.pop(_LATENTS, None)
    found.pop(_LATENTS, None)
    if PUZZLE_EMBEDDING in expected and PUZZLE_EMBEDDING in found:
        if config.train.reset_puzzle_embedding:  # their number may be another, but not their width
            found[PUZZLE_EMBEDDING][0] = expected[PUZZLE_EMBEDDING][0]
        else:
            stored.trained_on.check_puzzle_identifiers(dataset)
    check_shapes(
        expected, found, stored.name,
        settings="this run", advice="Give the model settings that it was trained with.",
    )  # fmt: skip
    _check_meaning(stored.name, stored.config.run, config)


def _check_meaning(name: str, theirs: RunConfig, ours: RunConfig) -> None:
    names = _MEANING if ours.model.mlp_t else _MEANING + _POSITIONS
    for setting in names:
        trained, wanted = getattr(theirs.model, setting), getattr(ours.model, setting)
        if trained != wanted:
            raise CheckpointError(
                f"{name} was trained with model.{setting} = {trained}, this run has {wanted}: its "
                f"weights would mean another network. Give --set model.{setting}={trained}."
            )
