"""Training with several latents, and the initial states."""

import pytest
import torch
from torch import Tensor

from tests.models.small_model import SPEC, build, puzzles, small
from trm.models import LatentState, StateNoise, TinyRecursiveModel, answer_losses
from trm.models.best_latent import best_latent_step

LABELS = torch.randint(0, 6, (3, 9), generator=torch.Generator().manual_seed(2))


def embedded(model: TinyRecursiveModel) -> Tensor:
    inputs, identifiers = puzzles()
    return model.embed(inputs, model.puzzle_vectors(identifiers))


def losses(logits: Tensor) -> Tensor:
    return answer_losses(logits, LABELS)


def test_all_latents_get_the_answer_of_the_best() -> None:
    model = build(small(num_latents=3))
    state = model.initial_training_state(3)
    assert state.latent.shape == (3, 3, 11, 16)
    steps = [
        model(LatentState(state.answer, state.latent[:, k]), embedded(model)) for k in range(3)
    ]
    costs = torch.stack([losses(step.logits) for step in steps])
    best_latent = costs.argmin(0)
    assert len(set(best_latent.tolist())) > 1  # otherwise the choice would not show
    output = model.training_step(state, embedded(model), losses)
    for row, best in enumerate(best_latent.tolist()):
        assert torch.equal(output.logits[row], steps[best].logits[row])
        assert torch.equal(output.halt_logits[row], steps[best].halt_logits[row])
        assert torch.equal(output.state.answer[row], steps[best].state.answer[row])
        for k in range(3):  # each keeps its own latent
            assert torch.equal(output.state.latent[row, k], steps[k].state.latent[row])


def test_only_the_best_latent_has_a_gradient() -> None:
    model = build(small(num_latents=2))
    state = model.initial_training_state(3)
    model.training_step(state, embedded(model), losses).logits.square().sum().backward()
    gradients = [p.grad.clone() for p in model.core.parameters()]
    model.zero_grad()
    with torch.no_grad():
        costs = torch.stack(
            [
                losses(model(LatentState(state.answer, state.latent[:, k]), embedded(model)).logits)
                for k in range(2)
            ]
        )
    best = LatentState(state.answer, state.latent[torch.arange(3), costs.argmin(0)])
    model(best, embedded(model)).logits.square().sum().backward()
    for gradient, parameter in zip(gradients, model.core.parameters(), strict=True):
        assert torch.equal(gradient, parameter.grad)


def test_equal_latents_give_the_published_step() -> None:
    one, two = build(small()), build(small(num_latents=2))
    two.load_state_dict({**one.state_dict(), "other_latent_inits": one.latent_init[None]})
    several = two.training_step(two.initial_training_state(3), embedded(two), losses)
    published = one(one.initial_state(3), embedded(one))
    for part, same in zip(several[1:], published[1:], strict=True):
        assert torch.equal(part, same)
    assert torch.equal(several.state.latent[:, 1], published.state.latent)


def test_evaluation_starts_from_the_first_latent_and_further_rollouts_from_the_others() -> None:
    model = build(small(num_latents=3))
    first = model.initial_training_state(2).latent
    for sample in range(5):
        assert torch.equal(model.initial_state(2, sample).latent, first[:, sample % 3])
        assert torch.equal(model.initial_state(2, sample).answer, model.initial_state(2).answer)
    assert torch.equal(
        build(small()).initial_state(2, 7).latent, build(small()).initial_state(2)[1]
    )


def test_random_states_differ_between_puzzles_and_have_unit_deviation() -> None:
    model = TinyRecursiveModel(small(state_init="random", hidden_size=128), SPEC)
    states = [
        model.initial_training_state(40, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    ]
    for part, same, other in zip(*states, strict=True):
        assert torch.equal(part, same)
        assert not torch.equal(part, other)
        assert not torch.equal(part[0], part[1])
        assert abs(part.std().item() - 1) < 0.02
    assert not torch.equal(*states[0])


def test_random_states_in_evaluation_depend_only_on_the_rollout() -> None:
    model, again = build(small(state_init="random")), build(small(state_init="random"), seed=5)
    start = model.initial_state(4)
    for part, same in zip(start, again.initial_state(2), strict=True):
        assert torch.equal(part[:2], same)  # neither on the weights nor on the batch
        assert torch.equal(part[0], part[3])
        assert not torch.equal(part[0, 0], part[0, 1])
    assert not torch.equal(start.latent, model.initial_state(4, 1).latent)


def test_random_states_of_several_latents() -> None:
    model = build(small(state_init="random", num_latents=2))
    state = model.initial_training_state(3, torch.Generator().manual_seed(0))
    assert (state.answer.shape, state.latent.shape) == ((3, 11, 16), (3, 2, 11, 16))
    assert not torch.equal(state.latent[:, 0], state.latent[:, 1])


@pytest.mark.parametrize("h_cycles", [1, 3])
def test_the_best_latent_learns_with_the_same_noise_as_in_its_trial(h_cycles: int) -> None:
    model = build(small(num_latents=3, h_cycles=h_cycles))
    state = model.initial_training_state(3)

    def noise() -> StateNoise:
        return StateNoise(0.5, torch.Generator().manual_seed(7))

    steps = [
        model(LatentState(state.answer, state.latent[:, k]), embedded(model), None, noise())
        for k in range(3)
    ]
    best_latent = torch.stack([losses(step.logits) for step in steps]).argmin(0)
    output = best_latent_step(model, state, embedded(model), losses, model.core.depth, noise())
    for row, best in enumerate(best_latent.tolist()):
        assert torch.equal(output.logits[row], steps[best].logits[row])
    quiet = model.training_step(state, embedded(model), losses)
    assert not torch.equal(output.logits, quiet.logits)
