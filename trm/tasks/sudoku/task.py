"""The task ``sudoku``: Sudoku-Extreme, and boards of 4x4 and 6x6."""

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
    mean_and_range,
)
from trm.tasks.cell_axes import CellAxes, axis_of
from trm.tasks.solved_puzzles import describe_sources
from trm.tasks.square_boards import SquareBoardTask, published_settings
from trm.tasks.sudoku.build import SudokuOptions, build
from trm.tasks.sudoku.csv_source import HUB_REPOSITORY
from trm.tasks.sudoku.drawn_boards import find_boards
from trm.tasks.sudoku.evaluator import SudokuEvaluator
from trm.tasks.sudoku.geometry import BLANK, BOX_SHAPES, Geometry, is_valid_solution
from trm.tasks.sudoku.notation import (
    LEGEND,
    board_of,
    format_board,
    parse_boards,
    render_board,
    vocabulary,
)
from trm.tasks.sudoku.symmetry import FIRST_DIGIT, augmentation

#: "Speed is Confidence" (Dillon 2026, arXiv 2601.19085) with the published depth and a prefix of
#: one token. 5% of the training puzzles choose the best checkpoint.
_QUICK: dict[str, dict[str, Any]] = {
    "model": {
        **MIXERS[True],
        "swiglu": "normed",
        "puzzle_emb_len": 1,
    },
    "optim": {
        "optimizer": "muon",
        "muon_lr": 0.02,
        "muon_weight_decay": 0.005,
        "grad_clip": 1.0,
        "lr_warmup_steps": 100,
        "lr_min_ratio": 0.0,
    },
    "train": {
        "batch_size": 384,
        "max_steps": 8000,
        "loss": "softmax",
        "label_smoothing": 0.2,
        "halting_weight": 0.05,
    },
    "data": {"augment": "online", "validation_share": 0.05},
    "eval": {"max_examples": 1000},
}


