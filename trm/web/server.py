"""The server of the page."""

import ipaddress
import secrets
import socket
from collections.abc import Callable, Sequence
from pathlib import Path

from trm.errors import ConfigError, InputError

try:
    import uvicorn
    from uvicorn import Server

    from trm.web.app import Page, make_app
except ImportError as error:
    raise ConfigError(
        f"the page needs {error.name}, which is not installed. Run: pip install starlette uvicorn"
    ) from error

from trm.web.catalogue import Catalogue
from trm.web.limits import Limits

#: The port that is tried first.
PORT = 8421
#: Every interface. Other machines need the name of this one.
_ALL = ("0.0.0.0", "::")


class PageServer(Server):
    """A server that is ready to run.

    Args:
        page: what it answers.
        host: the name or number of an interface. Others than loopback get a token in the address.
        port: None: :data:`PORT`, or a free one if that is taken.
        on_start: called with the address as soon as it answers.

    Raises:
        InputError: if it cannot listen there.
    """

    def __init__(
        self,
        page: Page,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        on_start: Callable[[str], None] = lambda address: None,
    ) -> None:
        self._on_start, self._socket = on_start, _listen(host, port)
        token = None if _is_loopback(self._socket.getsockname()[0]) else secrets.token_urlsafe(16)
        shown = socket.gethostname() if host in _ALL else f"[{host}]" if ":" in host else host
        path = "" if token is None else f"{token}/"
        #: The address of the page.
        self.address = f"http://{shown}:{self._socket.getsockname()[1]}/{path}"
        super().__init__(
            uvicorn.Config(
                make_app(page, token), http="h11", ws="none", loop="asyncio", lifespan="off",
                log_level="warning", access_log=False, server_header=False, limit_concurrency=256,
                timeout_keep_alive=10, timeout_graceful_shutdown=1,
            )
        )  # fmt: skip

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer until it is told to stop, such as by Ctrl-C."""
        try:
            super().run(sockets=[self._socket])
        finally:
            self.close()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """See uvicorn; then say that it answers."""
        await super().startup(sockets)
        self._on_start(self.address)


def serve(
    checkpoints: Sequence[str] = (),
    *,
    task: str | None = None,
    device: str = "auto",
    host: str = "127.0.0.1",
    port: int | None = None,
    runs: str | Path = "runs",
    on_start: Callable[[str], None] = lambda address: None,
) -> None:
    """Show a page on which models solve puzzles, until it is interrupted.

    Args:
        checkpoints: models as for :func:`trm.load`; none: all that are at hand.
        task: the task of a published checkpoint that does not name it.
        device: as for :func:`trm.load`.
        host, port: where it listens; see :class:`PageServer`.
        runs: the folder of the runs whose curves it shows.
        on_start: called with the address as soon as it answers.

    Raises:
        CheckpointError: if a model is missing or damaged.
        HubError: if it cannot be downloaded.
        InputError: if it cannot listen there.
    """
    catalogue = Catalogue(checkpoints, task=task, device=device, runs=Path(runs))
    page = Page(catalogue, Path(runs), Limits())
    PageServer(page, host=host, port=port, on_start=on_start).run()


def _listen(host: str, port: int | None) -> socket.socket:
    wanted = [PORT, 0] if port is None else [port]
    for number in wanted:
        try:
            family, *_, address = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            found = socket.socket(family, socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise InputError(f"--host {host}: {error}. Give an address of this machine.") from None
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(address)
            found.listen(128)
        except OSError as error:
            found.close()
            if number == wanted[-1]:
                where = f"--host {host}" if port is None else f"--port {port}"
                reason = error.strerror or error
                raise InputError(f"{where}: {reason}. Give another one.") from None
        else:
            return found
    raise AssertionError("one of them is the last")


def _is_loopback(number: str) -> bool:
    return ipaddress.ip_address(number).is_loopback
