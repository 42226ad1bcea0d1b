"""What the tests of the page share."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

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
