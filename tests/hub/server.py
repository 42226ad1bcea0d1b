"""The small Hub itself: its two ports, its faults, and what the tests can see of it."""

import os
import re
import threading
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import unquote

from tests.hub import api, content
from tests.hub.accounts import Store
from tests.hub.calls import Answer, Call, Refusal
from tests.hub.repositories import Repository
from tests.hub.wire import Behaviour, Listener

_NAME = r"([^/]+/[^/]+)"
_DATA = r"(datasets/[^/]+/[^/]+)"
_EITHER = r"((?:spaces/)?[^/]+/[^/]+)"
_KIND = r"/api/(?:models/(?=[^/]+/[^/]+)|(?=spaces/))"
_MODEL = rf"GET {_KIND}{_EITHER}"
_CHANGE = rf"POST {_KIND}{_EITHER}"
_HUB: dict[str, Callable[..., Answer]] = {
    r"GET /api/whoami-v2": api.whoami,
    r"POST /api/validate-yaml": api.validate_card,
    r"POST /api/repos/create": api.create_repo,
    rf"{_MODEL}": api.model_info,
    rf"{_MODEL}/revision/([^/]+)": api.model_info,
    rf"{_MODEL}/tree/([^/]+)": api.tree,
    rf"{_MODEL}/tree/([^/]+)/(.+)": api.tree,
    rf"{_MODEL}/refs": api.refs,
    rf"{_CHANGE}/paths-info/([^/]+)": api.paths_info,
    rf"{_CHANGE}/branch/([^/]+)": api.create_branch,
    rf"{_CHANGE}/tag/([^/]+)": api.create_tag,
    rf"{_CHANGE}/preupload/([^/]+)": api.preupload,
    rf"{_CHANGE}/commit/([^/]+)": api.commit,
    rf"POST /{_EITHER}\.git/info/lfs/objects/batch": content.lfs_batch,
    rf"POST /{_EITHER}\.git/info/lfs/verify": content.lfs_verify,
    rf"GET /{_EITHER}/resolve/([^/]+)/(.+)": content.resolve,
    rf"GET /api/{_DATA}": api.model_info,
    rf"GET /{_DATA}/resolve/([^/]+)/(.+)": content.resolve,
}
_STORAGE: dict[str, Callable[..., Answer]] = {
    rf"PUT /objects/{_EITHER}/([^/]+)": content.put_object,
    rf"GET /objects/{_EITHER}/([^/]+)": content.get_object,
}


class Request(NamedTuple):
    """A line of the log; ``status`` is 0 where the connection was closed without an answer."""

    method: str
    path: str
    status: int
    received: int


@dataclass
class _Fault:
    """Something that goes wrong the next ``times`` times."""

    pattern: str
    times: int
    answer: Answer | None = None
    after_bytes: int = 0


