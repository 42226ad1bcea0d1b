"""The puzzle embedding and its optimizer."""

import torch

from trm.models import PuzzleEmbedding, sign_sgd_


def test_rows_are_leaves_with_their_own_gradient() -> None:
    table = PuzzleEmbedding(3, 2)
    rows = table(torch.tensor([2, 0], dtype=torch.int32))
    rows.sum().backward()
    assert rows.grad is not None
    assert rows.grad.tolist() == [[1, 1], [1, 1]]
    assert not table.weight.requires_grad


def test_rows_need_no_gradient_in_evaluation() -> None:
    with torch.no_grad():
        rows = PuzzleEmbedding(3, 2)(torch.tensor([0], dtype=torch.int32))
    assert not rows.requires_grad


def test_sign_sgd_updates_used_rows_by_the_sign_of_their_summed_gradient() -> None:
    table = torch.full((4, 2), 10.0)
    identifiers = torch.tensor([1, 3, 1], dtype=torch.int32)
    gradient = torch.tensor([[1.0, -5.0], [0.0, 2.0], [-3.0, 1.0]])
    sign_sgd_(table, identifiers, gradient, lr=0.5, weight_decay=0.2)
    assert table[[0, 2]].tolist() == [[10, 10], [10, 10]]
    assert table[1].tolist() == [9.5, 9.5]  # sums -2 and -4
    assert table[3].tolist() == [9.0, 8.5]  # signs 0 and +1
