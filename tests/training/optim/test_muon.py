"""Muon with AdamW: which of them updates which parameters, and by how much."""

import pytest
import torch
from torch import Tensor

from tests.models.test_trm import build, small
from trm.config import OptimConfig
from trm.training.optim.muon import MuonAdamW

CONFIG = OptimConfig(
    optimizer="muon", lr=0.01, weight_decay=0.3, beta1=0.8, beta2=0.9,
    muon_lr=0.1, muon_weight_decay=0.2, muon_momentum=0.9,
)  # fmt: skip


def parameters() -> dict[str, Tensor]:
    model = build(small(mlp_t=True, pos_encodings="none"))
    return dict(model.named_parameters())


def with_gradients(named: dict[str, Tensor], seed: int) -> dict[str, Tensor]:
    rng = torch.Generator().manual_seed(seed)
    for parameter in named.values():
        parameter.grad = torch.randn(parameter.shape, generator=rng)
    return {name: parameter.detach().clone() for name, parameter in named.items()}


def test_muon_moves_the_matrices_of_the_core_and_adamw_the_rest() -> None:
    named = parameters()
    optimizer = MuonAdamW(named, CONFIG)
    names = {id(parameter): name for name, parameter in named.items()}
    assert sorted(names[id(p)] for p in optimizer.others) == [
        "embedding.token.weight", "halt_head.bias", "halt_head.weight", "output_head.weight",
    ]  # fmt: skip
    assert len(optimizer.matrices) == 2 * 4
    assert all(names[id(p)].startswith("core.layers.") for p in optimizer.matrices)


def test_a_matrix_moves_by_a_nearly_orthogonal_one_whatever_the_gradients_size() -> None:
    named = parameters()
    before = with_gradients(named, 0)
    optimizer = MuonAdamW(named, CONFIG)
    for parameter in optimizer.matrices:
        parameter.grad *= 1e3
    optimizer.step(0.5)
    for name in (name for name in named if name.startswith("core.")):
        rows, columns = named[name].shape
        kept = before[name] * (1 - 0.1 * 0.5 * 0.2)
        moved = (kept - named[name].detach()) / (0.1 * 0.5 * max(1, rows / columns) ** 0.5)
        sizes = torch.linalg.svdvals(moved)
        assert sizes.min() > 0.5
        assert sizes.max() < 1.3
        # In the gradient's own directions.
        assert (moved * named[name].grad).sum() > 0.7 * torch.linalg.svdvals(named[name].grad).sum()


def test_the_rest_moves_as_adamw_does_by_hand() -> None:
    named, optimizer = parameters(), None
    head = named["output_head.weight"]
    optimizer = MuonAdamW(named, CONFIG)
    mean = square = torch.zeros_like(head)
    expected = head.detach().clone()
    for number in (1, 2, 3):
        with_gradients(named, number)
        assert head.grad is not None
        mean = 0.8 * mean + 0.2 * head.grad
        square = 0.9 * square + 0.1 * head.grad**2
        step = (mean / (1 - 0.8**number)) / ((square / (1 - 0.9**number)).sqrt() + 1e-8)
        expected = expected * (1 - 0.01 * 0.3) - 0.01 * step
        optimizer.step(1.0)
    assert optimizer.num_steps == 3
    torch.testing.assert_close(head.detach(), expected)


def test_saved_and_loaded_moments_give_the_same_steps() -> None:
    named, other = parameters(), parameters()
    first, second = MuonAdamW(named, CONFIG), MuonAdamW(other, CONFIG)
    assert first.moments().keys() == {
        *(f"{kind}.{n}" for n in named if not n.startswith("core.") for kind in ("mean", "square")),
        *(f"momentum.{n}" for n in named if n.startswith("core.")),
    }
    for number in (1, 2):
        with_gradients(named, number)
        first.step(1.0)
    with torch.no_grad():
        for name, parameter in other.items():
            parameter.copy_(named[name])
        for name, moment in second.moments().items():
            moment.copy_(first.moments()[name])
    second.num_steps = 2
    with_gradients(named, 3), with_gradients(other, 3)
    first.step(0.7), second.step(0.7)
    assert all(torch.equal(named[name], other[name]) for name in named)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"muon_lr": 0.05}, "muon_lr does nothing without optimizer muon"),
        ({"lr_decay_share": 0.5}, "lr_decay_share does nothing without lr_schedule wsd"),
    ],
)
def test_what_would_do_nothing_is_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        OptimConfig.model_validate(settings)
