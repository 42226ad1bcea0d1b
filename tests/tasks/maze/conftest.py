"""Mazes drawn by hand, generated mazes, and CSV files of them."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from trm.tasks.maze.generate import generate
from trm.tasks.maze.geometry import VOCABULARY
from trm.tasks.maze.solver import solve


@pytest.fixture(scope="session")
def drawn() -> Callable[[str], np.ndarray]:
    """The tokens (cells,) of a drawing: rows divided by ``/``, ``.`` for an open cell."""

    def make(drawing: str) -> np.ndarray:
        symbols = [*VOCABULARY[:2], ".", *VOCABULARY[3:]]
        return np.array([symbols.index(cell) for cell in drawing.replace("/", "")], np.uint8)

    return make


@pytest.fixture(scope="session")
def mazes() -> Callable[[int], np.ndarray]:
    """Forty generated mazes (40, cells) of this size."""

    @cache
    def make(size: int) -> np.ndarray:
        return generate(size, 40, 2 * size, np.random.default_rng(5))

    return make


@pytest.fixture(scope="session")
def csv_lines(mazes: Callable[[int], np.ndarray]) -> Callable[..., list[str]]:
    """The lines of a CSV file, header first, with the chosen of the mazes of this size."""

    def lines(size: int, rows: slice = slice(0, 4)) -> list[str]:
        chosen = mazes(size)[rows]
        return ["source,question,answer,rating"] + [
            f"list{number % 2},{as_text(maze)},{as_text(label)},{number or ''}"
            for number, (maze, label) in enumerate(zip(chosen, solve(chosen), strict=True))
        ]

    return lines


@pytest.fixture
def write_csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines, or bytes, to a file of this name."""

    def write(lines: list[str] | bytes, name: str = "mazes.csv") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(lines if isinstance(lines, bytes) else "\n".join(lines).encode())
        return path

    return write


@pytest.fixture(scope="session")
def published(shared: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Inputs and labels of each split of the published mazes."""
    folder = shared / "data" / "maze-30x30-hard-1k"
    if not folder.is_dir():
        pytest.skip(f"the published mazes are not at {folder}")
    return {
        split: (
            np.load(folder / split / "all__inputs.npy"),
            np.load(folder / split / "all__labels.npy"),
        )
        for split in ("train", "test")
    }


def as_text(tokens: np.ndarray) -> str:
    return "".join(VOCABULARY[token] for token in tokens.tolist())
