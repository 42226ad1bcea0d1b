"""ARC tasks, and their grids as tokens.

A grid is placed on a board of 30x30 tokens (published ``dataset/build_arc_dataset.py``). The row
below it and the column to its right hold end markers, if there is room. The rest is padding.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm.data import PAD
from trm.errors import InputError

MAX_SIDE = 30
#: The most demonstrations, and the most test pairs, of a task.
MAX_PAIRS = 10_000
SEQ_LEN = MAX_SIDE * MAX_SIDE
#: The end marker.
END = 1
#: The token of colour 0. Before it are padding and the end marker.
FIRST_COLOR = 2
NUM_COLORS = 10
VOCAB_SIZE = FIRST_COLOR + NUM_COLORS
VOCABULARY = ("<pad>", "<eos>", *map(str, range(NUM_COLORS)))

#: (rows, columns) uint8, the colours 0 to 9.
Grid = NDArray[np.uint8]
#: An unknown output. Its tokens are padding, of which no cell is scored.
NO_GRID: Grid = np.zeros((0, 0), np.uint8)


class Pair(NamedTuple):
    """A demonstration or a test pair. The output is None if it is unknown."""

    input: Grid
    output: Grid | None

    @property
    def grids(self) -> tuple[Grid, Grid]:
        """Input and output. An unknown output is a grid of no cells."""
        return self.input, NO_GRID if self.output is None else self.output

    @property
    def key(self) -> bytes:
        """Equal for equal pairs."""
        return b"".join(bytes(grid.shape) + grid.tobytes() for grid in self.grids)


@dataclass(frozen=True, eq=False)
class ArcTask:
    """A task. The outputs of all its training pairs are known. One of the two may be empty."""

    id: str
    train: tuple[Pair, ...]
    test: tuple[Pair, ...]

    @property
    def solved(self) -> bool:
        """Whether the outputs of all test pairs are known."""
        return all(pair.output is not None for pair in self.test)

    @property
    def has_two_answers(self) -> bool:
        """Whether two pairs have the same input and different outputs."""
        pairs = [pair for pair in self.train + self.test if pair.output is not None]
        inputs = {Pair(pair.input, None).key for pair in pairs}
        return len(inputs) < len({pair.key for pair in pairs})

    def joined(self, other: "ArcTask") -> "ArcTask":
        """The task with the pairs of another one of the same ID too; equal pairs count once."""
        known = {pair.key for pair in self.train + self.test}
        train, test = (
            tuple(pair for pair in pairs if pair.key not in known)
            for pairs in (other.train, other.test)
        )
        return ArcTask(self.id, self.train + train, self.test + test)


def is_task_id(name: str) -> bool:
    """Whether a text can be the ID of a task: the names of its copies are made of it."""
    return name.isascii() and name.isprintable() and 0 < len(name) <= 64 and "|||" not in name


def parse_task(name: str, raw: object, source: str) -> ArcTask:
    """Check and convert a task from a JSON file.

    Args:
        name: the task's ID.
        raw: ``{"train": [{"input": rows, "output": rows}, ...], "test": [...]}``; the output of a
            test pair may be missing or null, and one of the two lists may be empty. Or only to
            train on: a list of such pairs, or ``{"examples": [[input, output], ...]}``.
        source: the file, for messages.

    Raises:
        InputError: if it is not an ARC task; the message names the pair and the problem.
    """
    where = f"{source}: task {name}"
    if not is_task_id(name):
        raise InputError(
            f"{source}: {name!r:.99} cannot be the ID of a task. Use 1 to 64 ASCII characters "
            "without '|||'."
        )
    if isinstance(raw, dict) and "examples" in raw and "train" not in raw:
        raw = raw["examples"]
    if isinstance(raw, list):
        raw = {"train": raw, "test": []}
    if not isinstance(raw, dict):
        raise InputError(
            f"{where} is not an ARC task: it is no object with 'train' and 'test', and no list of "
            "pairs."
        )
    parts = {}
    for part in ("train", "test"):
        pairs = raw.get(part)
        if not isinstance(pairs, list):
            raise InputError(f"{where} is not an ARC task: it has no list {part!r} of pairs.")
        if len(pairs) > MAX_PAIRS:
            raise InputError(
                f"{where} has {len(pairs):,} {part} pairs, more than {MAX_PAIRS:,}. Leave some out."
            )
        parts[part] = tuple(
            _parse_pair(pair, f"{where}, {part} pair {number}", answered=part == "train")
            for number, pair in enumerate(pairs, 1)
        )
    if not any(parts.values()):
        raise InputError(f"{where} is not an ARC task: it has no pairs.")
    return ArcTask(name, **parts)


def parse_grid(raw: object, where: str) -> Grid:
    """Check and convert a grid, a list of rows of the integers 0 to 9.

    Args:
        raw: the rows.
        where: the start of an error message.

    Raises:
        InputError: if it is not a grid, or is larger than 30x30.
    """
    problem = grid_problem(raw)
    if problem:
        raise InputError(f"{where} {problem}. Correct it, or leave the task out.")
    return np.array(raw, np.uint8)


def encode(grid: Grid) -> NDArray[np.uint8]:
    """The tokens (900,) of a grid, at the top left."""
    rows, columns = grid.shape
    board = np.full((MAX_SIDE, MAX_SIDE), PAD, np.uint8)
    board[:rows, :columns] = grid + np.uint8(FIRST_COLOR)
    board[rows : rows + 1, :columns] = END
    board[:rows, columns : columns + 1] = END
    return board.reshape(SEQ_LEN)


def encode_all(grids: Sequence[Grid]) -> NDArray[np.uint8]:
    """The tokens (num_grids, 900) of grids, each at the top left."""
    boards = np.empty((len(grids), SEQ_LEN), np.uint8)
    for row, grid in enumerate(grids):
        boards[row] = encode(grid)
    return boards


def sizes(tokens: NDArray[np.integer[Any]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The heights (batch,) and widths (batch,) of the grids at the top left of (batch, 900)."""
    board = tokens.reshape(-1, MAX_SIDE, MAX_SIDE) >= FIRST_COLOR
    heights, widths = (
        np.logical_and.accumulate(edge, axis=1).sum(axis=1)
        for edge in (board[:, :, 0], board[:, 0, :])
    )
    return heights, widths


