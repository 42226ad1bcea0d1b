"""The task ``maze``: Maze-Hard, and generated mazes of other sizes."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from trm.data import Augmentation, DatasetMeta, Split
from trm.tasks.base import Board, Preset, Puzzle, Task, Tokens, single_puzzle
from trm.tasks.maze.build import MazeOptions, build
from trm.tasks.maze.csv_source import HUB_REPOSITORY
from trm.tasks.maze.evaluator import MazeEvaluator
from trm.tasks.maze.geometry import PATH, VOCABULARY, WALL, size_of
from trm.tasks.maze.notation import format_maze, maze_board, parse_mazes, render_maze
from trm.tasks.maze.solver import is_valid_path
from trm.tasks.maze.symmetry import MazeAugmentation


class Maze(Task):
    """Mark a shortest path from S to G."""

    name = "maze"
    summary = "Maze-Hard: a shortest path of 110 cells or more through a 30x30 maze."
    data_options = MazeOptions
    hub_dataset = HUB_REPOSITORY
    published_seq_len = 900
    # The published run: README of the TRM repository, section Maze-Hard.
    defaults = {
        "model": {"h_cycles": 3, "l_cycles": 4},
        "optim": {
            "lr": 1e-4,
            "weight_decay": 1.0,
            "puzzle_emb_lr": 1e-4,
            "puzzle_emb_weight_decay": 1.0,
        },
        "train": {"epochs": 50_000},
    }
    presets = {
        "8gpu": Preset(
            summary="The published recipe with batches of 4608, made for eight GPUs.",
            settings={"train": {"batch_size": 4608}},
        ),
        # 6x6 mazes of 17 cells or more have few ways to choose from, so the rule is soon learnt.
        "mini": Preset(
            summary="Generated 6x6 mazes and a small MLP mixer: minutes on a CPU.",
            data={
                "source": "generate",
                "size": 6,
                "min_path": 17,
                "num_train": 10_000,
                "num_test": 600,
            },
            settings={
                "model": {
                    "mlp_t": True,
                    "pos_encodings": "none",
                    "hidden_size": 96,
                    "num_heads": 4,
                    "h_cycles": 2,
                    "l_cycles": 2,
                    "swiglu_multiple": 16,
                    "puzzle_emb_len": 1,
                    "halt_max_steps": 4,
                    "forward_dtype": "auto",
                },
                "optim": {
                    "lr": 3e-3,
                    "lr_warmup_steps": 20,
                    "lr_min_ratio": 0.1,
                    "weight_decay": 0.1,
                    "puzzle_emb_lr": 1e-3,
                    "ema_rate": 0.97,
                },
                "train": {"batch_size": 64, "max_steps": 900, "eval_every_steps": 300},
            },
        ),
    }

    def build_data(self, out: Path, options: MazeOptions, rng: np.random.Generator) -> DatasetMeta:
        """See :meth:`trm.tasks.base.Task.build_data`."""
        return build(out, options, rng)

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation:
        """See :meth:`trm.tasks.base.Task.augmentation`."""
        return MazeAugmentation(size_of(meta.seq_len))

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        """See :meth:`trm.tasks.base.Task.published_data_meta`."""
        size = math.isqrt(seq_len)
        if size < 2 or (vocab_size, seq_len) != (len(VOCABULARY), size * size):
            return None
        return DatasetMeta(
            task=self.name,
            source="published layout",
            seed=0,
            vocabulary=VOCABULARY,
            seq_len=seq_len,
            properties={"size": size},
        )

    def evaluator(self, meta: DatasetMeta, split: Split) -> MazeEvaluator:
        """See :meth:`trm.tasks.base.Task.evaluator`."""
        return MazeEvaluator()

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """See :meth:`trm.tasks.base.Task.parse`."""
        size = int(properties["size"])
        return [Puzzle(maze) for maze in parse_mazes(text, size, check=check)]

    def parse_answer(self, text: str, properties: Mapping[str, Any]) -> Tokens:
        """See :meth:`trm.tasks.base.Task.parse_answer`; a maze with its path."""
        return single_puzzle(self.parse(text, properties, check=False)).tokens

    def format(self, tokens: Tokens) -> str:
        """See :meth:`trm.tasks.base.Task.format`."""
        return format_maze(tokens)

    def render(self, tokens: Tokens, *, given: Tokens | None = None) -> RenderableType:
        """See :meth:`trm.tasks.base.Task.render`."""
        return render_maze(tokens, given)

    def board(self, tokens: Tokens, *, given: Tokens | None = None) -> Board:
        """See :meth:`trm.tasks.base.Task.board`."""
        return maze_board(tokens, given)

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool:
        """Whether ``answer`` marks a path through ``puzzle``, shortest or not."""
        return bool(is_valid_path(puzzle[None], answer[None])[0])

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """See :meth:`trm.tasks.base.Task.describe`."""
        walls = (np.asarray(split.inputs) == WALL).mean()
        lengths = (np.asarray(split.labels) == PATH).sum(axis=1) + 2
        return {
            **_sources(split),
            "mean walls": f"{walls:.1%}",
            "median path": f"{np.median(lengths):.0f} ({lengths.min()}-{lengths.max()})",
        }


def _sources(split: Split) -> dict[str, str]:
    if "source" not in split.info:  # the published layout names none
        return {}
    names, counts = np.unique(split.info["source"], return_counts=True)
    return {"sources": ", ".join(f"{n.decode()} {c}" for n, c in zip(names, counts, strict=True))}
