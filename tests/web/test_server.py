"""The server of the page, by real HTTP on this machine."""

import json
import math
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest
from anyio.from_thread import start_blocking_portal
from starlette.types import Message

import trm
from tests.web.running import JSON, Running, running
from trm.errors import InputError
from trm.web.catalogue import Catalogue
from trm.web.limits import Limits
from trm.web.server import PageServer
from trm.web.solve_stream import SolveStream
from trm.web.solving import SolveRequest, Solving
from trm.web.turns import Turns

PUZZLE = "123434122143.321"
SIX = "6.1523.326..4....2...15.3.....1542.."
#: A solve that takes minutes, unless it is ended.
LONG = {"steps": 512, "samples": 64}


@pytest.fixture(scope="module")
def no_runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("none") / "runs"


@pytest.fixture(scope="module")
def server(trained_run: Path, no_runs: Path) -> Iterator[Running]:
    """A server of two models: one of 4x4 Sudokus, and the 6x6 one that comes with trm."""
    with running(trained_run, "sudoku-6x6", runs=no_runs) as found:
        yield found


def wait_until(is_true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.02)


def start_solve(server: Running, model: Path | str, puzzle: str, options: dict[str, int]) -> Any:
    """A solve whose first line has been read; the connection stays open."""
    connection = server.connect()
    body = {"models": [str(model)], "puzzle": puzzle, "options": options}
    connection.request("POST", "/api/solve", json.dumps(body), JSON)
    answer = connection.getresponse()
    assert answer.status == 200
    assert json.loads(answer.readline())["step"] == 1
    return connection, answer


def leave(opened: Any) -> None:
    """Go away in the middle of an answer."""
    connection, answer = opened
    connection.sock.shutdown(socket.SHUT_RDWR) if connection.sock else None
    answer.close()
    connection.close()


@pytest.mark.parametrize(
    "options",
    [{}, {"steps": 3}, {"samples": 3, "noise": 0.5}, {"votes": 4}, {"until_valid": True}],
    ids=str,
)
def test_a_stream_has_the_numbers_of_the_python_call(
    server: Running, trained_run: Path, options: dict[str, Any]
) -> None:
    *lines, end = server.solve(str(trained_run), puzzle=PUZZLE, **options)
    model = trm.load(trained_run, device="cpu")
    solution = model.solve(PUZZLE, **options)
    assert [line["step"] for line in lines] == [step.step for step in solution.steps]
    assert tuple(line["answer"] for line in lines) == solution.boards
    assert [line["halt"] for line in lines] == solution.as_json()["halt_probabilities"]
    for line, step in zip(lines, solution.steps, strict=True):
        assert line["tokens"] == step.board.tolist()
        assert line["confidence"] == pytest.approx(step.confidence, abs=1e-4)
        assert line["valid"] == model.task.is_valid(solution.puzzle.tokens, step.board)
    assert end["end"]["answer"] == solution.answer
    assert end["end"]["valid"] is solution.valid
    assert end["end"]["halt_step"] == solution.halt_step


def test_without_a_valid_answer_the_first_board_is_the_end(
    server: Running, trained_run: Path, mini_data: Path
) -> None:
    """The tries after it are shown too, and their steps are numbered on."""
    model = trm.load(trained_run, device="cpu")
    split = model.task.open_data([mini_data]).split("test")
    puzzles = [model.task.format(np.asarray(tokens)) for tokens in split.inputs[:32]]
    first = next(one for one in model.solve(puzzles, effort=0) if not one.valid)
    puzzle = model.task.format(first.puzzle.tokens)
    *lines, end = server.solve(str(trained_run), puzzle=puzzle, guesses=1, steps=2)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    assert end["end"]["shown"] == (4 if lines[-1]["valid"] else 2)
    assert end["end"]["answer"] == lines[end["end"]["shown"] - 1]["answer"]
    assert end["end"]["valid"] is lines[-1]["valid"]


def test_two_models_take_their_steps_in_turn(trained_run: Path, no_runs: Path) -> None:
    link = no_runs.parent / "again"
    link.symlink_to(trained_run)
    with running(trained_run, link, runs=no_runs) as server:
        lines = server.solve(str(trained_run), str(link), puzzle=PUZZLE, steps=3)
    assert [(line["model"], line.get("step")) for line in lines] == [
        (model, step) for step in (1, 2, 3, None) for model in (0, 1)
    ]
    assert lines[0] == lines[1] | {"model": 0}


