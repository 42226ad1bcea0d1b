"""A puzzle embedding of which each process keeps a share of the rows.

ARC's million identifiers make a table of 1.8 GB, which every GPU would have a copy of. Here only
the rows in use travel, at most one for each example of the batch.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trm.models import PuzzleEmbedding
from trm.runtime.process_group import ProcessGroup


class ShardedPuzzleEmbedding(PuzzleEmbedding):
    """The rows ``group.shard(num_identifiers)`` of a table, and one more that nothing reads.

    All processes have to ask for rows, and move them, together and for equally many examples.
    """

    def __init__(self, num_identifiers: int, width: int, group: ProcessGroup) -> None:
        self._share = group.shard(num_identifiers)
        super().__init__(self._share.stop - self._share.start + 1, width)
        self._group = group

    @property
    def shard(self) -> Float[Tensor, "num width"]:
        """This process's share of the table."""
        return self.weight[:-1]

    def forward(self, identifiers: Int[Tensor, " batch"]) -> Float[Tensor, "batch width"]:
        """See :meth:`trm.models.PuzzleEmbedding.forward`."""
        places = self.row_indices(self._group.all_gather(identifiers))
        owned = (places < len(self.shard)).unsqueeze(-1)
        # Every row is in one process; zeros from the others leave it as it is.
        rows = torch.where(owned, self.weight[places], 0)
        self._group.all_reduce_(rows)
        own = rows[self._group.shard(len(rows))].clone()
        return own.requires_grad_(torch.is_grad_enabled())

    def row_indices(self, identifiers: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        """Where the rows are in the shard; the last place for those of other processes.

        Without a look at how many are whose, for which the host would have to wait.
        """
        places = identifiers - self._share.start
        elsewhere = (places < 0) | (places >= self._share.stop - self._share.start)
        return torch.where(elsewhere, self._share.stop - self._share.start, places)
