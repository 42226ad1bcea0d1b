"""What the tests of the page share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.made_checkpoints import write_checkpoint
from tests.web.small_models import ARC_ID, small_run
from trm.runs.shipped import shipped_models
from trm.tasks.registry import get_task
from trm.tasks.square_boards import board_meta

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped without one."""
    sync_api = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def onnxruntime_web() -> Path:
    """A folder with onnxruntime-web; the test is skipped without one, for it downloads nothing."""
    here = Path(__file__).parents[2] / "node_modules"
    folder = Path(os.environ.get("ONNXRUNTIME_WEB") or here)
    if not folder.is_dir():
        pytest.skip("no onnxruntime-web here: npm install --no-save onnxruntime-web")
    return folder


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models without training of mazes and ARC, and the 6x6 one that comes with trm, twice."""
    folder = tmp_path_factory.mktemp("models")
    maze, arc = get_task("maze"), get_task("arc1")
    options = maze.options("mini")
    data = board_meta("maze", options, maze.vocabulary(6), 6)  # type: ignore[attr-defined]
    write_checkpoint(folder / "maze", small_run("maze"), data)
    arc_data = arc.published_data_meta(12, 900)
    assert arc_data
    write_checkpoint(folder / "arc", small_run("arc1"), arc_data, names=("<blank>", ARC_ID))
    (folder / "again").symlink_to(shipped_models()["sudoku-6x6"])
    return {name: folder / name for name in ("maze", "arc", "again")}
