"""Several latents side by side, of which the best one learns (Dillon 2026, arXiv 2601.19085)."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trm.models.layers import Hidden
from trm.models.recursion import Depth, LatentState
from trm.models.trm import StepOutput, TinyRecursiveModel


@dataclass(frozen=True)
class StateNoise:
    """Normal noise on updated answers and latents, drawn as they come.

    Attributes:
        scale: the standard deviation.
        generator: on the device of what it is added to.
    """

    scale: float
    generator: torch.Generator

    def __call__(self, updated: Hidden) -> Hidden:
        shape, device, dtype = updated.shape, updated.device, updated.dtype
        drawn = torch.randn(shape, generator=self.generator, device=device, dtype=dtype)
        return self.scale * drawn


def best_latent_step(
    model: TinyRecursiveModel,
    state: LatentState,
    embedded: Hidden,
    answer_losses: Callable[[Tensor], Float[Tensor, " batch"]],
    depth: Depth | None = None,
    noise: StateNoise | None = None,
) -> StepOutput:
    """One supervision step in training: that of the model, or of the best of several latents.

    With several, each takes the step without a gradient; the one whose answer has the lowest loss
    takes the last h-cycle again with one, under the same noise. All go on with that answer, each
    with its own latent. A gradient for every latent would cost more, and K times the memory.

    Args:
        model: the model.
        state: as :meth:`TinyRecursiveModel.initial_training_state` gives it.
        embedded: the puzzles.
        answer_losses: of logits (batch, seq, vocab), the loss of each row.
        depth, noise: see :meth:`TinyRecursiveModel.forward`.
    """
    if model.config.num_latents == 1:
        done: StepOutput = model(state, embedded, depth, noise)
        return done
    h_cycles, l_cycles = depth or model.core.depth
    first, last = Depth(h_cycles - 1, l_cycles), Depth(1, l_cycles)
    answer, latents = state
    with torch.no_grad():
        begun = middle = _drawn_so_far(noise)
        before, tried = list[LatentState](), list[StepOutput]()
        for latent in latents.unbind(1):
            _rewind(noise, begun)
            # Contiguous as the answer is, or a compiled application would be compiled twice.
            own = LatentState(answer, latent.contiguous())
            before.append(model.recur(own, embedded, first, noise) if h_cycles > 1 else own)
            middle = _drawn_so_far(noise)
            tried.append(model(before[-1], embedded, last, noise))
        winner = torch.stack([answer_losses(step.logits) for step in tried]).argmin(0)
        rows = torch.arange(len(winner), device=winner.device)
        best = LatentState(
            *(torch.stack(parts)[winner, rows] for parts in zip(*before, strict=True))
        )
    _rewind(noise, middle)
    done = model(best, embedded, last, noise)
    after = torch.stack([step.state.latent for step in tried], dim=1)
    after[rows, winner] = done.state.latent
    return done._replace(state=LatentState(done.state.answer, after))


def _drawn_so_far(noise: StateNoise | None) -> Tensor:
    return torch.empty(0) if noise is None else noise.generator.get_state()


def _rewind(noise: StateNoise | None, drawn: Tensor) -> None:
    """Let what was drawn since then be drawn again."""
    if noise is not None:
        noise.generator.set_state(drawn)
