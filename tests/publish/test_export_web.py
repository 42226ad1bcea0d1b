"""The files of ``trm export --format web`` and ``trm push-hub --space``; tests/web opens them."""

import hashlib
import io
import json
import tarfile
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

import trm
from tests.hub import HubServer
from tests.hub.commands import Online, refused, succeeded
from tests.made_checkpoints import write_checkpoint
from tests.web.small_models import small_run
from trm.errors import CheckpointError, InputError
from trm.publish.onnxruntime_web import FILES, find_onnxruntime
from trm.tasks.registry import get_task

Checkpoint = Callable[..., Path]
CONTENT = {name: f"the content of {name}".encode() for name in FILES}
#: So that the export takes little time.
QUICK = ("model.halt_max_steps=1", "model.h_cycles=1", "model.l_cycles=1")


def write_runtime(folder: Path) -> Path:
    """A folder that looks like onnxruntime-web."""
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def package() -> bytes:
    """A package as npm has it."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for name, content in CONTENT.items():
            member = tarfile.TarInfo(f"package/dist/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return written.getvalue()


@pytest.fixture
def registry(package: bytes) -> Iterator[str]:
    """The address of the package on this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(package)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/package.tgz"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_folder_is_a_whole_page(checkpoint: Checkpoint, tmp_path: Path) -> None:
    write_runtime(tmp_path / "node_modules/onnxruntime-web/dist")
    out = tmp_path / "page"
    difference = trm.export_checkpoint(
        checkpoint("mine", *QUICK), format="web", out=out, onnxruntime=tmp_path / "node_modules"
    )
    assert difference is not None
    assert difference < 1e-3
    page = (out / "index.html").read_text()
    assert "script-src 'self' 'wasm-unsafe-eval'" in page.partition("</head>")[0]
    assert "<html data-alone" in page
    assert not (out / "page.html").exists()
    for name, content in CONTENT.items():
        assert (out / "onnxruntime" / name).read_bytes() == content
    assert {path.name for path in (out / "model").iterdir()} == {
        "config.json", "model.onnx", "initial_state.onnx",
    }  # fmt: skip
    facts = json.loads((out / "model.json").read_text())
    assert [model["name"] for model in facts["models"]] == ["mine"]
    assert {level: len(all) for level, all in facts["puzzles"].items()} == {
        "easy": 12, "medium": 12, "hard": 12,
    }  # fmt: skip


def test_what_has_no_page(checkpoint: Checkpoint, tmp_path: Path) -> None:
    runtime, out = write_runtime(tmp_path / "runtime"), tmp_path / "page"
    data = get_task("arc1").published_data_meta(12, 900)
    assert data is not None
    arc = write_checkpoint(tmp_path / "arc", small_run("arc1"), data, names=("<blank>", "p1"))
    with pytest.raises(CheckpointError, match=r"is a model of arc1; a page .* Use trm web, or"):
        trm.export_checkpoint(arc, format="web", out=out, onnxruntime=runtime)
    with pytest.raises(InputError, match=r"onnxruntime. needs the format web, not onnx\. Leave"):
        trm.export_checkpoint(arc, format="onnx", out=out, onnxruntime=runtime)
    empty = tmp_path / "empty"
    with pytest.raises(InputError, match=r"empty.*: there is no ort\.wasm.* or leave it out to"):
        trm.export_checkpoint(checkpoint("mine"), format="web", out=out, onnxruntime=empty)
    assert not out.exists()


def test_a_download_is_kept(registry: str, package: bytes, cache: Path) -> None:
    digest = hashlib.sha512(package).hexdigest()
    folder = find_onnxruntime(None, address=registry, sha512=digest)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert folder.is_relative_to(cache)
    assert find_onnxruntime(None, address="http://127.0.0.1:1/", sha512=digest) == folder


def test_a_download_that_is_refused(registry: str, cache: Path) -> None:
    with pytest.raises(InputError, match=r"has the digest [0-9a-f]{16}\.\.\., not 0000.*DIR\.$"):
        find_onnxruntime(None, address=registry, sha512=64 * "00")
    with pytest.raises(
        InputError, match=r"cannot be downloaded from http://127\.0\.0\.1:1/: .*DIR"
    ):
        find_onnxruntime(None, address="http://127.0.0.1:1/")
    assert not cache.exists()


def test_a_space_has_the_page_and_its_card(
    hub: HubServer, online: Online, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    checkpoint("mine", *QUICK)
    write_runtime(tmp_path / "runtime")
    push = ("push-hub", "--space", "alice/demo", "--ckpt", "mine", "--onnxruntime", "runtime")
    text = succeeded(online(*push))
    files = hub.repos["spaces/alice/demo"].files("main")
    assert {"index.html", "model.json", "model/model.onnx", "README.md"} <= set(files)
    assert "alice/demo" not in hub.repos
    header = yaml.safe_load(files["README.md"].decode().split("---\n")[1])
    assert (header["sdk"], header["app_file"]) == ("static", "index.html")
    assert b"Microsoft" in files["README.md"]
    assert f"pushed mine: {hub.url}/spaces/alice/demo/commit/" in text
    assert "trm eval" not in text


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        ((), "give one of --repo USER/NAME and --space USER/NAME."),
        (("--repo", "a/b", "--space", "a/b"), "give one of --repo"),
        (("--repo", "a/b", "--onnxruntime", "x"), "--onnxruntime is for a --space. Leave it out."),
        (("--space", "a/b", "--with-training-state"), "a --space has a page only. Leave it out."),
    ],
)
def test_flags_that_contradict_each_other(
    online: Online, checkpoint: Checkpoint, flags: tuple[str, ...], problem: str
) -> None:
    checkpoint("mine")
    assert problem in refused(online("push-hub", "--ckpt", "mine", *flags))
