"""Count the floating point operations of the published models from their sizes.

    python benchmarks/flops.py
    python benchmarks/flops.py --config runs/sudoku/NAME/checkpoints/best/config.json

Only matrix products count, and a multiply-add is two operations, see :mod:`trm.models.flops`. A
puzzle takes at least one supervision step in evaluation; the published evaluation takes 16.
"""

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from trm.config import RunConfig, TRMConfig
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.models.flops import eval_step_flops, layer_flops, train_step_flops
from trm.runs.checkpoint import CheckpointConfig
from trm.tasks.registry import get_task


@dataclass(frozen=True)
class Model:
    """A model and its puzzles.

    Attributes:
        run: the training settings.
        spec: the sizes of the puzzles.
        batch: examples per step that fit on one GPU.
    """

    name: str
    run: RunConfig
    spec: PuzzleSpec
    batch: int

    @property
    def config(self) -> TRMConfig:
        """The architecture."""
        return self.run.model

    @property
    def num_parameters(self) -> int:
        """Trainable parameters, without the puzzle embedding."""
        with torch.device("meta"):
            return TinyRecursiveModel(self.config, self.spec, init_weights=False).num_parameters


def published_model(name: str, task: str, spec: PuzzleSpec, batch: int) -> Model:
    """A model of the paper: the task's defaults, with the MLP mixer if the name ends in -mlp."""
    run = RunConfig.model_validate({**get_task(task).defaults, "task": task})
    if name.endswith("-mlp"):
        mixer = run.model.model_copy(update={"mlp_t": True, "pos_encodings": "none"})
        run = run.model_copy(update={"model": mixer})
    return Model(name, run, spec, batch)


SUDOKU, MAZE = PuzzleSpec(vocab_size=11, seq_len=81), PuzzleSpec(vocab_size=6, seq_len=900)
ARC = PuzzleSpec(vocab_size=12, seq_len=900, num_puzzle_identifiers=876_408)
MODELS = [
    published_model("sudoku-mlp", "sudoku", SUDOKU, 768),
    published_model("sudoku-att", "sudoku", SUDOKU, 768),
    published_model("maze-att", "maze", MAZE, 96),
    published_model("arc-att", "arc1", ARC, 96),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.json of a checkpoint")
    arguments = parser.parse_args()
    print(table([model_from_checkpoint(arguments.config)] if arguments.config else MODELS))


def model_from_checkpoint(file: Path) -> Model:
    """The model in a checkpoint's ``config.json``, with the batch size of its training."""
    stored = CheckpointConfig.model_validate_json(file.read_bytes())
    return Model(stored.run.task, stored.run, stored.spec, stored.run.train.batch_size)


def table(models: Iterable[Model]) -> str:
    lines = [
        "| model | parameters | tokens | an application | training, an example | evaluation, "
        "one step | all steps | batch | training, a batch |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for model in models:
        config, spec = model.config, model.spec
        training, step = train_step_flops(config, spec), eval_step_flops(config, spec)
        lines.append(
            f"| {model.name} | {model.num_parameters / 1e6:.2f} M "
            f"| {config.prefix_len + spec.seq_len} "
            f"| {format_gflop(config.l_layers * layer_flops(config, spec))} "
            f"| {format_gflop(training)} | {format_gflop(step)} "
            f"| {format_gflop(step * config.halt_max_steps)} "
            f"| {model.batch} | {training * model.batch / 1e12:.3g} TFLOP |"
        )
    return "\n".join(lines)


def format_gflop(flops: int) -> str:
    """GFLOP with at least three digits."""
    digits = max(0, 2 - math.floor(math.log10(flops / 1e9)))
    return f"{flops / 1e9:,.{digits}f} GFLOP"


if __name__ == "__main__":
    main()
