"""What a token and a puzzle look like to the network."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trm.config import ModelConfig
from trm.models.layers import Hidden


class PuzzleEmbedding(nn.Module):
    """A table of learned rows, one a puzzle identifier, that start at zero.

    No parameter: a step trains only the rows in use, with :func:`sign_sgd_`. A million
    identifiers (ARC) would make a dense gradient as large as the table.
    """

    weight: Tensor

    def __init__(self, num_identifiers: int, width: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(num_identifiers, width))

    def forward(self, identifiers: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """The rows of these identifiers, as a leaf that gathers a gradient of its own."""
        return self.weight[identifiers].requires_grad_(torch.is_grad_enabled())

    def update_(
        self,
        identifiers: Int[Tensor, " batch"],
        gradient: Float[Tensor, "batch width"],
        *,
        lr: float,
        weight_decay: float,
    ) -> None:
        """Train the rows of these identifiers, see :func:`sign_sgd_`."""
        places = self.row_indices(identifiers)
        sign_sgd_(self.weight, places, gradient, lr=lr, weight_decay=weight_decay)

    def row_indices(self, identifiers: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Where the rows of these identifiers are in ``weight``."""
        return identifiers


@torch.no_grad()
def sign_sgd_(
    table: Float[Tensor, "num width"],
    identifiers: Int[Tensor, " batch"],
    gradient: Float[Tensor, "batch width"],
    *,
    lr: float,
    weight_decay: float,
) -> None:
    """Move the used rows of a table by the sign of their summed gradient, in place.

    Sign-SGD with decoupled weight decay: what Adam amounts to where a row's gradient is mostly
    zero (published ``models/sparse_embedding.py``).
    """
    # Sorted, so that shapes do not depend on how many differ, which the host would wait to know;
    # a row that is used twice is written twice, with the same numbers.
    used, order = identifiers.sort(stable=True)
    place = torch.cat((used.new_zeros(1), used.diff().ne(0).cumsum(0)))
    total = torch.zeros_like(gradient)
    if total.is_cuda:  # where index_add_ adds in any order, and processes would drift apart
        total.index_put_((place,), gradient[order], accumulate=True)
    else:
        total.index_add_(0, place, gradient[order])
    total = total[place]
    table[used] = (table[used] * (1 - lr * weight_decay)).sub_(total.sign(), alpha=lr)


class InputEmbedding(nn.Module):
    """Tokens, after a prefix made of the puzzle's row, with learned positions if any.

    Args:
        config: the model's.
        vocab_size: number of tokens, V.
        num_tokens: prefix and puzzle, P + L.
    """

    def __init__(self, config: ModelConfig, vocab_size: int, num_tokens: int) -> None:
        super().__init__()
        self.prefix_len = config.prefix_len
        self.scale = math.sqrt(config.hidden_size)
        self.token = nn.Embedding(vocab_size, config.hidden_size)
        self.position: nn.Embedding | None = None
        if config.pos_encodings == "learned":
            self.position = nn.Embedding(num_tokens, config.hidden_size)

    def forward(
        self,
        inputs: Int[Tensor, "batch seq"],
        puzzle_vectors: Float[Tensor, "batch width"] | None,
        dtype: torch.dtype,
    ) -> Hidden:
        embedded = F.embedding(inputs, self.token.weight.to(dtype))
        if puzzle_vectors is not None and self.prefix_len:
            width = self.prefix_len * embedded.shape[-1]
            rows = F.pad(puzzle_vectors.to(dtype), (0, width - puzzle_vectors.shape[-1]))
            prefix = rows.view(rows.shape[0], self.prefix_len, embedded.shape[-1])
            embedded = torch.cat((prefix, embedded), dim=1)
        if self.position is not None:
            # The sum of two embeddings, brought back to the variance of one.
            embedded = math.sqrt(0.5) * (embedded + self.position.weight.to(dtype))
        return self.scale * embedded


def mean_puzzle_embedding(
    weights: Float[Tensor, "num width"], rows: int
) -> Float[Tensor, "rows width"]:
    """A puzzle embedding of another size: the mean of all rows in each of ``rows``, as published.

    Args:
        weights: the trained table.
        rows: how many puzzle identifiers the new one is for.
    """
    return weights.mean(dim=0, keepdim=True).expand(rows, -1)
