"""The task ``maze``: Maze-Hard, and generated mazes of other sizes."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from trm.data import Augmentation, DatasetMeta, Split
from trm.settings import MIXERS
from trm.tasks.base import (
    EIGHT_GPUS,
    Board,
    Difficulty,
    Preset,
    Puzzle,
    Tokens,
    single_puzzle,
)
from trm.tasks.cell_axes import CellAxes, rows_and_columns
from trm.tasks.maze.build import MazeOptions, build
from trm.tasks.maze.csv_source import HUB_REPOSITORY
from trm.tasks.maze.evaluator import MazeEvaluator
from trm.tasks.maze.geometry import PATH, VOCABULARY, WALL, size_of
from trm.tasks.maze.notation import (
    LEGEND,
    find_mazes,
    format_maze,
    maze_board,
    parse_mazes,
    render_maze,
)
from trm.tasks.maze.solver import is_shortest_path
from trm.tasks.maze.symmetry import MazeAugmentation
from trm.tasks.solved_puzzles import describe_sources
from trm.tasks.square_boards import SquareBoardTask, published_settings


class Maze(SquareBoardTask):
    """Mark a shortest path from S to G."""

    name = "maze"
    summary = "Maze-Hard: a shortest path of 110 cells or more through a 30x30 maze."
    data_options = MazeOptions
    hub_dataset = HUB_REPOSITORY
    published_seq_len = 900
    info_kinds = {"source": "S"}
    legend = LEGEND
    defaults = published_settings(l_cycles=4)
    presets = {
        "8gpu": EIGHT_GPUS,
        # 6x6 mazes with a path of 17 cells have few shortest paths, so the rule is learned quickly.
        "mini": Preset(
            summary="Generated 6x6 mazes and a small MLP mixer: minutes on a CPU.",
            for_cpu=True,
            data={
                "source": "generate",
                "size": 6,
                "min_path": 17,
                "num_train": 10_000,
                "num_test": 600,
            },
            settings={
                "model": {
                    **MIXERS[True],
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

    def cell_axes(self, meta: DatasetMeta) -> CellAxes:
        """See :meth:`trm.tasks.base.Task.cell_axes`."""
        return rows_and_columns(int(meta.properties["size"]))

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation:
        """See :meth:`trm.tasks.base.Task.augmentation`."""
        return MazeAugmentation(size_of(meta.seq_len))

    def vocabulary(self, size: int) -> tuple[str, ...]:
        """See :meth:`trm.tasks.square_boards.SquareBoardTask.vocabulary`."""
        return VOCABULARY if size >= 2 else ()

    def evaluator(self, meta: DatasetMeta, split: Split) -> MazeEvaluator:
        """See :meth:`trm.tasks.base.Task.evaluator`."""
        return MazeEvaluator()

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """See :meth:`trm.tasks.base.Task.parse`."""
        size = int(properties["size"])
        return [Puzzle(maze) for maze in parse_mazes(text, size, check=check)]

    def divide(
        self, lines: Iterable[tuple[int, str]], properties: Mapping[str, Any]
    ) -> Iterator[tuple[int, str]]:
        """See :meth:`trm.tasks.base.Task.divide`; a maze may have a line a row."""
        for maze in find_mazes(lines, int(properties["size"])):
            yield maze.last_line, "\n".join(maze.rows)

    def parse_answer(self, text: str, properties: Mapping[str, Any]) -> Tokens:
        """See :meth:`trm.tasks.base.Task.parse_answer`; a maze with its path."""
        return single_puzzle(self.parse(text, properties, check=False)).tokens

    def format(self, tokens: Tokens) -> str:
        """See :meth:`trm.tasks.base.Task.format`."""
        return format_maze(tokens)

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> RenderableType:
        """See :meth:`trm.tasks.base.Task.render`."""
        return render_maze(tokens, given, before)

    def board(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Board:
        """See :meth:`trm.tasks.base.Task.board`."""
        return maze_board(tokens, given, before)

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool:
        """Whether ``answer`` marks a shortest path through ``puzzle``, by the rule or not."""
        return bool(is_shortest_path(puzzle[None], answer[None])[0])

    def data_summary(self, meta: DatasetMeta) -> str:
        """See :meth:`trm.tasks.base.Task.data_summary`."""
        if meta.source == "hub":
            return self.summary
        size = meta.properties["size"]
        generated = "generated " if meta.source == "generate" else ""
        return f"shortest paths through {generated}{size}x{size} mazes."

    def example(self, meta: DatasetMeta, names: Sequence[str]) -> Puzzle | None:
        """See :meth:`trm.tasks.base.Task.example`; None for mazes larger than generated ones."""
        from trm.tasks.maze.generate import MAX_SIZE, default_min_path, generate  # compiled

        size = meta.properties["size"]
        if size > MAX_SIZE:
            return None
        return Puzzle(generate(size, 1, default_min_path(size), np.random.default_rng(0))[0])

    def draw_puzzle(
        self,
        meta: DatasetMeta,
        names: Sequence[str],
        difficulty: Difficulty,
        rng: np.random.Generator,
    ) -> str | None:
        """See :meth:`trm.tasks.base.Task.draw_puzzle`; a hard one has a long path."""
        from trm.tasks.maze.generate import MAX_SIZE, default_min_path, generate  # compiled

        size = int(meta.properties["size"])
        if size > MAX_SIZE:
            return None
        share = {"easy": 0.4, "medium": 0.7, "hard": 1.0}[difficulty]
        min_path = max(2, round(share * default_min_path(size)))
        return self.format(generate(size, 1, min_path, rng)[0])

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """See :meth:`trm.tasks.base.Task.describe`."""
        walls = (np.asarray(split.inputs) == WALL).mean()
        lengths = (np.asarray(split.labels) == PATH).sum(axis=1) + 2
        return {
            **describe_sources(split),
            "mean walls": f"{walls:.1%}",
            "median path": f"{np.median(lengths):.0f} ({lengths.min()}-{lengths.max()})",
        }
