"""Files of puzzles from the Hub."""

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub import HubServer
from tests.hub.calls import Answer
from tests.hub.commands import Online, refused
from trm.errors import DataError
from trm.tasks.puzzle_csv import download

SOURCES = (
    " Without the Hub, --source generate makes puzzles, and --source FOLDER (with train.csv and "
    "test.csv) or --source FILE reads your own."
)
ABOUT = "GET /api/datasets/someone/puzzles"
FILE = "/datasets/someone/puzzles/resolve/main/test.csv"
FETCH = """
from trm.errors import DataError
from trm.tasks.puzzle_csv import download
try:
    print(download("someone/puzzles", "test").read_text())
except DataError as error:
    print(error)
"""


def test_without_an_answer_the_hub_is_asked_once(hub: HubServer, online: Online) -> None:
    hub.fail_next(ABOUT, 503, times=50, message="too busy")
    message = refused(online("build-data", "sudoku"))
    name = "sapientinc/sudoku-extreme"
    assert [request.path for request in hub.requests] == [f"/api/datasets/{name}"]
    assert message.startswith(f"{name}: ")
    hub.requests.clear()
    assert online.program(FETCH) == (
        f"someone/puzzles: the Hub answered 503: too busy. Try again.{SOURCES}\n"
    )
    assert len(hub.requests) == 1
    hub.stop()
    unreachable = "someone/puzzles: the Hub cannot be reached (ConnectError). Try again."
    assert online.program(FETCH) == f"{unreachable}{SOURCES}\n"


def test_a_file_is_fetched_once_and_then_in_the_cache(hub: HubServer, online: Online) -> None:
    about = {"id": "someone/puzzles", "sha": "0" * 40, "siblings": []}
    headers = {"ETag": '"tag"', "X-Repo-Commit": "0" * 40}
    hub.answer_next(ABOUT, Answer(body=json.dumps(about).encode()), times=2)
    hub.answer_next(f" {FILE}", Answer(body=b"question,answer", headers=headers), times=3)
    for _ in range(2):
        assert online.program(FETCH) == "question,answer\n"
    assert [r.method for r in hub.requests if r.path == FILE] == ["HEAD", "GET", "HEAD"]
    hub.stop()
    assert online.program(FETCH) == "question,answer\n"


@pytest.fixture
def refusing_proxy() -> Iterator[str]:
    """The address of a proxy that answers every request with 403."""
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.recv(10_000)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}"
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


def test_a_proxy_that_refuses_is_no_different(
    monkeypatch: pytest.MonkeyPatch, refusing_proxy: str, tmp_path: Path
) -> None:
    from huggingface_hub import close_session, constants

    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, refusing_proxy)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    close_session()
    with pytest.raises(DataError) as error:
        download("someone/puzzles", "train")
    close_session()
    assert str(error.value) == (
        f"someone/puzzles: the Hub cannot be reached (ProxyError). Try again.{SOURCES}"
    )
