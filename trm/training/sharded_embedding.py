"""A puzzle embedding whose rows are divided over the processes.

ARC's million identifiers make a table of 1.8 GB. Instead of a copy on every GPU, each process keeps
a shard, and the processes exchange the rows of each batch.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trm.models import PuzzleEmbedding
from trm.runtime.process_group import ProcessGroup


class ShardedPuzzleEmbedding(PuzzleEmbedding):
    """The rows ``group.shard(num_identifiers)`` of a table, and one unused row.

    All processes have to call it, and update it, together and with the same number of examples.
    """

    def __init__(self, num_identifiers: int, width: int, group: ProcessGroup) -> None:
        self._shard = group.shard(num_identifiers)
        super().__init__(self._shard.stop - self._shard.start + 1, width)
        self._group = group

    @property
    def shard(self) -> Float[Tensor, "num width"]:
        """This process's rows of the table."""
        return self.weight[:-1]

    def forward(self, identifiers: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """See :meth:`trm.models.PuzzleEmbedding.forward`."""
        indices = self.row_indices(self._group.all_gather(identifiers))
        owned = (indices < len(self.shard)).unsqueeze(-1)
        # One process holds the row, the others add zeros.
        rows = torch.where(owned, self.weight[indices], 0)
        self._group.all_reduce_(rows)
        own = rows[self._group.shard(len(rows))].clone()
        return own.requires_grad_(torch.is_grad_enabled())

    def row_indices(self, identifiers: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """The indices of the rows in the shard. Rows of other processes get the unused last row.

        Shapes do not depend on which process holds the rows, so the host need not wait.
        """
        indices, size = identifiers - self._shard.start, len(self.shard)
        return torch.where((indices < 0) | (indices >= size), size, indices)
