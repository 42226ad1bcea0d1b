"""A Hub that answers in a form that nobody expects, or not at all: one line, and no waiting."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hub import HubServer
from tests.hub.calls import Answer
from tests.hub.commands import Online, refused
from tests.made_checkpoints import files_of
from trm.checkpoints.open_checkpoint import open_checkpoint
from trm.errors import HubError
from trm.hub import _hub_errors
from trm.hub_names import HubName

Checkpoint = Callable[..., Path]
EVAL = ("eval", "--json", "--device", "cpu", "--max-examples", "4", "--ckpt", "bob/odd")
INFO = {"id": "bob/odd", "sha": "0" * 40}


def repository(*files: object, **changes: Any) -> bytes:
    """The answer about a repository with files of these names."""
    return json.dumps({**INFO, "siblings": [{"rfilename": f} for f in files], **changes}).encode()


UNREADABLE = r"^bob/odd: the Hub gave an answer that its client cannot read \("
UNREACHABLE = r"^bob/odd is neither here nor in the cache .* cannot be reached \({}\)\. Correct"
READS = {
    "a list": (Answer(body=b"[1]"), UNREADABLE),
    "null": (Answer(body=b"null"), UNREADABLE),
    "a number": (Answer(body=b"7"), UNREADABLE),
    "nothing": (Answer(), UNREADABLE),
    "no id": (Answer(body=b"{}"), UNREADABLE + "KeyError"),
    "no commit": (Answer(body=repository("step_1", sha=None)), r"bob/odd"),
    "files that are none": (Answer(body=repository(siblings="abc")), UNREADABLE),
    "files without names": (Answer(body=repository(siblings=[{}, 5])), UNREADABLE),
    "names that are no text": (Answer(body=repository(5, 6)), UNREADABLE),
    "names of several types": (Answer(body=repository("a", 6)), UNREADABLE),
    "an empty name": (Answer(body=repository("")), r"has a file named '', which would be written"),
    "another time": (Answer(body=repository(createdAt="never")), r"bob/odd: .*never"),
    "HTML": (Answer(body=b"<html></html>", headers={"Content-Type": "text/html"}), UNREADABLE),
    "cut short": (Answer(body=repository("step_1")[:-9]), UNREADABLE),
    "shorter than it says": (
        Answer(body=b"{}", headers={"Content-Length": "99"}), UNREACHABLE.format("RemotePr.*")
    ),
    "nested": (Answer(body=b"[" * 100_000), UNREADABLE + "RecursionError"),
    "not UTF-8": (Answer(body=b'{"id": "\xff\xfe"}'), UNREADABLE),
    "a redirection to itself": (
        Answer(302, headers={"Location": "/api/models/bob/odd"}),
        UNREACHABLE.format("TooManyRedirects"),
    ),
    "an odd error": (Answer(418, b'{"error": {"a": [1]}}'), r"the Hub answered 418: .*Try again\."),
    "an error of lines": (Answer(400, b'{"error": "a\\nb"}'), r"the Hub answered 400: a b\. Try"),
    "a fault": (Answer(503, b"<html>"), r"the Hub answered 503: .*Try again\."),
}  # fmt: skip


@pytest.mark.parametrize("case", READS)
def test_a_repository_cannot_be_read(hub: HubServer, online: Online, case: str) -> None:
    answer, message = READS[case]
    hub.answer_next("/api/models/bob/odd", answer, times=50)
    assert re.search(message, refused(online(*EVAL)))


@pytest.mark.parametrize("body", [b"[1]", b"{}", b"<html>"])
@pytest.mark.parametrize("asked", ["POST /api/repos/create", "GET .*/refs", "POST .*/commit/"])
def test_a_push_that_is_answered_oddly(
    hub: HubServer, online: Online, checkpoint: Checkpoint, asked: str, body: bytes
) -> None:
    checkpoint("c")
    hub.answer_next(asked, Answer(body=body), times=50)
    message = refused(online("push-hub", "--ckpt", "c", "--repo", "alice/odd"))
    assert message.startswith("alice/odd: ")


@pytest.mark.parametrize(
    "asked", ["GET /api/models/bob/odd$", "GET .*/tree/", "HEAD .*/config.json"]
)
def test_a_download_that_is_answered_oddly(
    hub: HubServer, online: Online, checkpoint: Checkpoint, asked: str
) -> None:
    hub.add_repo("bob/odd", files_of(checkpoint("c")))
    for body in (b"[1]", b"null", b"{}"):
        hub.answer_next(asked, Answer(body=body))
        online(*EVAL)  # without a traceback, whatever the client makes of it
    hub.clear()


SILENT = """
from trm.errors import HubError
from trm.hub import _hub_errors
from trm.hub_names import HubName
from trm.hub import pull
from trm.hub_names import HubName
try:
    pull(HubName("bob/odd"), print)
except HubError as error:
    print(error)
"""


@pytest.mark.parametrize("endpoint", ["http://[", "http://127.0.0.1:99999"])
def test_an_endpoint_that_is_no_address(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", endpoint)
    message = rf"^HF_ENDPOINT is '{re.escape(endpoint)}', which is not an address: .*unset it\.$"
    with pytest.raises(HubError, match=message):
        open_checkpoint("bob/odd")


@pytest.mark.parametrize(
    ("status", "message"),
    [
        ("401 Unauthorized", "the token for the Hub is missing or invalid. Log in with `hf auth"),
        ("403 Forbidden", "your token may not write to bob/odd. Use a repository and a token that"),
    ],
)
def test_the_storage_of_large_files_has_its_status_in_the_text(status: str, message: str) -> None:
    text = f"Network error: Request error: HTTP status client error ({status}), domain: http://x/y"
    with pytest.raises(HubError, match=f"^{message}"), _hub_errors(HubName("bob/odd"), writes=True):
        raise ConnectionError(text)


def test_a_hub_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts, and says nothing
        env = HubServer().environment(tmp_path, "hf_alice") | {
            "HF_ENDPOINT": f"http://127.0.0.1:{server.getsockname()[1]}",
            "HF_HUB_ETAG_TIMEOUT": "1",
        }
        done = subprocess.run(
            [sys.executable, "-c", SILENT], env=env, capture_output=True, text=True, timeout=100
        )
    assert (done.stdout, done.stderr) == (
        "bob/odd is neither here nor in the cache of the Hub, and the Hub cannot be reached "
        "(no answer in 1 s; HF_HUB_ETAG_TIMEOUT sets another time). Correct the name, or go "
        "online.\n",
        "",
    )
