"""The command ``web``: a page on which a model thinks."""

import os
import sys
import threading
import webbrowser
from typing import Annotated

import typer

from trm.commands import options as opt
from trm.commands.help import Command
from trm.show.text import notes, out

app = typer.Typer()

EXAMPLES = """
trm web                                           # every model at hand
trm web --ckpt runs/sudoku/a --ckpt sudoku-6x6    # these alone
trm web --no-browser --port 8000
"""


@app.command(cls=Command, epilog=EXAMPLES)
@opt.with_verbosity
def web(
    ckpt: Annotated[
        list[str] | None,
        opt.option(
            opt.BASICS,
            "--ckpt MODEL",
            "A run, a checkpoint, or USER/NAME on the Hub. Repeatable. Default: all at hand.",
            autocompletion=opt.complete.runs,
        ),
    ] = None,
    task: opt.PublishedTask = None,
    device: opt.Device = None,
    host: Annotated[
        str,
        opt.option(
            opt.DEVICES, "--host NAME", "Other machines may open the page, by a secret address."
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        opt.option(
            opt.DEVICES, "--port N", "Where the page is. Default: 8421, or another.",
            min=1, max=65_535,
        ),
    ] = None,
    browser: Annotated[
        bool, opt.option(opt.OUTPUT, "--browser/--no-browser", "Open the page in a browser.")
    ] = True,
) -> None:  # fmt: skip
    """Watch a model think, on a page in the browser. Ctrl-C ends it."""
    from trm.web.server import serve

    def show(address: str) -> None:
        out.print(address)
        sys.stdout.flush()
        notes.remark("Ctrl-C ends it")
        if browser and _has_display():
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()

    try:
        serve(ckpt or (), task=task, device=device or "auto", host=host, port=port, on_start=show)
    except KeyboardInterrupt:
        notes.remark("ended")


def _has_display() -> bool:
    """Whether a browser could open a window. One in the terminal would hide the address."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
