"""Solved boards, and CSV files of puzzles."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from trm.tasks.sudoku.generate import GeneratedPuzzles, generate
from trm.tasks.sudoku.geometry import Geometry


@pytest.fixture(scope="session")
def solved() -> Callable[[int], np.ndarray]:
    """A solved board (cells,) of this size, by the cyclic pattern."""

    def make(size: int) -> np.ndarray:
        geometry = Geometry.of(size)
        row, column = np.divmod(np.arange(size * size), size)
        shift = geometry.box_cols * (row % geometry.box_rows) + row // geometry.box_rows
        return ((column + shift) % size + 1).astype(np.uint8)

    return make


@pytest.fixture(scope="session")
def puzzles() -> Callable[[int], GeneratedPuzzles]:
    """Sixty puzzles of this size, no two of them symmetric copies."""
    made = {size: generate(Geometry.of(size), 60, np.random.default_rng(5)) for size in (4, 6, 9)}
    return made.__getitem__


@pytest.fixture(scope="session")
def csv_lines(puzzles: Callable[[int], GeneratedPuzzles]) -> Callable[..., list[str]]:
    """The lines of a CSV file, header first, with the chosen of the puzzles of this size."""

    def lines(size: int, rows: slice = slice(0, 4)) -> list[str]:
        found = puzzles(size)
        return ["source,question,answer,rating"] + [
            f"list{number % 2},{as_text(board).replace('0', '.')},{as_text(solution)},{number}"
            for number, (board, solution) in enumerate(
                zip(found.boards[rows], found.solutions[rows], strict=True)
            )
        ]

    return lines


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines, or bytes, to a file of this name."""

    def write(lines: list[str] | bytes, name: str = "puzzles.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        return path

    return write


def as_text(board: np.ndarray) -> str:
    return "".join(map(str, board.tolist()))
