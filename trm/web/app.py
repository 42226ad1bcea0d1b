"""The web application: its addresses, and what every answer has in common."""

import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from trm.errors import InputError, TrmError
from trm.python_calls import in_python
from trm.reading import parse_json
from trm.web.catalogue import PAGE, Catalogue
from trm.web.limits import Limits
from trm.web.puzzles import draw_puzzle, read_puzzle
from trm.web.run_curves import new_records, runs_json
from trm.web.solve_stream import SolveStream
from trm.web.solving import SolveRequest, Solving
from trm.web.turns import BusyError, Turns

#: The page uses its own files, and nothing else.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
Endpoint = Callable[[Request], Awaitable[Response]]


class Page:
    """What the page asks its server for.

    Args:
        catalogue: the models.
        runs: the folder of runs.
        limits: bounds of requests.
    """

    def __init__(self, catalogue: Catalogue, runs: Path, limits: Limits) -> None:
        self._catalogue, self._runs, self._limits = catalogue, runs, limits
        self.turns = Turns(limits.waiting)
        self._drawing = CapacityLimiter(1)

    def routes(self) -> list[Route]:
        """The addresses."""
        files = {path.name: path for path in PAGE.iterdir() if path.is_file()}
        return [
            Route("/", _file(files["page.html"])),
            *(Route(f"/{name}", _file(path)) for name, path in files.items()),
            Route("/api/models", _answer(self._get_models)),
            Route("/api/runs", _answer(self._get_runs)),
            Route("/api/records", _answer(self._get_records)),
            Route("/api/read", _answer(self._read), methods=["POST"]),
            Route("/api/draw", _answer(self._draw), methods=["POST"]),
            Route("/api/solve", _answer(self._solve), methods=["POST"]),
        ]

    async def _get_models(self, request: Request) -> Response:
        models = await to_thread.run_sync(self._catalogue.models)
        limits = {"steps": self._limits.steps, "rollouts": self._limits.rollouts}
        return JSONResponse({"models": [one.as_json() for one in models], "limits": limits})

    async def _get_runs(self, request: Request) -> Response:
        return JSONResponse({"runs": await to_thread.run_sync(runs_json, self._runs)})

    async def _get_records(self, request: Request) -> Response:
        start = request.query_params.get("start", "0")
        if not (start.isdecimal() and start.isascii() and len(start) < 16):
            raise InputError(f"start {start!r:.40} is no position. Give a number.")
        run = request.query_params.get("run", "")
        return JSONResponse(await to_thread.run_sync(new_records, self._runs, run, int(start)))

    async def _read(self, request: Request) -> Response:
        given = await self._json(request, model=str, text=str)
        return JSONResponse(await to_thread.run_sync(self._read_one, given["model"], given["text"]))

    def _read_one(self, model: str, text: str) -> dict[str, Any]:
        return read_puzzle(self._catalogue.load(model), text)

    async def _draw(self, request: Request) -> Response:
        given = await self._json(request, model=str, difficulty=str, seed=int)
        return JSONResponse(
            await to_thread.run_sync(self._draw_one, *given.values(), limiter=self._drawing)
        )

    def _draw_one(self, model: str, difficulty: str, seed: int) -> dict[str, Any]:
        return draw_puzzle(self._catalogue.load(model), difficulty, seed)

    async def _solve(self, request: Request) -> Response:
        solve = SolveRequest.of(await self._json(request))
        self.turns.enter()
        try:
            solving = await to_thread.run_sync(Solving, self._catalogue.load, solve, self._limits)
        except BaseException:
            self.turns.leave()
            raise
        return SolveStream(self.turns, solving, self._limits)

    async def _json(self, request: Request, **kinds: type) -> dict[str, Any]:
        """The object in a request, with values of these kinds, if they are given.

        Raises:
            InputError: if it is too long or too slow, is no such object, or is not said to be JSON.
        """
        if request.headers.get("content-type", "").partition(";")[0] != "application/json":
            raise InputError("the request is not JSON. Send Content-Type: application/json.")
        try:
            value = parse_json(await self._body(request))
        except ValueError as error:
            raise InputError(f"the request cannot be read: {error}. Send a JSON object.") from None
        if not isinstance(value, dict):
            raise InputError("the request is not a JSON object. Send an object.")
        for name, kind in kinds.items():
            if type(value.get(name)) is not kind:
                raise InputError(f"the request has no {name} of type {kind.__name__}. Add it.")
        return {name: value[name] for name in kinds} if kinds else value

    async def _body(self, request: Request) -> bytes:
        body, most = b"", self._limits.body_bytes
        try:
            with anyio.fail_after(self._limits.body_seconds):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise InputError(f"the request has more than {most:,} bytes. Shorten it.")
        except TimeoutError:
            raise InputError("the request did not arrive in time. Send it again.") from None
        return body


def make_app(page: Page, token: str | None = None) -> ASGIApp:
    """The application.

    Args:
        page: what it answers.
        token: what every path begins with; None: only this machine is answered.
    """
    return _Guard(Starlette(routes=page.routes()), token)


class _Guard:
    """Refuses strangers, and adds the headers that every answer has.

    Without a token only names of this machine are answered, so that no other page can reach the
    server by a name of its own. A page of another origin is never answered.
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["type"] != "http":
            return
        headers, path = Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        app: ASGIApp = self._app
        if self._token is None:
            if host.rpartition(":")[0] not in _LOOPBACK and host not in _LOOPBACK:
                app = _error(
                    f"{host!r:.99} is not this machine. Open http://127.0.0.1 instead.", 403
                )
        else:
            start = f"/{self._token}/"
            if not secrets.compare_digest(path[: len(start)].encode(), start.encode()):
                app = _error("the token is missing. Open the address that trm web printed.", 403)
            scope = dict(scope, path=path[len(start) - 1 :])
        if origin is not None and origin.partition("://")[2] != host:
            app = _error("the request comes from another page. Open the page itself.", 403)
        await app(scope, receive, send_with_headers)


def _error(message: str, status: int) -> JSONResponse:
    headers = {"Retry-After": "2"} if status == 503 else None
    return JSONResponse({"error": in_python(message)}, status, headers=headers)


def _file(path: Path) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return FileResponse(path)

    return endpoint


def _answer(answer: Endpoint) -> Endpoint:
    """An endpoint whose errors are one line each."""

    async def endpoint(request: Request) -> Response:
        try:
            return await answer(request)
        except BusyError as error:
            return _error(str(error), 503)
        except ClientDisconnect:
            return Response(status_code=499)
        except TrmError as error:
            return _error(" ".join(str(error).split()), 400)

    return endpoint
