"""HTTP on loopback: requests become calls, answers become bytes, and connections can be cut."""

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from urllib.parse import parse_qs, urlsplit

from tests.hub.calls import Answer, Call


@dataclass(frozen=True)
class Behaviour:
    """What a listener does with the requests that come in."""

    #: Bytes of a call's body after which the connection is closed; None for a whole one.
    upload_limit: Callable[[Call], int | None]
    #: Told of a call whose body was cut off there.
    dropped: Callable[[Call], None]
    #: The answer to a call with its body.
    respond: Callable[[Call], Answer]
    #: Bytes of an answer's body after which the connection is closed; None for a whole one.
    download_limit: Callable[[Call], int | None]


class Listener(ThreadingTCPServer):
    """A port of 127.0.0.1, served by threads until :meth:`close`.

    Each answer closes its connection, so that nothing of a listener that was closed lives on in
    a client's pool.
    """

    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, port: int, behaviour: Behaviour, *, storage: bool) -> None:
        """``port`` 0 lets the system choose one."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.behaviour = behaviour
        self.storage = storage
        self._thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def close(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10  # seconds for a client that says nothing
    server: Listener

    def _answer(self) -> None:
        self.close_connection = True
        target = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = parse_qs(target.query)
        call = Call(self.command, target.path, query, headers, self.server.storage)
        behaviour = self.server.behaviour
        limit = behaviour.upload_limit(call)
        call = replace(call, body=self._body(limit))
        if limit is not None:
            behaviour.dropped(call)
            return
        answer = behaviour.respond(call)
        with contextlib.suppress(ConnectionError):  # of a client that did not wait
            self._send(answer, behaviour.download_limit(call))

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815

    def _body(self, limit: int | None) -> bytes:
        """The body, or its first ``limit`` bytes; clients send it in one piece or in chunks."""
        if self.headers.get("Transfer-Encoding", "") != "chunked":
            size = int(self.headers.get("Content-Length", 0))
            return self.rfile.read(size if limit is None else min(size, limit))
        body = b""
        while (size := int(self.rfile.readline(), 16)) and (limit is None or len(body) < limit):
            body += self.rfile.read(size)
            self.rfile.readline()
        if size == 0:
            self.rfile.readline()
        return body[:limit]

    def _send(self, answer: Answer, limit: int | None) -> None:
        self.send_response(answer.status)
        for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:limit])

    def log_message(self, format: str, *args: object) -> None:
        """Nothing; :attr:`HubServer.requests` is the log."""
