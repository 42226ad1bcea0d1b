"""The moving picture of the README is the recorded solution, drawn again."""

import io
import json
import runpy
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")
from PIL import Image

DOCS = Path(__file__).parents[2] / "docs"


def frames(picture: bytes) -> list[np.ndarray]:
    with Image.open(io.BytesIO(picture)) as image:
        found = []
        for number in range(image.n_frames):
            image.seek(number)
            found.append(np.asarray(image.convert("RGB"), np.int16))
        return found


def test_the_picture_shows_the_recorded_solution(tmp_path: Path) -> None:
    read_solution = runpy.run_path(str(DOCS / "solve_gif.py"))["read_solution"]
    solution = read_solution(DOCS / "pictures/solve.json")
    recorded = json.loads((DOCS / "pictures/solve.json").read_text())["solution"]
    assert solution.as_json() == recorded
    assert solution.valid
    published = (DOCS / "pictures/solve.gif").read_bytes()
    assert len(published) < 300_000
    drawn = frames(solution.save(tmp_path / "a.gif").read_bytes())
    assert len(frames(published)) == len(drawn) == 7
    for there, here in zip(frames(published), drawn, strict=True):
        assert np.abs(there - here).mean() < 2  # fonts may differ by a little
