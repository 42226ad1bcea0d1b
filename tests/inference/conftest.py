"""A trained model, and a file of answers that it wrote."""

from pathlib import Path

import pytest

import trm
from tests.inference.boards import PUZZLES, SOLVED
from trm.inference.solve_file import solve_file


@pytest.fixture(scope="module")
def model(trained_run: Path) -> trm.Model:
    """A model that solves half of the test puzzles at the first step, and never some of them."""
    return trm.load(trained_run, device="cpu")


@pytest.fixture(scope="module")
def whole(model: trm.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ten puzzles, and the answers of an undisturbed run in batches of four."""
    folder = tmp_path_factory.mktemp("whole")
    (folder / "p.csv").write_text(
        "\n".join(["puzzle,answer", *(f"{p},{SOLVED}" for p in PUZZLES[:10])])
    )
    for name in ("a.csv", "a.jsonl"):
        solve_file(model, source=folder / "p.csv", out=folder / name, batch_size=4)
    return folder
