"""Several latents side by side, of which the best one learns (Dillon 2026, arXiv 2601.19085)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trm.models.core import StepOutput, TinyRecursiveModel
from trm.models.layers import Hidden
from trm.models.recursion import Depth, LatentState, Noise


def advance(
    model: TinyRecursiveModel,
    state: LatentState,
    embedded: Hidden,
    answer_losses: Callable[[Tensor], Float[Tensor, " batch"]],
    depth: Depth | None = None,
    noise: Noise | None = None,
) -> StepOutput:
    """One supervision step in training: that of the model, or of the best of several latents.

    With several, each takes the step without a gradient; the one whose answer has the lowest loss
    takes it again with one. All go on with that answer, each with its own latent. Taking the step
    again costs less than keeping what every latent would need for a gradient.

    Args:
        model: the model.
        state: as :meth:`TinyRecursiveModel.training_state` gives it.
        embedded: the puzzles.
        answer_losses: of logits (batch, seq, vocab), the loss of each row.
        depth, noise: see :meth:`TinyRecursiveModel.forward`.
    """
    if model.config.num_latents == 1:
        return _called(model, state, embedded, depth, noise)
    answer, latents = state
    with torch.no_grad():
        # Contiguous as the answer is, or a compiled application would be compiled twice.
        tried = [
            _called(model, LatentState(answer, latent.contiguous()), embedded, depth, noise)
            for latent in latents.unbind(1)
        ]
        losses = torch.stack([answer_losses(step.logits) for step in tried])
        winner = losses.argmin(0)
        places = torch.arange(len(winner), device=winner.device)
    done = _called(model, LatentState(answer, latents[places, winner]), embedded, depth, noise)
    after = torch.stack([step.state.latent for step in tried], dim=1)
    after[places, winner] = done.state.latent
    return done._replace(state=LatentState(done.state.answer, after))


def _called(
    model: TinyRecursiveModel,
    state: LatentState,
    embedded: Hidden,
    depth: Depth | None,
    noise: Noise | None,
) -> StepOutput:
    done: StepOutput = model(state, embedded, depth, noise)
    return done
