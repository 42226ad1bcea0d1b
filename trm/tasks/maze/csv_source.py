"""Mazes from CSV files in the columns of the Hub data set ``sapientinc/maze-30x30-hard-1k``.

A question is ``size * size`` characters of ``# SG``, an answer of ``# SGo``, row by row. Any
valid path is taken for an answer, also one that the tie-break rule would not take. The column
``rating`` is not read.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trm.errors import InputError
from trm.tasks.csv_tables import read_rows
from trm.tasks.maze.geometry import VOCABULARY, WALL, size_of
from trm.tasks.maze.solver import is_valid_path, path_cells

HUB_REPOSITORY = "sapientinc/maze-30x30-hard-1k"

_CELLS = "".join(VOCABULARY[WALL:])
_QUESTION, _ANSWER = _CELLS[:-1], _CELLS


@dataclass(frozen=True)
class MazeTable:
    """Mazes and their labels.

    Attributes:
        inputs, labels: (num_mazes, num_cells) uint8 tokens.
        sources: (num_mazes,) byte strings, where a maze comes from.
    """

    inputs: NDArray[np.uint8]
    labels: NDArray[np.uint8]
    sources: NDArray[np.bytes_]

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, rows: NDArray[Any]) -> "MazeTable":
        """The given rows, or those where a mask is true."""
        return MazeTable(self.inputs[rows], self.labels[rows], self.sources[rows])


def read_csv(path: Path) -> MazeTable:
    """Read and check a CSV file.

    Raises:
        InputError: for a missing column or a line that is no maze with its way, naming the line.
    """
    rows: list[tuple[bytes, bytes, bytes]] = []
    lines: list[int] = []
    for number, row in read_rows(path):
        num_cells = len(rows[0][0] if rows else row["question"])
        rows.append(_check_row(row, num_cells, f"{path}, line {number}"))
        lines.append(number)
    questions, answers, sources = zip(*rows, strict=True)
    table = MazeTable(_tokens(questions), _tokens(answers), np.array(sources, np.bytes_))
    _check_paths(table, path, lines)
    return table


def _check_row(row: dict[str, str], num_cells: int, where: str) -> tuple[bytes, bytes, bytes]:
    """Question, answer and source of one line."""
    question, answer = row["question"], row["answer"]
    try:
        size = size_of(num_cells)
    except InputError as error:
        raise InputError(f"{where}: question: {error}") from None
    for name, maze, allowed in (("question", question, _QUESTION), ("answer", answer, _ANSWER)):
        if len(maze) != num_cells:
            raise InputError(
                f"{where}: {name} has {len(maze)} characters, not {num_cells}. Mend the line."
            )
        if set(maze) - set(allowed):
            _refuse_characters(f"{where}: {name}", maze, allowed, size)
    for cell in "SG":
        if question.count(cell) != 1:
            raise InputError(
                f"{where}: question has {question.count(cell)} {cell}, not 1. Mend the line."
            )
    return question.encode(), answer.encode(), row["source"].encode()


def _refuse_characters(what: str, maze: str, allowed: str, size: int) -> None:
    for place, character in enumerate(maze):
        if character not in allowed:
            row, column = divmod(place, size)
            raise InputError(
                f"{what} has {character!r} in row {row + 1}, column {column + 1}, not one of "
                f"{allowed!r}. Mend the line."
            )


def _tokens(mazes: tuple[bytes, ...]) -> NDArray[np.uint8]:
    """Tokens (num_mazes, num_cells) of mazes as text."""
    of_character = np.zeros(256, np.uint8)
    of_character[list(_CELLS.encode())] = range(WALL, len(VOCABULARY))
    return of_character[np.frombuffer(b"".join(mazes), np.uint8)].reshape(len(mazes), -1)


def _check_paths(table: MazeTable, path: Path, lines: list[int]) -> None:
    problems = (
        (path_cells(table.inputs) == 0, "the question has no path from S to G"),
        (~is_valid_path(table.inputs, table.labels), "the answer does not solve the question"),
    )
    for wrong, problem in problems:
        if wrong.any():
            line = lines[int(wrong.argmax())]
            raise InputError(f"{path}, line {line}: {problem}. Mend the line.")
