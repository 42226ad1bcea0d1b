"""The puzzle embedding, a learned vector for each puzzle identifier, and its optimizer."""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class PuzzleEmbedding(nn.Module):
    """A table of learned vectors, one for each puzzle identifier, that start at zero.

    The table is a buffer, not a parameter: with a million identifiers (ARC) a dense gradient would
    be as large as the table. :meth:`update_` trains only the rows that a batch uses.
    """

    weight: Tensor

    def __init__(self, num_identifiers: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_identifiers, width))

    def forward(self, identifiers: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """The vectors of these identifiers, as a leaf with a gradient of its own."""
        return self.weight[identifiers].requires_grad_(torch.is_grad_enabled())

    def update_(
        self,
        identifiers: Int[Tensor, " batch"],
        gradient: Float[Tensor, "batch width"],
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        """Train the rows of these identifiers with :func:`sign_sgd_`."""
        rows = self.row_indices(identifiers)
        sign_sgd_(self.weight, rows, gradient, lr=lr, weight_decay=weight_decay)

    def row_indices(self, identifiers: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """The rows of ``weight`` for these identifiers; subclasses may store them elsewhere."""
        return identifiers


@torch.no_grad()
def sign_sgd_(
    table: Float[Tensor, "num width"],
    rows: Int[Tensor, " batch"],
    gradient: Float[Tensor, "batch width"],
    *,
    lr: float,
    weight_decay: float,
) -> None:
    """Update the used rows of a table by the sign of their summed gradient, in place.

    Sign-SGD with decoupled weight decay. Adam does nearly the same to rows whose gradient is mostly
    zero (published ``models/sparse_embedding.py``).
    """
    # Sorting instead of unique(): shapes do not depend on the values, so the host does not wait.
    # A row that is used twice is written twice, with the same numbers.
    used, order = rows.sort(stable=True)
    index = torch.cat((used.new_zeros(1), used.diff().ne(0).cumsum(0)))
    total = torch.zeros_like(gradient)
    if total.is_cuda:  # index_add_ adds in a random order there, so processes would drift apart
        total.index_put_((index,), gradient[order], accumulate=True)
    else:
        total.index_add_(0, index, gradient[order])
    total = total[index]
    table[used] = (table[used] * (1 - lr * weight_decay)).sub_(total.sign(), alpha=lr)


def mean_puzzle_embedding(
    weights: Float[Tensor, "num width"], rows: int
) -> Float[Tensor, "rows width"]:
    """A puzzle embedding for new puzzles: each row is the mean of all trained rows, as published.

    Args:
        weights: the trained table.
        rows: number of puzzle identifiers of the new table.
    """
    return weights.mean(dim=0, keepdim=True).expand(rows, -1)
