"""A TRM that has a vector for each candidate: each value that each cell of a puzzle may have.

All candidates share the weights, so the model treats the digits of a Sudoku alike and learns from
one puzzle what it would learn from all its renamed copies. Candidates that exclude one another
exchange messages: those of the same value in a row, in a column or in a box, and those of a cell.
These are the constraints of the exact cover problem that a Sudoku is. Recurrent relational networks
(Palm et al. 2018, arXiv 1711.08028) send messages between the cells of a unit in the same way.
"""

from typing import ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from pydantic import Field, model_validator
from torch import Tensor, nn

from trm.config.model import ModelConfig, PuzzleSpec
from trm.errors import ConfigError
from trm.models.base import Depth, linear
from trm.models.layers import Hidden, SwiGLU, rms_norm, silu_glu
from trm.models.recursion import BlockModel, TwoStateCore
from trm.models.trm import LatentState

#: The logit of a token that is no value of a cell.
NEVER = -1e4
#: The input of a candidate: its cell is open, has this value, or has another one.
OPEN, GIVEN, EXCLUDED = range(3)


class CandidatesConfig(ModelConfig):
    """The settings of a TRM on candidates."""

    title: ClassVar[str] = "TRM on candidates"

    kind: str = "candidates"
    hidden_size: int = Field(64, gt=0, le=65_536, description="Size of a candidate's vector.")
    puzzle_emb_dim: int | None = Field(0, description="0: there is no puzzle embedding.")
    l_layers: int = Field(2, gt=0, le=100, description="Layers of the network.")
    h_cycles: int = Field(1, gt=0, le=256, description="Answer updates in a supervision step.")
    l_cycles: int = Field(2, gt=0, le=256, description="Latent updates before each answer update.")
    expansion: float = Field(
        2.0, gt=0, le=100, description="Inner width of a SwiGLU: expansion times hidden_size."
    )
    rms_norm_eps: float = Field(
        1e-5, gt=0, le=1, description="Added to the mean square in RMSNorm."
    )

    @model_validator(mode="after")
    def _has_no_puzzle_embedding(self) -> "CandidatesConfig":
        if self.puzzle_emb_dim != 0:
            raise ValueError(f"puzzle_emb_dim {self.puzzle_emb_dim}: candidates have none, use 0")
        return self

    @property
    def cycles(self) -> tuple[int, int]:
        """See :attr:`ModelConfig.cycles`."""
        return self.h_cycles, self.l_cycles

    @property
    def needs_board(self) -> bool:
        """See :attr:`ModelConfig.needs_board`."""
        return True

    @property
    def layers_text(self) -> str:
        """See :attr:`ModelConfig.layers_text`."""
        return f"{self.l_layers} layers"

    def describe(self) -> dict[str, str]:
        """See :meth:`ModelConfig.describe`."""
        return {**super().describe(), "cycles": f"h {self.h_cycles}, l {self.l_cycles}"}


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
        self.token = nn.Embedding(3, width)
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
        one_hot = [F.one_hot(torch.tensor(axis), 1 + max(axis)) for axis in spec.cell_axes]
        members = torch.cat(one_hot, dim=1).float()
        averages = (members / members.sum(0)).t().contiguous()
        self.register_buffer("averages", averages, persistent=False)
        self.register_buffer("members", members, persistent=False)

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


class CandidateLayer(nn.Module):
    """Exchange messages, add, normalise; mix features, add, normalise (post-norm)."""

    def __init__(self, config: CandidatesConfig, spec: PuzzleSpec) -> None:
        super().__init__()
        width = config.hidden_size
        self.eps = config.rms_norm_eps
        self.messages = Messages(width, spec)
        self.mlp = SwiGLU(width, max(1, round(config.expansion * width)), silu_glu)

    def forward(self, x: Hidden) -> Hidden:
        x = rms_norm(x + self.messages(x), self.eps)
        return rms_norm(x + self.mlp(x), self.eps)


class CandidateCore(TwoStateCore):
    """The cycles of a TRM, with layers for candidates."""

    def build_layer(self, config: CandidatesConfig, spec: PuzzleSpec) -> nn.Module:
        """See :meth:`BlockCore.build_layer`."""
        return CandidateLayer(config, spec)


class CandidateModel(BlockModel):
    """A TRM on candidates; see :class:`~trm.models.base.RecursiveModel`.

    The tokens of its state are the candidates, those of a cell next to each other.

    Raises:
        ConfigError: if the task does not say which tokens are interchangeable values.
    """

    name = "candidates"
    summary = "A TRM with a vector for each value that a cell may have, for Sudoku."
    config_class: ClassVar[type[ModelConfig]] = CandidatesConfig
    state_class = LatentState

    config: CandidatesConfig
    core: TwoStateCore

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

    def build_core(self) -> TwoStateCore:
        """See :meth:`RecursiveModel.build_core`."""
        config = self.config
        depth = Depth(config.h_cycles, config.l_cycles)
        return CandidateCore(config, self.spec, config.l_layers, depth=depth)

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

    def summarize(self, answer: Hidden) -> Float[Tensor, "batch hidden"]:
        """See :meth:`RecursiveModel.summarize`: the mean of all candidates."""
        return answer.mean(1)
