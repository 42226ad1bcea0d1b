"""A small model and puzzles for it."""

import torch
from torch import Tensor

from trm.config import TRMConfig
from trm.models import PuzzleSpec, TinyRecursiveModel

SPEC = PuzzleSpec(vocab_size=6, seq_len=9, num_puzzle_identifiers=4)


def small(**changes: object) -> TRMConfig:
    settings: dict[str, object] = {
        "hidden_size": 16, "num_heads": 2, "h_cycles": 2, "l_cycles": 2, "swiglu_multiple": 16,
        "puzzle_emb_len": 2, "halt_max_steps": 3, "forward_dtype": "float32",
    }  # fmt: skip
    return TRMConfig.model_validate(settings | changes)


def build(config: TRMConfig, seed: int = 0) -> TinyRecursiveModel:
    return TinyRecursiveModel(config, SPEC, generator=torch.Generator().manual_seed(seed))


def puzzles(size: int = 3) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 6, (size, 9), generator=rng, dtype=torch.int32)
    return inputs, torch.arange(size, dtype=torch.int32)
