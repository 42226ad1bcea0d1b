"""A small model with a halting head that is not trained, but not at rest either."""

import numpy as np
import torch

from trm.config import TRMConfig
from trm.data import Batch
from trm.inference.latent_noise import LatentNoise
from trm.models import PuzzleSpec, TinyRecursiveModel

SEQ, MAX_STEPS = 6, 5


def halting_model() -> TinyRecursiveModel:
    """One whose rows halt at different steps, some at none, and whose answers noise changes."""
    config = TRMConfig(
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


def by_hand(
    model: TinyRecursiveModel, batch: Batch, steps: int, sample: int = 0, scale: float = 0.0
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Answers and halting logits after each of some supervision steps."""
    noise, count = LatentNoise(model, scale), len(batch)
    with torch.inference_mode():
        identifiers = torch.from_numpy(batch.puzzle_identifiers)
        embedded = model.embed(torch.from_numpy(batch.inputs), model.puzzle_vectors(identifiers))
        state = model.initial_state(count, sample)
        found = []
        for step in range(steps):
            latent = noise.disturb(state.latent, np.full(count, sample), np.full(count, step))
            state, logits, halt_logits, _ = model(state._replace(latent=latent), embedded)
            found.append((logits.argmax(-1).numpy(), halt_logits.float().numpy()))
    return found
