"""Training with several latents, of which the best one learns (Dillon 2026, arXiv 2601.19085)."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from trm.models.base import Depth, RecursiveModel, State, StateNoise, StepOutput
from trm.models.layers import Hidden


def best_latent_step(
    model: RecursiveModel,
    state: State,
    embedded: Hidden,
    answer_losses: Callable[[Tensor], Float[Tensor, " batch"]],
    depth: Depth,
    noise: StateNoise | None = None,
) -> StepOutput:
    """One supervision step in training with several latents: the step of the best one.

    Every latent takes the step without a gradient. In each row, the latent whose answer has the
    lowest loss repeats the last h-cycle with a gradient and the same noise. All latents of the row
    get that answer, and each keeps its own latent. A gradient for all K latents would need K times
    the memory.

    Args:
        model: the model.
        state: from :meth:`RecursiveModel.initial_training_state` or from the step before.
        embedded: the puzzles, from :meth:`RecursiveModel.embed`.
        answer_losses: computes the loss of each row from logits (batch, seq, vocab).
        depth, noise: see :meth:`RecursiveModel.recurse`.
    """
    state_class, (h_cycles, l_cycles) = model.state_class, depth
    first, last = Depth(h_cycles - 1, l_cycles), Depth(1, l_cycles)
    answer, latents = state
    with torch.no_grad():
        start = before_last = _generator_state(noise)
        inputs, trials = list[State](), list[StepOutput]()  # of the last cycle, by latent
        for latent in latents.unbind(1):
            _set_generator_state(noise, start)
            # Contiguous like the answer; otherwise a compiled application would compile twice.
            own = state_class(answer, latent.contiguous())
            inputs.append(model.recurse(own, embedded, first, noise) if h_cycles > 1 else own)
            before_last = _generator_state(noise)
            trials.append(model(inputs[-1], embedded, last, noise))
        best = torch.stack([answer_losses(trial.logits) for trial in trials]).argmin(0)
        rows = torch.arange(len(best), device=best.device)
        best_input = state_class(
            *(torch.stack(parts)[best, rows] for parts in zip(*inputs, strict=True))
        )
    _set_generator_state(noise, before_last)
    output: StepOutput = model(best_input, embedded, last, noise)
    latents = torch.stack([trial.state.latent for trial in trials], dim=1)
    latents[rows, best] = output.state.latent
    return output._replace(state=state_class(output.state.answer, latents))


def _generator_state(noise: StateNoise | None) -> Tensor:
    return torch.empty(0) if noise is None else noise.generator.get_state()


def _set_generator_state(noise: StateNoise | None, state: Tensor) -> None:
    if noise is not None:
        noise.generator.set_state(state)
