"""The input embedding: tokens, the puzzle's vector, and learned positions."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.layers import Hidden


class InputEmbedding(nn.Module):
    """Embeds tokens, puts the puzzle's vector before them, and adds learned positions if set.

    With grid positions, a cell has the sum of an embedding for each of its axes, such as row and
    column. The prefix has none.

    Args:
        config: the architecture.
        spec: the puzzles.

    Raises:
        ConfigError: for grid positions of puzzles that have no axes.
    """

    cell_axes: Tensor | None

    def __init__(self, config: ModelConfig, spec: PuzzleSpec) -> None:
        super().__init__()
        self.prefix_len = config.prefix_len
        self.scale = math.sqrt(config.hidden_size)
        self.token = embedding_table(spec.vocab_size, config.hidden_size)
        self.position: nn.Embedding | None = None
        if config.added_positions == "learned":
            self.position = embedding_table(config.prefix_len + spec.seq_len, config.hidden_size)
        self.axes: nn.ModuleList | None = None
        axes = None
        if config.added_positions == "grid":
            if not spec.cell_axes:
                raise ConfigError(
                    "model.pos_encodings = grid: puzzles of this task have no axes. Use learned."
                )
            axes = torch.tensor(spec.cell_axes)
            sizes = [1 + max(axis) for axis in spec.cell_axes]
            self.axes = nn.ModuleList(embedding_table(size, config.hidden_size) for size in sizes)
        self.register_buffer("cell_axes", axes, persistent=False)

    def forward(
        self,
        inputs: Int[Tensor, "batch seq"],
        puzzle_vectors: Float[Tensor, "batch width"] | None,
        dtype: torch.dtype,
    ) -> Hidden:
        embedded = F.embedding(inputs, self.token.weight.to(dtype))
        if puzzle_vectors is not None and self.prefix_len:
            B, P, D = embedded.shape[0], self.prefix_len, embedded.shape[-1]
            padded = F.pad(puzzle_vectors.to(dtype), (0, P * D - puzzle_vectors.shape[-1]))
            embedded = torch.cat((padded.view(B, P, D), embedded), dim=1)
        if self.position is not None:
            # sqrt(1/2) gives the sum of two embeddings the variance of one.
            embedded = math.sqrt(0.5) * (embedded + self.position.weight.to(dtype))
        if self.axes is not None and self.cell_axes is not None:
            parts = [axis(at) for axis, at in zip(self.axes, self.cell_axes, strict=True)]
            position = F.pad(sum(parts).to(dtype), (0, 0, embedded.shape[1] - len(parts[0]), 0))
            embedded = (1 + len(parts)) ** -0.5 * (embedded + position)
        return self.scale * embedded


def embedding_table(rows: int, width: int) -> nn.Embedding:
    """An embedding whose weights the model draws; those that torch draws take a second on meta."""
    return nn.Embedding(rows, width, _weight=torch.empty(rows, width))
