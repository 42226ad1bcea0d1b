"""ConceptARC from a folder, from the network (a server on this machine) and from the cache."""

import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from trm import storage
from trm.errors import DataError, InputError
from trm.tasks.arc import concept_arc

TASK = json.dumps(
    {
        "train": [{"input": [[1]], "output": [[2]]}],
        "test": [{"input": [[3]], "output": [[4]]}],
    }
).encode()
CORPUS = {"Order1.json": TASK, "Copy2.json": TASK}
Serve = Callable[[bytes], str]


def packed(files: dict[str, bytes]) -> bytes:
    """A tar archive of these files, with a link that leads out of it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("top/corpus/Order/Out.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return buffer.getvalue()


ARCHIVE = packed(
    {
        "top/corpus/Order/Order1.json": TASK,
        "top/corpus/Copy/Copy2.json": TASK,
        "top/MinimalTasks/OrderMinimal.json": TASK,
        "top/corpus/README.md": b"words",
    }
)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and the checksum of the small corpus."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr(concept_arc, "SHA256", concept_arc.checksum(CORPUS))
    return tmp_path / "cache/trm" / concept_arc.CACHED


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What the server answers, one after another; an empty answer is an error 404."""
    answers: list[bytes] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer = answers.pop(0)
            self.send_response(200 if answer else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Not on the test's screen."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setattr(concept_arc, "URL", f"http://127.0.0.1:{server.server_port}/archive")
    yield answers
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_tasks_are_downloaded_once(served: list[bytes], cache: Path) -> None:
    served.append(ARCHIVE)
    first = concept_arc.load(None)
    assert [task.id for task in first] == ["Copy2", "Order1"]
    assert cache.read_bytes() == ARCHIVE
    assert [task.id for task in concept_arc.load(None)] == ["Copy2", "Order1"]
    assert served == []


@pytest.mark.parametrize(
    "damaged",
    [b"", b"words", ARCHIVE[:100], ARCHIVE[:-40], b"\0" * 999],
    ids=["empty", "words", "start", "cut", "zeros"],
)
def test_a_damaged_cache_is_downloaded_again(
    served: list[bytes], cache: Path, damaged: bytes
) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_bytes(damaged)
    served.append(ARCHIVE)
    assert len(concept_arc.load(None)) == 2
    assert cache.read_bytes() == ARCHIVE


@pytest.mark.parametrize(
    "archive",
    [b"words", packed({"top/corpus/Order/Order1.json": TASK + b" "}), ARCHIVE[:-40]],
    ids=["words", "another", "cut"],
)
def test_other_tasks_than_the_expected_are_refused(
    served: list[bytes], cache: Path, archive: bytes
) -> None:
    served.append(archive)
    message = r"does not hold the expected ConceptARC \([012] tasks, SHA-256 \w{12}, not \w{12}\)"
    with pytest.raises(DataError, match=message):
        concept_arc.load(None)
    assert not cache.exists()


def test_every_damaged_archive_is_read_without_a_crash() -> None:
    for place in range(0, len(ARCHIVE), 7):
        broken = bytearray(ARCHIVE)
        broken[place] ^= 0x55
        concept_arc.read_archive(bytes(broken))


def test_an_error_of_the_server_names_the_ways_out(served: list[bytes]) -> None:
    served.append(b"")
    message = (
        r"^ConceptARC cannot be downloaded from http://127.0.0.1:\d+/archive \(Not Found\)\. Try "
        r"again with a network, name a checkout of it with --concept PATH, or leave it out with "
        r"--no-concept\.$"
    )
    with pytest.raises(DataError, match=message):
        concept_arc.load(None)


def test_a_refused_connection_names_the_ways_out(
    served: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concept_arc, "URL", "http://127.0.0.1:1/archive")
    with pytest.raises(DataError, match=r"\(.*refused.*\)\. Try again with a network, name"):
        concept_arc.load(None)


def test_the_cache_is_in_the_home_folder_unless_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert storage.cache_folder() == tmp_path / ".cache/trm"


@pytest.mark.parametrize("inside", ["corpus/Order", "deep/down", "."])
def test_a_folder_is_read_but_for_the_minimal_tasks(tmp_path: Path, inside: str) -> None:
    checkout = tmp_path / "MinimalTasks"  # above the folder the name means nothing
    for name in (f"{inside}/Order1.json", "MinimalTasks/OrderMinimal.json"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_bytes(TASK)
    assert [task.id for task in concept_arc.load(checkout)] == ["Order1"]


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    hidden = (
        ".git/a.json",
        "Order/.ipynb_checkpoints/Order1-checkpoint.json",
        "Order/._Order1.json",
    )
    for name in ("Order/Order1.json", *hidden):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(TASK)
    assert [task.id for task in concept_arc.load(tmp_path)] == ["Order1"]
    names = {"top/corpus/Order/Order1.json": TASK, "top/corpus/Order/._Order1.json": b"\0\5"}
    assert list(concept_arc.read_archive(packed(names))) == ["Order1.json"]


def test_kaggles_form_is_read(tmp_path: Path) -> None:
    (tmp_path / "arc-agi_concept_challenges.json").write_text(f'{{"a": {TASK.decode()}}}')
    assert [task.id for task in concept_arc.load(tmp_path)] == ["a"]


def test_a_missing_or_an_empty_folder_is_named(tmp_path: Path) -> None:
    message = r"^--concept .*/none: no such folder\. Name one, or use --no-concept\.$"
    with pytest.raises(InputError, match=message):
        concept_arc.load(tmp_path / "none")
    with pytest.raises(InputError, match="has no task"):
        concept_arc.load(tmp_path)


def test_the_expected_checksum_is_that_of_the_real_tasks(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = (shared / "data/ConceptARC/corpus").rglob("*.json")
    real = {file.name: file.read_bytes() for file in files}
    monkeypatch.undo()
    assert concept_arc.checksum(real) == concept_arc.SHA256
    assert len(concept_arc.load(shared / "data/ConceptARC")) == len(real) == 160
