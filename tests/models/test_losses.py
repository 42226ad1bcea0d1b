"""The losses and their parts."""

import pytest
import torch

from trm.models.losses import (
    IGNORE_LABEL,
    answer_losses,
    answer_probabilities,
    softmax_cross_entropy,
    stablemax_cross_entropy,
    step_loss,
    widest_dtype,
)


def test_stablemax_by_hand() -> None:
    logits = torch.tensor([[[0.0, 1.0, -1.0]]])  # s: 1, 2, 0.5
    loss = stablemax_cross_entropy(logits, torch.tensor([[1]]))
    assert loss.item() == pytest.approx(-torch.log(torch.tensor(2 / 3.5)).item())


@pytest.mark.parametrize(("loss", "share"), [("stablemax", 2 / 3.5), ("softmax", 0.665241)])
def test_the_probability_of_the_likeliest_token(loss: str, share: float) -> None:
    logits = torch.tensor([[[0.0, 1.0, -1.0]]], dtype=torch.bfloat16)
    found = answer_probabilities(logits, loss)
    assert found.dtype == torch.float32
    assert found.item() == pytest.approx(share, abs=1e-5)


def test_stablemax_has_a_finite_gradient_everywhere() -> None:
    logits = torch.tensor([[[1.0, 0.0, -1.0, 1e30, -1e30]]], requires_grad=True)
    stablemax_cross_entropy(logits, torch.tensor([[0]])).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_stablemax_gradient_is_the_slope() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([[0, 1, IGNORE_LABEL], [4, 2, 2]])
    assert torch.autograd.gradcheck(lambda x: stablemax_cross_entropy(x, labels), logits)


@pytest.mark.parametrize("loss", [stablemax_cross_entropy, softmax_cross_entropy])
def test_ignored_cells_have_loss_zero(loss) -> None:
    logits = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(0))
    values = loss(logits, torch.tensor([[1, IGNORE_LABEL, 2]], dtype=torch.int32))
    assert values[0, 1] == 0
    assert (values[0, [0, 2]] > 0).all()


def test_softmax_by_hand() -> None:
    logits = torch.tensor([[[0.0, 1.0]]])
    loss = softmax_cross_entropy(logits, torch.tensor([[1]]))
    assert loss.item() == pytest.approx(0.3132617)


def test_float64_is_used_where_the_device_supports_it() -> None:
    assert widest_dtype(torch.device("cpu")) == torch.float64
    assert widest_dtype(torch.device("mps")) == torch.float32


def test_step_loss_averages_cells_and_sums_rows() -> None:
    logits = torch.zeros(2, 4, 3)
    logits[0, :, 1] = 5  # the first row answers 1 everywhere
    labels = torch.tensor([[1, 1, 1, IGNORE_LABEL], [1, 2, 2, 2]])
    loss = step_loss(logits, torch.tensor([2.0, -1.0]), labels)
    per_cell = stablemax_cross_entropy(logits, labels)
    expected = per_cell[0].sum() / 3 + per_cell[1].sum() / 4
    halting = torch.nn.functional.softplus(torch.tensor([-2.0, -1.0])).sum()
    torch.testing.assert_close(loss.answer, expected)
    torch.testing.assert_close(loss.halting, halting)
    torch.testing.assert_close(loss.total, expected + 0.5 * halting)
    assert loss.exact.tolist() == [True, False]
    assert loss.cell_accuracy.tolist() == [1.0, 0.0]


def test_a_row_with_nothing_scored_does_not_count() -> None:
    labels = torch.full((1, 3), IGNORE_LABEL)
    loss = step_loss(torch.zeros(1, 3, 4), torch.zeros(1), labels)
    assert loss.answer == 0
    assert loss.scored.tolist() == [False]


def test_smoothing_spreads_a_share_of_the_target_over_all_tokens() -> None:
    logits = torch.tensor([[[0.0, 1.0, -1.0]]])  # s: 1, 2, 0.5
    log_probability = torch.log(torch.tensor([1.0, 2.0, 0.5]) / 3.5)
    target = 0.7 * torch.tensor([0.0, 1.0, 0.0]) + 0.3 / 3
    loss = stablemax_cross_entropy(logits, torch.tensor([[1]]), 0.3)
    assert loss.item() == pytest.approx(-(target * log_probability).sum().item())
    soft = softmax_cross_entropy(logits, torch.tensor([[1]]), 0.3)
    expected = -(target * logits.log_softmax(-1)).sum().item()
    assert soft.item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [stablemax_cross_entropy, softmax_cross_entropy])
def test_ignored_cells_have_loss_zero_with_smoothing(loss) -> None:
    logits = torch.randn(1, 2, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    values = loss(logits, torch.tensor([[IGNORE_LABEL, 2]], dtype=torch.int32), 0.2)
    values.sum().backward()
    assert values[0, 0] == 0
    assert logits.grad is not None
    assert not logits.grad[0, 0].any()
    assert logits.grad[0, 1].all()


def test_halting_weight() -> None:
    logits, labels = torch.zeros(1, 2, 3), torch.tensor([[1, 2]])
    for weight in (0.0, 0.05, 0.5):
        loss = step_loss(logits, torch.tensor([2.0]), labels, halting_weight=weight)
        assert loss.total == pytest.approx((loss.answer + weight * loss.halting).item())
    published = step_loss(logits, torch.tensor([2.0]), labels)
    assert published.total == loss.total


def test_weights_of_the_rows() -> None:
    rng = torch.Generator().manual_seed(0)
    logits, halt_logits = torch.randn(3, 4, 5, generator=rng), torch.randn(3, generator=rng)
    labels = torch.randint(0, 5, (3, 4), generator=rng)
    each = [
        step_loss(logits[i : i + 1], halt_logits[i : i + 1], labels[i : i + 1]) for i in range(3)
    ]
    weights = torch.tensor([1.0, 0.7, 0.49])
    loss = step_loss(logits, halt_logits, labels, weights=weights)
    expected = sum(w * one.total for w, one in zip(weights, each, strict=True))
    torch.testing.assert_close(loss.total, expected)
    plain = step_loss(logits, halt_logits, labels)
    assert torch.equal(loss.answer, plain.answer)  # the logged losses have no weights
    assert torch.equal(loss.halting, plain.halting)
    equal = step_loss(logits, halt_logits, labels, weights=torch.ones(3))
    torch.testing.assert_close(equal.total, plain.total)
    torch.testing.assert_close(answer_losses(logits, labels).sum(), plain.answer)
