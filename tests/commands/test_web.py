"""``trm web``: what it prints, and how it ends."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from trm.web.server import PageServer

Fails = Callable[..., str]


def test_it_prints_its_address_and_ends_by_ctrl_c(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trm", "web", "--no-browser", "--device", "cpu"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
        with urllib.request.urlopen(address) as answer:
            assert b"watch it think" in answer.read()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "Ctrl-C ends it\nended\n")


@pytest.mark.parametrize(
    ("flags", "display", "opened"),
    [((), ":0", True), (("--no-browser",), ":0", False), ((), "", False)],
)
def test_a_browser_is_opened_where_there_is_a_display(
    trm: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, flags: Any, display: str, opened: bool
) -> None:
    monkeypatch.setenv("DISPLAY", display)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

    def run(server: PageServer) -> None:
        server.close()
        server._on_start(server.address)

    with (
        mock.patch.object(PageServer, "run", run),
        mock.patch("trm.commands.web.threading.Thread") as thread,
    ):
        done = trm("web", "--ckpt", "sudoku-6x6", "--device", "cpu", *flags)
    assert done.code == 0
    assert thread.called is opened


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ("--ckpt absent", r"absent: no such run or checkpoint.*"),
        ("--host no.such.host.invalid", r"--host no\.such\.host\.invalid: .* Give an address.*"),
    ],
)
def test_what_cannot_be_served(fails: Fails, flags: str, message: str) -> None:
    assert re.fullmatch(message, fails("web", "--no-browser", *flags.split()))


def test_without_its_packages_it_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['starlette'] = None; sys.modules['uvicorn'] = None;"
        "from trm.cli import run; sys.exit(run(['web', '--no-browser']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path,
        env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == 1
    assert re.fullmatch(
        r"trm: error: the page needs \w+, which is not installed\. "
        r"Run: pip install starlette uvicorn\n", done.stderr,
    )  # fmt: skip
