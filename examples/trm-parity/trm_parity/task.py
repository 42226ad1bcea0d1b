"""The task ``parity``: a row of bits, and for each position the parity of the bits up to it.

``1101`` has the answer ``1001``. The last position depends on the whole row, so a model has to
carry the parity along.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field
from rich.console import RenderableType
from rich.text import Text

from trm import data
from trm.data import DatasetMeta, Split
from trm.errors import InputError
from trm.tasks.base import DataOptions, Preset, Puzzle, Task, Tokens
from trm.tasks.metrics import AccuracyEvaluator, EvalBatch, Metric

#: Token 0 is padding in every task. The tokens of the bits 0 and 1 follow.
VOCABULARY = ("<pad>", "0", "1")
FIRST_BIT = np.uint8(1)


class ParityOptions(DataOptions):
    """The options of ``trm build-data parity``."""

    source: str = Field("generate", description="generate is the only source.")
    num_train: int = Field(2000, gt=0, description="Training puzzles.")
    num_test: int = Field(500, gt=0, description="Test puzzles; no training puzzle is among them.")
    length: int = Field(12, ge=2, le=62, description="Bits in a row.")


class ParityEvaluator(AccuracyEvaluator):
    """Adds ``last_bit``: the share of rows with a correct last bit, the parity of the row."""

    def __init__(self) -> None:
        super().__init__()
        self._hits = 0
        self._count = 0

    def update(self, batch: EvalBatch) -> None:
        """See :meth:`trm.tasks.metrics.Evaluator.update`."""
        super().update(batch)
        self._hits += int((batch.answers[:, -1] == batch.labels[:, -1]).sum())
        self._count += len(batch.labels)

    def result(self) -> Mapping[str, Metric]:
        """See :meth:`trm.tasks.metrics.Evaluator.result`."""
        return {**super().result(), "last_bit": Metric.share(self._hits, self._count)}


class Parity(Task):
    """For each position in a row of bits, tell whether the number of ones up to it is odd.

    There is no augmentation: no permutation of positions or bits, applied to row and answer alike,
    gives another valid puzzle.
    """

    name = "parity"
    summary = "The running parity of a row of bits: an example of a plugin."
    data_options = ParityOptions
    # Differences from trm's own defaults, for all presets.
    defaults = {
        "model": {
            "hidden_size": 128,
            "mlp_t": True,
            "pos_encodings": "none",
            "swiglu_multiple": 16,
            "puzzle_emb_len": 1,
        },
        "optim": {"weight_decay": 1.0},
    }
    presets = {
        "mini": Preset(
            summary="Rows of 8 bits and a small network: seconds on a CPU.",
            data={"num_train": 192, "num_test": 64, "length": 8},
            settings={
                "model": {
                    "hidden_size": 64,
                    "h_cycles": 2,
                    "l_cycles": 2,
                    "halt_max_steps": 4,
                    "forward_dtype": "float32",
                },
                "optim": {"lr": 3e-3, "lr_warmup_steps": 10, "ema_rate": 0.95},
                "train": {"batch_size": 64, "max_steps": 300, "eval_every_steps": 50},
            },
        )
    }

    def build_data(
        self, out: Path, options: ParityOptions, rng: np.random.Generator
    ) -> DatasetMeta:
        """See :meth:`trm.tasks.base.Task.build_data`."""
        count, possible = options.num_train + options.num_test, 2**options.length
        if options.source != "generate":
            raise InputError(f"--source {options.source}: parity has only generate.")
        if count > possible:
            raise InputError(
                f"there are {possible} rows of {options.length} bits, not {count}. Raise --length, "
                "or lower --num-train or --num-test."
            )
        numbers = rng.choice(possible, count, replace=False)  # all rows differ
        bits = (numbers[:, None] >> np.arange(options.length)) & 1
        meta = DatasetMeta(
            task=self.name,
            source=options.source,
            seed=options.seed,
            options=options.model_dump(exclude={"source", "seed"}),
            vocabulary=VOCABULARY,
            seq_len=options.length,
            properties={"length": options.length},
        )
        train, test = np.split(bits, [options.num_train])
        return data.write(out, meta, {"train": _split(train), "test": _split(test)})

    def evaluator(self, meta: DatasetMeta, split: Split) -> ParityEvaluator:
        """See :meth:`trm.tasks.base.Task.evaluator`."""
        return ParityEvaluator()

    def parse(
        self, text: str, properties: Mapping[str, Any], name: str = "", *, check: bool = True
    ) -> list[Puzzle]:
        """See :meth:`trm.tasks.base.Task.parse`. Text has one row per line; all rows are valid."""
        rows, length = text.split(), int(properties["length"])
        for row in rows:
            if len(row) != length or set(row) - set("01"):
                raise InputError(f"{row!r} is not a row of {length} bits. Write only 0 and 1.")
        if not rows:
            raise InputError(f"no puzzle was given. Give {length} bits on a line.")
        return [Puzzle(np.array([int(bit) for bit in row], np.uint8) + FIRST_BIT) for row in rows]

    def format(self, tokens: Tokens) -> str:
        """See :meth:`trm.tasks.base.Task.format`."""
        return "".join(VOCABULARY[token] if token else "." for token in tokens.tolist())

    def render(
        self, tokens: Tokens, *, given: Tokens | None = None, before: Tokens | None = None
    ) -> RenderableType:
        """See :meth:`trm.tasks.base.Task.render`. Wrong bits of an answer are red."""
        text = Text(self.format(tokens))
        if given is not None:
            for position in np.flatnonzero(tokens != _solve(given)).tolist():
                text.stylize("red", position, position + 1)
        return text

    def is_valid(self, puzzle: Tokens, answer: Tokens) -> bool:
        """See :meth:`trm.tasks.base.Task.is_valid`."""
        return np.array_equal(answer, _solve(puzzle))

    def describe(self, meta: DatasetMeta, split: Split) -> Mapping[str, str]:
        """See :meth:`trm.tasks.base.Task.describe`."""
        return {"odd rows": f"{np.mean(split.labels[:, -1] == FIRST_BIT + 1):.0%}"}


def _solve(puzzle: Tokens) -> Tokens:
    """The answers (..., length) to puzzles (..., length)."""
    solved: Tokens = np.bitwise_xor.accumulate(puzzle - FIRST_BIT, axis=-1) + FIRST_BIT
    return solved


def _split(bits: Tokens) -> Split:
    tokens = (bits + FIRST_BIT).astype(np.uint8)
    return Split.of_single_examples(tokens, _solve(tokens).astype(np.uint8), info={})
