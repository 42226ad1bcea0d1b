"""A kind of model for trm: a gated convolution along the cells, applied again and again."""

from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from trm.config import ModelConfig
from trm.models import RecursiveModel


class MyConfig(ModelConfig):
    """The settings of the model. Each is ``model.NAME``, and the description is its help."""

    kind: str = "mymodel"
    kernel: int = Field(9, gt=0, le=99, description="Cells that an update sees at once.")
    updates: int = Field(4, gt=0, le=256, description="Updates in a supervision step.")


class MyState(NamedTuple):
    """What a supervision step passes to the next: tensors (batch, tokens, hidden_size)."""

    answer: Tensor


class MyCore(nn.Module):
    """The trained part: one gated convolution."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, 2 * width, kernel, padding="same", bias=False)

    def forward(self, hidden: Tensor, embedded: Tensor) -> Tensor:
        """One update of the answer."""
        value, gate = self.mix((hidden + embedded).transpose(1, 2)).transpose(1, 2).chunk(2, -1)
        return nn.functional.rms_norm(hidden + value * gate.sigmoid(), hidden.shape[-1:])


class MyModel(RecursiveModel):
    """Embeddings, heads and initial states come from the base class."""

    name = "mymodel"
    summary = "A gated convolution along the cells, applied again and again."
    config_class = MyConfig
    state_class = MyState

    def build_core(self):
        """Build the part between the embeddings and the heads."""
        return MyCore(self.config.hidden_size, self.config.kernel)

    def recurse(self, state, embedded, depth=None, noise=None):
        """A supervision step: only the last update has a gradient."""
        answer = state.answer
        with torch.no_grad():
            for _ in range(self.config.updates - 1):
                answer = self.update(answer, embedded, noise)
        return MyState(self.update(answer, embedded, noise))

    def update(self, answer, embedded, noise):
        """Update the answer once."""
        answer = self.call_core(answer, embedded)
        return answer if noise is None else answer + noise.sample_like(answer)
