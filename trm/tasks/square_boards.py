"""Tasks with square boards of several sizes, such as Sudokus and mazes."""

import math
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from trm.data import DatasetMeta
from trm.errors import InputError
from trm.tasks.base import DataOptions, Task
from trm.tasks.solved_puzzles import SolvedPuzzles


def published_settings(l_cycles: int) -> dict[str, dict[str, Any]]:
    """The settings of the published runs: README of the TRM repository."""
    return {
        "model": {"h_cycles": 3, "l_cycles": l_cycles},
        "optim": {
            "lr": 1e-4,
            "weight_decay": 1.0,
            "puzzle_emb_lr": 1e-4,
            "puzzle_emb_weight_decay": 1.0,
        },
        "train": {"epochs": 50_000},
    }


def common_size(train: SolvedPuzzles, test: SolvedPuzzles, requested: int | None) -> int:
    """The size of the training and test boards.

    Args:
        train: the training boards.
        test: the test boards.
        requested: the option ``--size``.

    Raises:
        InputError: if the sizes differ.
    """
    cells, test_cells = train.inputs.shape[1], test.inputs.shape[1]
    if cells != test_cells:
        raise InputError(
            f"training boards have {cells} cells, test boards {test_cells}. Give files of one size."
        )
    size = math.isqrt(cells)
    if requested not in (None, size):
        raise InputError(
            f"--size {requested}: the source has boards of size {size}. "
            "Leave --size out, or name another source."
        )
    return size


def board_meta(
    task: str, options: DataOptions, vocabulary: tuple[str, ...], size: int
) -> DatasetMeta:
    """The description of a dataset of boards with this size."""
    return DatasetMeta(
        task=task,
        source=options.source,
        seed=options.seed,
        options=options.model_dump(exclude={"source", "seed"}),
        vocabulary=vocabulary,
        seq_len=size * size,
        properties={"size": size},
    )


class SquareBoardTask(Task):
    """A task with square boards; the dataset has a property ``size``."""

    @abstractmethod
    def vocabulary(self, size: int) -> tuple[str, ...]:
        """The symbols of the tokens of boards with this size; empty for an impossible size."""

    def text_of(self, board: object, properties: Mapping[str, Any]) -> str:
        """See :meth:`trm.tasks.base.Task.text_of`."""
        size, text = int(properties["size"]), super().text_of(board, properties)
        lengths = [len(row) for row in text.split("\n")]
        if lengths not in ([size] * size, [size * size]):
            cells = " to ".join(map(str, sorted({min(lengths), max(lengths)})))
            shape = f"{cells} cells" if len(lengths) == 1 else f"{len(lengths)} rows of {cells}"
            raise InputError(
                f"the board has {shape}, not {size} rows of {size}. For several boards, give a "
                f"list of them, or an array (boards, {size}, {size})."
            )
        return text

    def find_problem(self, meta: DatasetMeta) -> str | None:
        """See :meth:`trm.tasks.base.Task.find_problem`."""
        size = meta.properties.get("size")
        if type(size) is not int or not (vocabulary := self.vocabulary(size)):
            return f"properties.size is {size!r:.40}, not a size of its boards"
        if meta.seq_len != size * size:
            return f"seq_len is {meta.seq_len}, but boards of size {size} have {size * size} cells"
        if meta.vocabulary != vocabulary:
            return f"vocabulary is {meta.vocabulary!r:.80}, not {vocabulary}"
        return None

    def published_data_meta(self, vocab_size: int, seq_len: int) -> DatasetMeta | None:
        """See :meth:`trm.tasks.base.Task.published_data_meta`."""
        size = math.isqrt(seq_len)
        vocabulary = self.vocabulary(size)
        if not vocabulary or (vocab_size, seq_len) != (len(vocabulary), size * size):
            return None
        options = DataOptions(source="published layout", seed=0)
        return board_meta(self.name, options, vocabulary, size)