class Gate:
    """Requests that get no answer until it is opened.

    Attributes:
        reached: set once a request waits.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.reached = threading.Event()
        self._opened = threading.Event()

    def open(self) -> None:
        """Let all of them go on."""
        self._opened.set()

    def wait(self) -> None:
        """Wait until it is open."""
        self.reached.set()
        self._opened.wait()


class HubServer:
    """A Hub on two ports of 127.0.0.1: one that speaks, and the storage of large files.

    ``tokens`` and ``read_only`` go from a token to its user. It can be stopped and started
    again: its ports stay the same.
    """

    def __init__(
        self, tokens: Mapping[str, str] | None = None, read_only: Mapping[str, str] | None = None
    ) -> None:
        self._store = Store(
            dict(tokens or {"hf_alice": "alice", "hf_bob": "bob"}),
            dict(read_only or {"hf_read": "alice"}),
        )
        self.requests: list[Request] = []
        self._leaks: list[str] = []
        self._failures: list[_Fault] = []
        self._uploads: list[_Fault] = []
        self._downloads: list[_Fault] = []
        self._gates: list[Gate] = []
        self._lock = threading.RLock()
        self._listeners: list[Listener] = []
        self._ports = (0, 0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def start(self) -> None:
        behaviour = Behaviour(
            self._upload_limit, self._dropped, self._respond, self._download_limit
        )
        hub = Listener(self._ports[0], behaviour, storage=False)
        storage = Listener(self._ports[1], behaviour, storage=True)
        self._listeners = [hub, storage]
        self._ports = (hub.port, storage.port)
        self._store.url = f"http://127.0.0.1:{hub.port}"
        self._store.storage_url = f"http://127.0.0.1:{storage.port}"

    def stop(self) -> None:
        """Refuse every connection from now on, once those that are open have their answers."""
        for gate in self._gates:
            gate.open()
        for listener in self._listeners:
            listener.close()
        self._listeners = []

    def clear(self) -> None:
        """Forget the repositories, the faults and the log, and run: as it was in the beginning."""
        for gate in self._gates:
            gate.open()
        self.repos.clear()
        self._gates.clear()
        for kept in (self.requests, self._leaks, self._failures, self._uploads, self._downloads):
            kept.clear()
        if not self._listeners:
            self.start()

    @property
    def url(self) -> str:
        return self._store.url

    @property
    def storage_url(self) -> str:
        return self._store.storage_url

    @property
    def repos(self) -> dict[str, Repository]:
        return self._store.repos

    def add_repo(
        self,
        name: str,
        files: Mapping[str, bytes],
        *,
        private: bool = False,
        tags: Iterable[str] = (),
    ) -> Repository:
        """A repository with one commit on main and tags on it; any file name goes."""
        repo = self.repos[name] = Repository(name, private)
        made = repo.commit(files, "add files")
        repo.tags.update(dict.fromkeys(tags, made.oid))
        return repo

    def environment(self, home: Path, token: str | None = None) -> dict[str, str]:
        """All variables for a process whose Hub is this one, whose cache and token are its own.

        Args:
            home: an empty folder; the cache is ``home/hub``.
            token: None for nobody's.
        """
        env = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "HUGGING", "TRANSFORMERS_"))
            and not name.lower().endswith("_proxy")
        }
        env |= {"HF_ENDPOINT": self.url, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
        env |= {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        return env if token is None else {**env, "HF_TOKEN": token}

    def fail_next(
        self,
        pattern: str,
        status: int,
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        message: str = "a fault of the test",
    ) -> None:
        """Refuse requests whose method and path have ``pattern``, such as ``"POST .*/commit/"``."""
        refusal = Refusal(status, message, headers=headers or {})
        self.answer_next(pattern, refusal.answer(), times)

    def answer_next(self, pattern: str, answer: Answer, times: int = 1) -> None:
        """Give an answer of any form to requests whose method and path have ``pattern``."""
        self._failures.append(_Fault(pattern, times, answer))

    def drop_upload(self, after_bytes: int, times: int = 1, pattern: str = "PUT ") -> None:
        """Close the connection in the body of a large file that is sent."""
        self._uploads.append(_Fault(pattern, times, after_bytes=after_bytes))

    def drop_download(
        self, after_bytes: int, times: int = 1, pattern: str = "GET .*/(objects|resolve)/"
    ) -> None:
        """Close the connection in the body of a file that is fetched."""
        self._downloads.append(_Fault(pattern, times, after_bytes=after_bytes))

    def hold(self, pattern: str) -> Gate:
        """Let requests whose method and path have ``pattern`` wait until the gate is opened."""
        self._gates.append(Gate(pattern))
        return self._gates[-1]

    @property
    def leaks(self) -> list[str]:
        """Where a token was seen that is not the Hub's ``Authorization`` header."""
        stored = [
            f"a file of {name}"
            for name, repo in self.repos.items()
            for commit in repo.commits.values()
            for path, file in commit.files.items()
            if self._has_token(path.encode()) or self._has_token(file.content)
        ]
        return self._leaks + stored

    def _has_token(self, text: bytes) -> bool:
        tokens = (*self._store.tokens, *self._store.read_only)
        return any(token.encode() in text for token in tokens)

    def _upload_limit(self, call: Call) -> int | None:
        return self._limit(self._uploads, call)

    def _download_limit(self, call: Call) -> int | None:
        return self._limit(self._downloads, call)

    def _limit(self, faults: list[_Fault], call: Call) -> int | None:
        with self._lock:
            fault = _take(faults, call)
        return None if fault is None else fault.after_bytes

    def _dropped(self, call: Call) -> None:
        with self._lock:
            self._record(call, 0)

    def _respond(self, call: Call) -> Answer:
        for gate in list(self._gates):
            if re.search(gate.pattern, f"{call.method} {call.readable_path}"):
                gate.wait()
        with self._lock:
            try:
                answer = self._routed(call)
            except Refusal as refusal:
                answer = refusal.answer()
            except Exception:  # shown to the client: the threads of a test have no other reader
                answer = Refusal(500, "the test's Hub failed").answer()
                answer = replace(answer, body=traceback.format_exc().encode())
            self._record(call, answer.status)
            return answer

    def _routed(self, call: Call) -> Answer:
        fault = _take(self._failures, call)
        if fault is not None and fault.answer is not None:
            return fault.answer
        account = None if call.storage else self._store.account(call.headers.get("authorization"))
        call = replace(call, account=account)
        asked = f"{call.method.replace('HEAD', 'GET')} {call.path}"
        for pattern, handler in (_STORAGE if call.storage else _HUB).items():
            found = re.fullmatch(pattern, asked)
            if found is not None:
                return handler(self._store, call, *map(unquote, found.groups()))
        raise Refusal(404, f"No such page: {asked}")

    def _record(self, call: Call, status: int) -> None:
        """Log a request, and note a token that is where it does not belong."""
        self.requests.append(Request(call.method, call.readable_path, status, len(call.body)))
        asked = f"{call.path} {call.query}".encode()
        places = {"path": asked, "body": call.body}
        for name, value in call.headers.items():
            if name != "authorization" or call.storage:
                places[name] = value.encode()
        where = f"{call.method} {call.readable_path}"
        self._leaks += [
            f"{where}: {place}" for place, text in places.items() if self._has_token(text)
        ]


def _take(faults: list[_Fault], call: Call) -> _Fault | None:
    """The first fault for this call that has not been used up."""
    for fault in faults:
        if fault.times and re.search(fault.pattern, f"{call.method} {call.readable_path}"):
            fault.times -= 1
            return fault
    return None