def test_the_models_that_were_named_are_offered(server: Running, trained_run: Path) -> None:
    found = server.json("api/models")
    assert [(one["name"], one["size"]) for one in found["models"]] == [
        (str(trained_run), 4), ("sudoku-6x6", 6)
    ]  # fmt: skip
    assert found["limits"] == {"steps": 512, "rollouts": 64}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("{", r"the request cannot be read: it is not JSON: .*\. Send a JSON object\."),
        ("[" * 5000, r"the request cannot be read: it is nested too deeply\. Send a JSON object\."),
        (b"\xff", r"the request cannot be read: it is not UTF-8 text .*"),
        ("[]", r"the request is not a JSON object\. Send an object\."),
        ({}, r"models: Field required\. Correct it\."),
        ({"models": [], "puzzle": ""}, r"models: .* at least 1 item.*"),
        ({"models": ["a"], "puzzle": 3}, r"puzzle: Input should be a valid string.*"),
        ({"models": ["/etc"], "puzzle": ""}, r"'/etc' is not among the models here\. .*"),
        ({"models": ["sudoku-6x6"], "puzzle": ""}, r"no puzzle was given\..*"),
        ({"models": ["sudoku-6x6"], "puzzle": "6.1"}, r"the puzzle has 3 characters, not 36\..*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"stepz": 3}},
         r"there is no option 'stepz' here\. Did you mean 'steps'\? .*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"steps": 0}}, r"steps=0: .*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"steps": 9999}},
         r"9,999 steps are too many here\. Take at most 512; the command trm solve takes more\."),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"votes": 20, "samples": 4}},
         r"20 votes x 4 samples are 80 rollouts, too many here\. Take at most 64; .*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"guesses": 65}},
         r"65 guesses are too many here\. Take at most 64; .*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"effort": 3}},
         r"effort 3 is too much here\. Take at most 2; .*"),
        ({"models": ["sudoku-6x6"], "puzzle": SIX, "options": {"guesses": 2, "rounds": 600}},
         r"600 steps are too many here\..*"),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_bad_request_is_one_clear_line(server: Running, body: Any, message: str) -> None:
    status, problem = server.problem("api/solve", body)
    assert status == 400
    assert re.fullmatch(message, problem), problem
    assert server.page.turns.inside == 0


def test_a_long_request_is_refused(server: Running) -> None:
    status, problem = server.problem("api/solve", "x" * 300_000)
    assert (status, problem) == (400, "the request has more than 262,144 bytes. Shorten it.")


def test_a_slow_request_is_refused(trained_run: Path, no_runs: Path) -> None:
    with running(trained_run, runs=no_runs, limits=Limits(body_seconds=0.2)) as server:
        connection = server.connect()
        connection.putrequest("POST", "/api/solve")
        connection.putheader("Content-Type", "application/json")
        connection.putheader("Content-Length", "100")
        connection.endheaders(b"{")
        answer = connection.getresponse()
        assert answer.status == 400
        assert "did not arrive in time" in json.loads(answer.read())["error"]
        connection.close()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 400),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:80"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
    ],
    ids=str,
)
def test_other_pages_are_refused(server: Running, headers: dict[str, str], status: int) -> None:
    body = {"models": ["sudoku-6x6"], "puzzle": SIX}
    assert server.problem("api/solve", body, headers=headers)[0] == status


def test_every_answer_has_a_strict_policy(server: Running) -> None:
    for path in ("", "page.js", "page.css", "icon.svg", "api/models", "api/none"):
        connection = server.connect()
        connection.request("GET", f"/{path}")
        answer = connection.getresponse()
        policy = answer.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "Set-Cookie" not in answer.headers
        assert answer.status == (404 if path == "api/none" else 200)
        connection.close()
    assert server.request("../pyproject.toml")[0] == 404
    assert server.request("%2e%2e/app.py")[0] == 404


def test_the_page_uses_no_other_host() -> None:
    page = Path(trm.__file__).parent / "web" / "page"
    for file in page.iterdir():
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text
        assert "https:" not in text
        assert len(text.splitlines()) <= 400


def test_beyond_the_queue_it_is_busy(trained_run: Path, no_runs: Path) -> None:
    with running(trained_run, runs=no_runs, limits=Limits(waiting=1)) as server:
        first = start_solve(server, trained_run, PUZZLE, LONG)
        waiting = threading.Thread(
            target=lambda: server.solve(str(trained_run), puzzle=PUZZLE, steps=1)
        )
        waiting.start()
        wait_until(lambda: server.page.turns.inside == 2)
        status, problem = server.problem(
            "api/solve", {"models": [str(trained_run)], "puzzle": PUZZLE}
        )
        assert status == 503
        assert problem == "busy: 2 solves run or wait already. Try again in a moment."
        leave(first)
        waiting.join(30)
        wait_until(lambda: server.page.turns.inside == 0)
        assert server.solve(str(trained_run), puzzle=PUZZLE)[-1]["end"]["valid"] is True


def test_a_client_that_goes_away_ends_its_solve(server: Running, trained_run: Path) -> None:
    opened = start_solve(server, trained_run, PUZZLE, LONG)
    assert server.page.turns.inside == 1
    leave(opened)
    wait_until(lambda: server.page.turns.inside == 0, seconds=10)


