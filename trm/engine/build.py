"""The model that a run begins with."""

from dataclasses import replace

import torch

from trm.config import RunConfig
from trm.data import Dataset
from trm.engine.checkpoint import puzzle_spec
from trm.engine.distributed import ALONE, Group
from trm.engine.sharding import ShardedPuzzleEmbedding
from trm.models import TinyRecursiveModel


def build_model(
    config: RunConfig, dataset: Dataset, device: torch.device, group: Group = ALONE
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
