"""A page server in a thread, and requests to it over real HTTP."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from trm.web.app import Page
from trm.web.catalogue import Catalogue
from trm.web.limits import Limits
from trm.web.server import PageServer

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Running:
    """A server that answers.

    Attributes:
        address: of its page.
        page: what answers.
    """

    address: str
    page: Page

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.address)
        return http.client.HTTPConnection("127.0.0.1", parts.port, timeout=60)

    def request(
        self, path: str, body: Any = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """The status and text of an answer. A body that is no text is sent as JSON."""
        connection = self.connect()
        content = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
        method = "GET" if body is None else "POST"
        given = (JSON if body is not None else {}) | (headers or {})
        try:
            connection.request(method, urlsplit(self.address).path + path, content, given)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def json(self, path: str, body: Any = None) -> Any:
        status, text = self.request(path, body)
        assert status == 200, text
        return json.loads(text)

    def problem(self, path: str, body: Any = None, **more: Any) -> tuple[int, str]:
        """The status and the one line of an error."""
        status, text = self.request(path, body, **more)
        found = json.loads(text)["error"]
        assert "\n" not in found
        return status, found

    def solve(self, *models: str, puzzle: str, **options: Any) -> list[dict[str, Any]]:
        """The lines of a solve."""
        body = {"models": models, "puzzle": puzzle, "options": options}
        status, text = self.request("api/solve", body)
        assert status == 200, text
        return [json.loads(line) for line in text.splitlines()]


@contextmanager
def running(
    *checkpoints: str | Path,
    runs: Path,
    limits: Limits | None = None,
    host: str = "127.0.0.1",
) -> Iterator[Running]:
    """A server on a free port."""
    catalogue = Catalogue([str(one) for one in checkpoints], device="cpu", runs=runs)
    page = Page(catalogue, runs, limits or Limits())
    started = threading.Event()
    server = PageServer(page, host=host, port=0, on_start=lambda address: started.set())
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30)
        yield Running(server.address, page)
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()
