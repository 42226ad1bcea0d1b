"""A TRM whose layers mix neighbouring cells by a convolution, for mazes and other pictures.

The weights do not depend on the size of the board. Each application of a layer lets a cell see the
cells next to it; the recursion carries that across the board.
"""

from typing import ClassVar

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from trm.config.model import ModelConfig
from trm.errors import ConfigError
from trm.models.cell_mixing import CellMixingConfig, CellMixingModel
from trm.models.layers import Hidden


class ConvConfig(CellMixingConfig):
    """The settings of a TRM with a convolution."""

    title: ClassVar[str] = "TRM with a convolution"

    kind: str = "conv"
    kernel_size: int = Field(
        3, gt=0, le=99, description="Rows and columns of the convolution; an odd number."
    )


class NeighbourMixer(nn.Module):
    """A convolution over the board, of silu(x).

    Args:
        width: of a cell.
        rows, columns: of the board.
        kernel_size: rows and columns of the convolution.
    """

    def __init__(self, width: int, rows: int, columns: int, kernel_size: int) -> None:
        super().__init__()
        self.rows, self.columns = rows, columns
        self.conv = nn.Conv2d(width, width, kernel_size, padding="same", bias=False)

    def forward(self, x: Hidden) -> Hidden:
        board = F.silu(x).view(x.shape[0], self.rows, self.columns, x.shape[2])
        mixed: Tensor = self.conv(board.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return mixed.flatten(1, 2)


class ConvModel(CellMixingModel):
    """A TRM with a convolution; see :class:`~trm.models.base.RecursiveModel`.

    Raises:
        ConfigError: if the cells of the task are not in rows and columns, or the kernel is even.
    """

    name = "conv"
    summary = "A TRM that mixes neighbouring cells by a convolution, for mazes."
    config_class: ClassVar[type[ModelConfig]] = ConvConfig

    config: ConvConfig

    def build_mixer(self) -> nn.Module:
        """See :meth:`CellMixingModel.build_mixer`."""
        if len(self.spec.cell_axes) < 2:
            raise ConfigError(
                "model.kind = conv: puzzles of this task have no rows and columns. Use --model trm."
            )
        if self.config.kernel_size % 2 == 0:
            raise ConfigError(
                f"model.kernel_size is {self.config.kernel_size}. Give an odd number."
            )
        rows, columns = (1 + max(axis) for axis in self.spec.cell_axes[:2])
        return NeighbourMixer(self.config.hidden_size, rows, columns, self.config.kernel_size)