def test_a_client_that_does_not_read_ends_its_solve(trained_run: Path, no_runs: Path) -> None:
    """Its connection takes nothing, once the buffers are full."""
    turns = Turns(0)
    catalogue = Catalogue([str(trained_run)], device="cpu", runs=no_runs)
    request = SolveRequest.of({"models": [str(trained_run)], "puzzle": PUZZLE})

    async def send(message: Message) -> None:
        await anyio.sleep_forever()

    async def receive() -> Message:
        return await anyio.sleep_forever()  # type: ignore[return-value]

    async def answer() -> None:
        turns.enter()
        with anyio.fail_after(20):
            limits = Limits(send_seconds=0.1)
            stream = SolveStream(turns, Solving(catalogue.load, request, limits), limits)
            await stream({"type": "http", "asgi": {}}, receive, send)

    with start_blocking_portal() as portal:  # a thread: Playwright's loop may run in this one
        portal.call(answer)
    assert turns.inside == 0


def test_a_client_that_goes_away_while_it_waits(server: Running, trained_run: Path) -> None:
    first = start_solve(server, trained_run, PUZZLE, LONG)
    second = server.connect()
    body = json.dumps({"models": [str(trained_run)], "puzzle": PUZZLE})
    second.request("POST", "/api/solve", body, JSON)
    wait_until(lambda: server.page.turns.inside == 2)
    second.close()
    wait_until(lambda: server.page.turns.inside == 1, seconds=10)
    leave(first)
    wait_until(lambda: server.page.turns.inside == 0, seconds=10)


def test_a_solve_ends_when_its_time_is_over(trained_run: Path, no_runs: Path) -> None:
    with running(trained_run, runs=no_runs, limits=Limits(seconds=0.2)) as server:
        *_, last = server.solve(str(trained_run), puzzle=PUZZLE, **LONG)
    assert last == {"error": "stopped after 0.2 s. Ask for fewer steps."}


def test_fifty_clients_at_once_leave_it_answering(server: Running, trained_run: Path) -> None:
    statuses: Counter[int] = Counter()
    body = {"models": [str(trained_run)], "puzzle": PUZZLE, "options": {"steps": 2}}

    def ask() -> None:
        status, _ = server.request("api/solve", body)
        statuses[status] += 1

    threads = [threading.Thread(target=ask) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert statuses.total() == 50
    assert set(statuses) <= {200, 503}
    assert statuses[200] >= 5
    wait_until(lambda: server.page.turns.inside == 0)
    assert server.solve(str(trained_run), puzzle=PUZZLE)[-1]["end"]["valid"] is True


def test_another_host_needs_the_token(trained_run: Path, no_runs: Path) -> None:
    with running(trained_run, runs=no_runs, host="0.0.0.0") as server:
        token = server.address.split("/")[3]
        assert len(token) >= 20
        assert "<title>" in server.request("")[1]
        assert server.json("api/models")["models"]
        for path in ("/", "/api/models", f"/{token[:-1]}x/api/models", f"/{token}"):
            connection = server.connect()
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 403
            assert "token is missing" in json.loads(answer.read())["error"]
            connection.close()


def test_a_port_that_is_taken(server: Running, no_runs: Path) -> None:
    port = int(server.address.split(":")[2].strip("/"))
    with pytest.raises(InputError, match=rf"^--port {port}: Address already in use\. Give another"):
        PageServer(server.page, port=port)
    with pytest.raises(InputError, match=r"^--host no\.such\.host\.invalid: .* Give an address"):
        PageServer(server.page, host="no.such.host.invalid")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (SIX, SIX),
        (f"puzzle\n{SIX}\n", SIX),
        ("\n".join(SIX[i : i + 6] for i in range(0, 36, 6)), SIX),
        ("66" + SIX[2:], "66" + SIX[2:]),
    ],
    ids=["line", "csv", "drawn", "clash"],
)  # fmt: skip
def test_a_pasted_puzzle_is_read_as_trm_solve_reads_it(
    server: Running, text: str, tokens: str
) -> None:
    found = server.json("api/read", {"model": "sudoku-6x6", "text": text})
    assert found["grid"] == tokens
    assert found["tokens"] == [1 if c == "." else int(c) + 1 for c in tokens]


@pytest.mark.parametrize("difficulty", ["easy", "medium", "hard"])
def test_a_drawn_puzzle(server: Running, difficulty: str) -> None:
    body = {"model": "sudoku-6x6", "difficulty": difficulty, "seed": 5}
    found = server.json("api/draw", body)
    assert found == server.json("api/draw", body)
    assert found["grid"] != server.json("api/draw", body | {"seed": 6})["grid"]
    assert trm.load("sudoku-6x6").parse(found["grid"])


def test_a_drawn_puzzle_of_no_known_difficulty(server: Running) -> None:
    body = {"model": "sudoku-6x6", "difficulty": "odd", "seed": 5}
    assert server.problem("api/draw", body) == (
        400, "difficulty 'odd': give easy, medium, hard."
    )  # fmt: skip
    status, problem = server.problem("api/draw", {"model": "sudoku-6x6"})
    assert (status, problem) == (400, "the request has no difficulty of type str. Add it.")


def test_confidence_is_a_probability(server: Running) -> None:
    first, *_ = server.solve("sudoku-6x6", puzzle=SIX, votes=3)
    assert len(first["confidence"]) == 36
    assert all(1 / 8 <= share <= 1 and not math.isnan(share) for share in first["confidence"])
