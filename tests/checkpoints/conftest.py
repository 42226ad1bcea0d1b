"""Small checkpoints in the form that the published trainer gives them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import Tensor

from trm.checkpoints.published.tensor_names import PREFIX, to_published
from trm.config import TRMConfig
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.tasks.registry import get_task


@dataclass
class Example:
    """A checkpoint on disk, with the model and tensors that it was made from."""

    file: Path
    model: TRMConfig
    seq_len: int
    tensors: dict[str, Tensor]

    @property
    def folder(self) -> Path:
        return self.file.parent

    def save(self, tensors: object) -> None:
        """Write something else to the torch file."""
        torch.save(tensors, self.file)

    def write_yaml(self, text: str | None = None, **settings: Any) -> None:
        """Write an ``all_config.yaml`` in its folder."""
        text = yaml.safe_dump(settings) if text is None else text
        (self.folder / "all_config.yaml").write_text(text, encoding="utf-8")


@pytest.fixture
def example(tmp_path: Path) -> Callable[..., Example]:
    """Make a checkpoint of a task's puzzles, by default without an ``all_config.yaml``."""

    def make(
        task: str = "sudoku",
        vocab_size: int = 11,
        seq_len: int = 81,
        rows: int = 1,
        name: str = "step_7",
        prefix: str = PREFIX,
        **settings: Any,
    ) -> Example:
        defaults = get_task(task).defaults["model"]
        model = TRMConfig(**{**defaults, "hidden_size": 32, "forward_dtype": "float32", **settings})
        generator = torch.Generator().manual_seed(0)
        spec = PuzzleSpec(vocab_size, seq_len, rows)
        network = TinyRecursiveModel(model, spec, generator=generator)
        if network.puzzle_embedding is not None:
            network.puzzle_embedding.weight.normal_(generator=generator)
        dtype = getattr(torch, model.forward_dtype)
        published = to_published(network.state_dict(), dtype)
        tensors = {prefix + n.removeprefix(PREFIX): t for n, t in published.items()}
        file = tmp_path / "published" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(tensors, file)
        return Example(file, model, seq_len, tensors)

    return make