class Sudoku(SquareBoardTask):
    """Fill the blanks so that each row, column and box has every digit once."""

    name = "sudoku"
    summary = "Sudoku-Extreme: 9x9 puzzles that need guessing, and 4x4 and 6x6 boards."
    data_options = SudokuOptions
    hub_dataset = HUB_REPOSITORY
    published_seq_len = 81
    info_kinds = {"source": "S", "rating": "iuf"}
    legend = LEGEND
    defaults = published_settings(l_cycles=6)
    presets = {
        "8gpu": EIGHT_GPUS,
        "fast": Preset(
            summary="Muon, a normed SwiGLU, label smoothing; 8000 steps of 384. Not measured yet.",
            settings=_QUICK,
        ),
        "strong": Preset(
            summary="Like fast, with four latents; 30,000 steps of 192. Not measured yet.",
            settings={
                **_QUICK,
                "model": {**_QUICK["model"], "num_latents": 4},
                "train": {**_QUICK["train"], "batch_size": 192, "max_steps": 30_000},
            },
        ),
        "mini": Preset(
            summary="Generated 6x6 boards and a small MLP mixer: minutes on a CPU.",
            for_cpu=True,
            data={"source": "generate", "size": 6, "num_aug": 500, "num_test": 600},
            settings={
                "model": {
                    **MIXERS[True],
                    "hidden_size": 96,
                    "num_heads": 4,
                    "h_cycles": 2,
                    "l_cycles": 2,
                    "swiglu_multiple": 16,
                    "puzzle_emb_len": 1,
                    "halt_max_steps": 6,
                    "forward_dtype": "auto",
                },
                "optim": {
                    "lr": 2e-3,
                    "lr_warmup_steps": 20,
                    "lr_min_ratio": 0.1,
                    "puzzle_emb_lr": 1e-3,
                    "ema_rate": 0.97,
                },
                "train": {"batch_size": 64, "max_steps": 900, "eval_every_steps": 300},
            },
        ),
    }

    def build_data(
        self, out: Path, options: SudokuOptions, rng: np.random.Generator
    ) -> DatasetMeta:
        """See :meth:`trm.tasks.base.Task.build_data`."""
        return build(out, options, rng)

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation:
        """See :meth:`trm.tasks.base.Task.augmentation`."""
        return augmentation(Geometry.of(int(meta.properties["size"])))

    def cell_axes(self, meta: DatasetMeta) -> CellAxes:
        """See :meth:`trm.tasks.base.Task.cell_axes`: row, column and box."""
        units = Geometry.of(int(meta.properties["size"])).units
        return tuple(axis_of(kind) for kind in np.split(units, 3))

    def interchangeable(self, meta: DatasetMeta) -> tuple[int, ...]:
        """See :meth:`trm.tasks.base.Task.interchangeable`: the digits."""
        return tuple(range(FIRST_DIGIT, meta.vocab_size))

    def vocabulary(self, size: int) -> tuple[str, ...]:
        """See :meth:`trm.tasks.square_boards.SquareBoardTask.vocabulary`."""
        return vocabulary(Geometry.of(size)) if size in BOX_SHAPES else ()

    def evaluator(self, meta: DatasetMeta, split: Split) -> SudokuEvaluator:
        """See :meth:`trm.tasks.base.Task.evaluator`."""
        return SudokuEvaluator(split)

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """See :meth:`trm.tasks.base.Task.parse`."""
        return [Puzzle(board) for board in parse_boards(text, properties, check=check)]

    def text_of(self, board: object, properties: Mapping[str, Any]) -> str:
        """See :meth:`trm.tasks.base.Task.text_of`; on one line."""
        return super().text_of(board, properties).replace("\n", "")

    def divide(
        self, lines: Iterable[tuple[int, str]], properties: Mapping[str, Any]
    ) -> Iterator[tuple[int, str]]:
        """See :meth:`trm.tasks.base.Task.divide`; a board may be drawn."""
        for board in find_boards(lines, Geometry.of(int(properties["size"]))):
            yield board.last_line, "\n".join(board.lines)

    def format(self, tokens: Tokens) -> str:
        """See :meth:`trm.tasks.base.Task.format`."""
        return format_board(tokens)

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> RenderableType:
        """See :meth:`trm.tasks.base.Task.render`."""
        return render_board(tokens, given, before)

    def board(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Board:
        """See :meth:`trm.tasks.base.Task.board`."""
        return board_of(tokens, given, before)

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool:
        """Whether ``answer`` is a valid Sudoku that keeps the clues of ``puzzle``."""
        keeps_clues = bool(((puzzle < FIRST_DIGIT) | (puzzle == answer)).all())
        digits = np.maximum(answer.astype(np.int64) - BLANK, 0).astype(np.uint8)
        return keeps_clues and bool(is_valid_solution(digits[None])[0])

    def data_summary(self, meta: DatasetMeta) -> str:
        """See :meth:`trm.tasks.base.Task.data_summary`."""
        if meta.source == "hub":
            return "Sudoku-Extreme, 9x9 puzzles that need guessing."
        size = meta.properties["size"]
        return f"{'generated ' if meta.source == 'generate' else ''}{size}x{size} Sudokus."

    def example(self, meta: DatasetMeta, names: Sequence[str]) -> Puzzle | None:
        """See :meth:`trm.tasks.base.Task.example`."""
        from trm.tasks.sudoku.generate import generate  # compiled

        geometry = Geometry.of(meta.properties["size"])
        return Puzzle(generate(geometry, 1, np.random.default_rng(0)).boards[0] + BLANK)

    def draw_puzzle(
        self,
        meta: DatasetMeta,
        names: Sequence[str],
        difficulty: Difficulty,
        rng: np.random.Generator,
    ) -> str:
        """See :meth:`trm.tasks.base.Task.draw_puzzle`; a hard one needs guessing."""
        from trm.tasks.sudoku.generate import generate  # compiled

        geometry = Geometry.of(int(meta.properties["size"]))
        extra_clues = {4: 6, 6: 10, 9: 14}[geometry.size] if difficulty == "easy" else 0
        rating = {4: 0, 6: 2, 9: 6}[geometry.size] if difficulty == "hard" else 0
        found = generate(geometry, 1, rng, min_rating=rating, extra_clues=extra_clues)
        return self.format(found.boards[0] + BLANK)

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """See :meth:`trm.tasks.base.Task.describe`."""
        clues = (np.asarray(split.inputs) >= FIRST_DIGIT).sum(axis=1)
        description = {**describe_sources(split), "mean clues": mean_and_range(clues)}
        if "rating" in split.info:  # missing in the published layout
            description["mean rating"] = mean_and_range(np.asarray(split.info["rating"]))
        return description
