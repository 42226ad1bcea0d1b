"""Arithmetic of the published models: floating point operations, from their sizes alone.

    python benchmarks/flops.py
    python benchmarks/flops.py --config runs/sudoku/NAME/checkpoints/best/config.json

Of the matrix products only, a multiply-add is two, see :mod:`trm.models.flops`. An evaluation of
one step is what a puzzle takes at least, one of 16 what it takes as published.
"""

import argparse
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch

from trm.config import ModelConfig, RunConfig
from trm.models import PuzzleSpec, TinyRecursiveModel
from trm.models.flops import application_flops, eval_step_flops, train_step_flops
from trm.runs.checkpoint import CheckpointConfig
from trm.tasks.registry import get_task


@dataclass(frozen=True)
class Model:
    """A model and its puzzles.

    Attributes:
        run: the settings of its training.
        spec: of its puzzles.
        batch: examples of a step that one GPU has room for.
    """

    name: str
    run: RunConfig
    spec: PuzzleSpec
    batch: int

    @property
    def config(self) -> ModelConfig:
        """The architecture."""
        return self.run.model

    @property
    def num_parameters(self) -> int:
        """Trained numbers of the network, the puzzle embedding apart."""
        with torch.device("meta"):
            return TinyRecursiveModel(self.config, self.spec, init_weights=False).num_parameters


def published(name: str, task: str, spec: PuzzleSpec, batch: int) -> Model:
    """A model of the paper: its task's own settings, with an MLP mixer where it is named so."""
    run = RunConfig.model_validate({**get_task(task).defaults, "task": task})
    if name.endswith("-mlp"):
        mixer = run.model.model_copy(update={"mlp_t": True, "pos_encodings": "none"})
        run = run.model_copy(update={"model": mixer})
    return Model(name, run, spec, batch)


SUDOKU, MAZE = PuzzleSpec(vocab_size=11, seq_len=81), PuzzleSpec(vocab_size=6, seq_len=900)
ARC = PuzzleSpec(vocab_size=12, seq_len=900, num_puzzle_identifiers=876_408)
MODELS = [
    published("sudoku-mlp", "sudoku", SUDOKU, 768),
    published("sudoku-att", "sudoku", SUDOKU, 768),
    published("maze-att", "maze", MAZE, 96),
    published("arc-att", "arc1", ARC, 96),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--config", type=Path, metavar="FILE", help="config.json of a checkpoint")
    arguments = parser.parse_args()
    print(table([from_checkpoint(arguments.config)] if arguments.config else MODELS))


def from_checkpoint(file: Path) -> Model:
    """The model of a checkpoint, by its ``config.json``; the batch is that of its training."""
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
            f"| {config.prefix_len + spec.seq_len} | {giga(application_flops(config, spec))} "
            f"| {giga(training)} | {giga(step)} | {giga(step * config.halt_max_steps)} "
            f"| {model.batch} | {training * model.batch / 1e12:.3g} TFLOP |"
        )
    return "\n".join(lines)


def giga(flops: int) -> str:
    """Three digits at least."""
    digits = max(0, 2 - math.floor(math.log10(flops / 1e9)))
    return f"{flops / 1e9:,.{digits}f} GFLOP"


if __name__ == "__main__":
    main()