def decode(tokens: NDArray[np.integer[Any]]) -> Grid:
    """The grid at the top left of tokens (900,), the inverse of :func:`encode`."""
    (rows,), (columns,) = sizes(tokens[None])
    board = tokens.reshape(MAX_SIDE, MAX_SIDE)[:rows, :columns]
    return (board - FIRST_COLOR).astype(np.uint8)


def _parse_pair(raw: object, where: str, *, answered: bool) -> Pair:
    if isinstance(raw, list) and len(raw) == 2:
        raw = dict(zip(("input", "output"), raw, strict=True))
    if not isinstance(raw, dict) or "input" not in raw:
        raise InputError(
            f"{where} is not an object with an 'input'. Correct it, or leave the task out."
        )
    output = raw.get("output")
    if output is None and answered:
        raise InputError(f"{where} has no output. Correct it, or leave the task out.")
    return Pair(
        parse_grid(raw["input"], f"{where}, input"),
        None if output is None else parse_grid(output, f"{where}, output"),
    )


def grid_problem(raw: object) -> str:
    """Why ``raw`` is not a grid; empty if it is one."""
    if not isinstance(raw, list) or not all(isinstance(row, list) for row in raw):
        return "is not a grid (a list of rows)"
    rows, columns = len(raw), len(raw[0]) if raw else 0
    if not rows or not columns:
        return "is an empty grid"
    for number, row in enumerate(raw, 1):
        if len(row) != columns:
            return f"is not rectangular: row 1 has {columns} cells, row {number} has {len(row)}"
    if max(rows, columns) > MAX_SIDE:
        return f"has {rows} rows and {columns} columns, more than {MAX_SIDE}x{MAX_SIDE}"
    for number, row in enumerate(raw, 1):
        for column, cell in enumerate(row, 1):
            if type(cell) is not int or not 0 <= cell < NUM_COLORS:
                return f"has {cell!r:.20} in row {number}, column {column}, not a colour 0 to 9"
    return ""
