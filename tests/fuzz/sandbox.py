"""Run command lines in this process as a shell would, and say what is wrong with how they ended."""

import contextlib
import io
import os
import resource
import signal
import sys
import traceback
import unicodedata
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Self
from unittest import mock

import trm
from trm.cli import run
from trm.commands.solve import NOT_VALID
from trm.web.server import PageServer

#: Seconds of computing after which a command line is considered to hang. It may wait for longer,
#: as other programs use the processors too.
TIME_LIMIT = 10
_WAITING = 4
#: Bytes of memory that a command line may take in addition to those that are in use already.
MEMORY_LIMIT = 1 << 30
#: Texts that set the direction of what follows: they can make a line read as something else.
_BIDI = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_PACKAGE = Path(trm.__file__).parent
ENVIRONMENT = {"COLUMNS": "200", "NO_COLOR": "1", "HF_HUB_OFFLINE": "1", "PYTHONIOENCODING": "utf8"}


class HangError(BaseException):
    """A command line took too long. No handler of ``Exception`` can swallow it."""


@dataclass
class Outcome:
    """How a command line ended.

    Attributes:
        code: the exit code; None after an exception that nobody caught.
        problems: what is wrong, most important first; the first word says of which kind it is.
        trace: the traceback of such an exception.
    """

    code: int | None
    out: str
    err: str
    problems: list[str] = field(default_factory=list)
    trace: str = ""


class Sandbox:
    """Runs command lines in a folder, without network and with limits on time and memory."""

    def __init__(self, folder: Path, seconds: float = TIME_LIMIT) -> None:
        self.folder = folder
        self.seconds = seconds
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        self._stack.enter_context(contextlib.chdir(self.folder))
        self._stack.enter_context(_environment())
        # A page is served until Ctrl-C.
        self._stack.enter_context(mock.patch.object(PageServer, "run", PageServer.close))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def run(self, arguments: Sequence[str], stdin: bytes = b"") -> Outcome:
        """Run a command line with ``stdin`` on standard input."""
        out, err = io.BytesIO(), io.BytesIO()
        streams = (
            io.TextIOWrapper(io.BytesIO(stdin), "utf-8"),
            io.TextIOWrapper(out, "utf-8", write_through=True),
            io.TextIOWrapper(err, "utf-8", errors="backslashreplace", write_through=True),
        )
        code, crash = None, None
        before = sys.stdin, sys.stdout, sys.stderr
        try:
            with _limits(self.seconds), warnings.catch_warnings():
                warnings.resetwarnings()
                sys.stdin, sys.stdout, sys.stderr = streams
                code = run(list(arguments))
        except BaseException as error:
            crash = error
        finally:
            sys.stdin, sys.stdout, sys.stderr = before
        if isinstance(crash, KeyboardInterrupt) or code == 130:
            raise KeyboardInterrupt
        texts = [stream.getvalue().decode("utf-8", "backslashreplace") for stream in (out, err)]
        outcome = Outcome(code, *texts)
        if crash is not None:
            outcome.problems.append(f"exception {_where(crash)}")
            outcome.trace = "".join(traceback.format_exception(crash))
        else:
            outcome.problems += output_problems(outcome)
        return outcome


def output_problems(outcome: Outcome) -> list[str]:
    """What is wrong with the exit code and the texts of a command line that ended by itself."""
    problems = []
    says_so = "no valid answer found" in outcome.out or '"valid": false' in outcome.out
    if outcome.code not in (0, 1, 2) and not (outcome.code == NOT_VALID and says_so):
        problems.append(f"code {outcome.code}")
    text = outcome.out + outcome.err
    if "Traceback (most recent" in text or "Exception ignored" in text:
        problems.append(f"traceback {text.splitlines()[-1][:100]!r}")
    if "trm: error: not enough memory" in text:
        problems.append("memory")
    wild = sorted({char for char in text if _is_wild(char)})
    if wild:
        problems.append(f"control {''.join(wild)!r}")
    lines = outcome.err.splitlines()
    errors = [number for number, line in enumerate(lines) if line.startswith("trm: error:")]
    if outcome.code in (0, NOT_VALID) and errors:
        problems.append(f"error although the exit code is {outcome.code}")
    if outcome.code in (1, 2) and errors != [len(lines) - 1]:
        problems.append(f"lines not one error at the end but {lines[-3:]!r:.300}")
    return problems


def _is_wild(char: str) -> bool:
    """Whether a terminal may do something else than show a character."""
    return char != "\n" and (unicodedata.category(char) in ("Cc", "Cs") or char in _BIDI)


def _where(error: BaseException) -> str:
    """The type of an exception, and the innermost place of trm that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(_PACKAGE)]
    place = ""
    if own:
        name = Path(own[-1].filename).relative_to(_PACKAGE).as_posix()
        place = f" at {name}:{own[-1].name}"
    return type(error).__name__ + place


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Without colours, and with a Hub that cannot be reached."""
    before = dict(os.environ)
    os.environ.update(ENVIRONMENT)
    constants: Any = __import__("huggingface_hub.constants", fromlist=["constants"])
    was_offline, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """Raise :class:`HangError` after a time, and ``MemoryError`` for a large allocation."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, seconds * _WAITING),
    )
    handlers = [signal.signal(number, stop) for number, *_ in timers]
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_address_space() + MEMORY_LIMIT, hard))
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for _, timer, _ in timers:
            signal.setitimer(timer, 0)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
        for (number, *_), handler in zip(timers, handlers, strict=True):
            signal.signal(number, handler)


def _address_space() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()
