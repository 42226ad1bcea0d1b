"""Photograph the page of ``trm web`` in Chromium, for ``docs/pictures.py``.

A picture holds a digest of the page, the puzzle and the weights, and is current as long as they are
the same. So checking it needs no browser.
"""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image, PngImagePlugin

from trm.runs.layout import WEIGHTS_FILE
from trm.runs.shipped import shipped_models
from trm.web import app

PAGE = Path(app.__file__).parent / "page"
MODEL, PUZZLE = (
    "sudoku-9x9",
    "...35....82..67....9.............9..7....146..1..2..3.3.51...2......6..71....4..3",
)


def page_digest() -> str:
    """A digest of the files of the page, the puzzle and the weights of the model."""
    digest = hashlib.sha256(PUZZLE.encode())
    for file in [*sorted(PAGE.iterdir()), shipped_models()[MODEL] / WEIGHTS_FILE]:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def is_current(path: Path) -> bool:
    """Whether the page is still the one that was photographed."""
    if not path.is_file():
        return False
    with Image.open(path) as image:
        return image.info.get("page") == page_digest()


def photograph(path: Path, *, colors: str, width: int, height: int, step: int) -> None:
    """The page with a solved puzzle of a model that comes with trm.

    Args:
        path: of the picture, a PNG file.
        colors: ``light`` or ``dark``.
        width, height: of the window, in points.
        step: the supervision step that is shown.
    """
    from playwright.sync_api import sync_playwright

    command = [sys.executable, "-m", "trm", "web", "--ckpt", MODEL, "--no-browser"]
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    if chromium is None:
        sys.exit("no Chromium here: apt-get install chromium")
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = next(word for word in server.stdout.readline().split() if "://" in word)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=flags)
            size = {"width": width, "height": height}
            page = browser.new_page(viewport=size, color_scheme=colors)
            page.goto(f"{address}#sudoku={PUZZLE}")
            page.wait_for_selector("#puzzle .cell")
            page.click("#solve")
            page.wait_for_selector("#play:enabled")
            page.wait_for_selector("#solve:visible")
            page.fill("#step", str(step))
            image = Image.open(io.BytesIO(page.screenshot())).quantize(128)
            browser.close()
    finally:
        server.terminate()
        server.wait()
    about = PngImagePlugin.PngInfo()
    about.add_text("page", page_digest())
    image.save(path, pnginfo=about, optimize=True)
