"""Files of puzzles from the Hub."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from trm.errors import DataError
from trm.tasks.puzzle_csv import download


@pytest.fixture
def _no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """A Hub of which nobody answers, an empty cache, and no pause before the Hub's retries."""
    from huggingface_hub import close_session, constants

    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{closed.getsockname()[1]}"
        monkeypatch.setattr(constants, "ENDPOINT", endpoint)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        close_session()
        yield
        close_session()


SOURCES = (
    r"Use puzzles of your own with --source FOLDER \(train.csv and test.csv\) or generated ones "
    r"with --source generate\.$"
)


@pytest.mark.usefixtures("_no_hub")
def test_without_a_network_the_other_sources_are_named() -> None:
    message = rf"^cannot download someone/puzzles from the Hub \(\w+\)\. {SOURCES}"
    with pytest.raises(DataError, match=message):
        download("someone/puzzles", "train")


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


@pytest.mark.usefixtures("_no_hub")
def test_a_proxy_that_refuses_is_no_different(
    monkeypatch: pytest.MonkeyPatch, refusing_proxy: str
) -> None:
    from huggingface_hub import close_session, constants

    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, refusing_proxy)
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "ENDPOINT", "https://hub.invalid")
    close_session()
    with pytest.raises(DataError, match=rf"from the Hub \(\w+\)\. {SOURCES}"):
        download("someone/puzzles", "train")


def test_the_files_of_the_hub_are_asked_for_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def fetch(repository: str, file: str, *, repo_type: str) -> str:
        asked.append((repository, file, repo_type))
        return str(tmp_path / file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fetch)
    assert download("someone/puzzles", "test") == tmp_path / "test.csv"
    assert asked == [("someone/puzzles", "test.csv", "dataset")]
