"""What the models that come with the package are, and what was measured."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from trm.checkpoints.tensors import PUZZLE_EMBEDDING, load_shapes
from trm.runs.checkpoint import read_config, read_evaluation
from trm.runs.layout import WEIGHTS_FILE
from trm.runs.shipped import shipped_models


@dataclass(frozen=True)
class ShippedModel:
    """A model that comes with the package: ``trm.load(name)``.

    Attributes:
        cells: the length of its puzzles.
        num_parameters: trained numbers, without the puzzle embedding.
        num_bytes: of its weights.
        metric, value, examples: its task's headline metric on the test split of its data, in a
            single pass; the interval is of 95%.
    """

    name: str
    task: str
    cells: int
    num_parameters: int
    num_bytes: int
    metric: str
    value: float
    examples: int
    interval: tuple[float, float] | None

    def __repr__(self) -> str:
        return f"<ShippedModel {self.name}: {self.metric} {self.value:.4f} of {self.examples:,}>"

    def as_json(self) -> dict[str, Any]:
        """The fields for ``trm models --json``."""
        return asdict(self)


def list_models() -> list[ShippedModel]:
    """The trained models that come with the package: ``trm models``.

    Raises:
        CheckpointError: if one is damaged.
    """
    models = []
    for name, folder in shipped_models().items():
        config, evaluation = read_config(folder), read_evaluation(folder)
        shapes = load_shapes(folder / WEIGHTS_FILE)
        not_trained = (PUZZLE_EMBEDDING, "answer_init", "latent_init", "other_latent_inits")
        trained = [shape for key, shape in shapes.items() if key not in not_trained]
        headline = evaluation.headline if evaluation else ""
        value = evaluation.metrics.get(headline) if evaluation else None
        models.append(
            ShippedModel(
                name=name,
                task=config.run.task,
                cells=config.data.seq_len,
                num_parameters=sum(map(math.prod, trained)),
                num_bytes=(folder / WEIGHTS_FILE).stat().st_size,
                metric=headline,
                value=math.nan if value is None else value,
                examples=evaluation.examples if evaluation else 0,
                interval=evaluation.intervals.get(headline) if evaluation else None,
            )
        )
    return models
