"""A small model with a halting head that is not trained, but not at rest either."""

import torch

from trm.config import ModelConfig
from trm.models import PuzzleSpec, TinyRecursiveModel

SEQ, MAX_STEPS = 6, 5


def halting_model() -> TinyRecursiveModel:
    """One whose rows halt at different steps, some at none, and whose answers noise changes."""
    config = ModelConfig(
        hidden_size=16, num_heads=2, swiglu_multiple=16, puzzle_emb_len=2, h_cycles=1, l_cycles=1,
        halt_max_steps=MAX_STEPS, forward_dtype="float64",
    )  # fmt: skip
    random = torch.Generator().manual_seed(3)
    made = TinyRecursiveModel(config, PuzzleSpec(7, SEQ, 4), generator=random)
    with torch.no_grad():
        made.halt_head.weight.normal_(generator=random)
        made.halt_head.bias.fill_(-4)
        assert made.puzzle_embedding is not None
        made.puzzle_embedding.weight.normal_(generator=random)
    return made.eval()
