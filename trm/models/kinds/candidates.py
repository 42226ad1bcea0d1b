"""A TRM that has a vector for each candidate: each value that each cell of a puzzle may have.

All candidates share the weights, so the model treats the digits of a Sudoku alike and learns from
one puzzle what it would learn from all its renamed copies. Candidates that exclude one another
exchange messages: those of the same value in a row, in a column or in a box, and those of a cell.
These are the constraints of the exact cover problem that a Sudoku is. Recurrent relational networks
(Palm et al. 2018, arXiv 1711.08028) send messages between the cells of a unit in the same way.
"""

from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.base import linear
from trm.models.cell_mixing import CellMixingConfig, CellMixingModel
from trm.models.input_embedding import embedding_table
from trm.models.layers import Hidden, silu_glu

#: The logit of a token that is no value of a cell.
NEVER = -1e4
#: The input of a candidate: its cell is open, has this value, or has another one.
OPEN, GIVEN, EXCLUDED = range(3)


class CandidatesConfig(CellMixingConfig):
    """The settings of a TRM on candidates."""

    title: ClassVar[str] = "TRM on candidates"

    kind: str = "candidates"


class CandidateEmbedding(nn.Module):
    """Embeds each candidate by what the puzzle says of it: open, given or excluded.

    Args:
        width: of a candidate.
        values: tokens that are values of a cell.
    """

    values: Tensor

    def __init__(self, width: int, values: tuple[int, ...]) -> None:
        super().__init__()
        self.scale = width**0.5
        self.token = embedding_table(3, width)
        self.register_buffer("values", torch.tensor(values, dtype=torch.int32), persistent=False)

    def forward(
        self, inputs: Int[Tensor, "batch seq"], puzzle_vectors: None, dtype: torch.dtype
    ) -> Hidden:
        is_value = inputs[..., None] == self.values
        excluded = is_value.any(-1, keepdim=True).int() * EXCLUDED
        code = torch.where(is_value, GIVEN, excluded)
        embedded: Tensor = self.scale * F.embedding(code.flatten(1), self.token.weight.to(dtype))
        return embedded


class Messages(nn.Module):
    """Sends each candidate what it shares with the others of its row, column, box and cell.

    Candidates are read by a gated linear unit and averaged over each unit: one value in a row,
    say. A linear layer for each axis turns the averages into messages, whose sum a candidate gets.

    Args:
        width: of a candidate.
        spec: the puzzles.
    """

    averages: Tensor
    members: Tensor

    def __init__(self, width: int, spec: PuzzleSpec) -> None:
        super().__init__()
        self.num_values = len(spec.interchangeable)
        self.sizes = [1 + max(axis) for axis in spec.cell_axes]
        self.gate_up = nn.Linear(width, 2 * width, bias=False)
        self.of_axes = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in self.sizes)
        self.of_cell = nn.Linear(width, width, bias=False)
        # With numpy: on meta, where shapes alone are asked for, torch takes a second for it.
        one_hot = [
            np.eye(size)[list(axis)] for axis, size in zip(spec.cell_axes, self.sizes, strict=True)
        ]
        members = np.concatenate(one_hot, axis=1)
        averages = (members / members.sum(0)).T
        for name, matrix in (("averages", averages), ("members", members)):
            value = torch.from_numpy(np.ascontiguousarray(matrix, np.float32))
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Hidden) -> Hidden:
        B, _, D = x.shape
        read = silu_glu(self.gate_up.weight, x, -1)
        units = self.averages.to(x.dtype) @ read.view(B, -1, self.num_values * D)
        parts = torch.split(units.view(B, -1, self.num_values, D), self.sizes, dim=1)
        messages = [layer(part) for layer, part in zip(self.of_axes, parts, strict=True)]
        received = self.members.to(x.dtype) @ torch.cat(messages, dim=1).flatten(2)
        cells = self.of_cell(read.view(B, -1, self.num_values, D).mean(2, keepdim=True))
        out: Tensor = (received.view(B, -1, self.num_values, D) + cells).view(x.shape)
        return out


class CandidateModel(CellMixingModel):
    """A TRM on candidates; see :class:`~trm.models.base.RecursiveModel`.

    The tokens of its state are the candidates, those of a cell next to each other.

    Raises:
        ConfigError: if the task does not say which tokens are interchangeable values.
    """

    name = "candidates"
    summary = "A TRM with a vector for each value that a cell may have, for Sudoku."
    config_class: ClassVar[type[ModelConfig]] = CandidatesConfig

    def build_embedding(self) -> nn.Module:
        """See :meth:`RecursiveModel.build_embedding`."""
        if not self.spec.interchangeable or not self.spec.cell_axes:
            raise ConfigError(
                "model.kind = candidates: puzzles of this task have no interchangeable values, as "
                "the digits of a Sudoku are. Use --model trm."
            )
        return CandidateEmbedding(self.config.hidden_size, self.spec.interchangeable)

    def build_output_head(self) -> nn.Linear:
        """See :meth:`RecursiveModel.build_output_head`: one logit for each candidate."""
        return nn.Linear(self.config.hidden_size, 1, bias=False)

    def build_mixer(self) -> nn.Module:
        """See :meth:`CellMixingModel.build_mixer`."""
        return Messages(self.config.hidden_size, self.spec)

    @property
    def state_shape(self) -> tuple[int, int]:
        """See :attr:`RecursiveModel.state_shape`."""
        return self.spec.seq_len * len(self.spec.interchangeable), self.config.hidden_size

    def read_answer(self, answer: Hidden) -> Float[Tensor, "batch seq vocab"]:
        """See :meth:`RecursiveModel.read_answer`. A token that is no value is never the answer."""
        of_values = linear(self.output_head, answer).view(answer.shape[0], self.spec.seq_len, -1)
        logits = of_values.new_full((*of_values.shape[:2], self.spec.vocab_size), NEVER)
        logits[..., list(self.spec.interchangeable)] = of_values
        return logits
