"""A process that another one started: torch's elastic launcher (trm's own, or torchrun's), or trm.

It ends within seconds after its launcher, whatever it is doing then; see :func:`end_with_launcher`.
"""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping
from pathlib import Path

from trm import errors
from trm.errors import TrmError

#: Set in the environment of workers whose errors the launcher prints.
LAUNCHER_SHOWS_ERRORS = "LAUNCHER_SHOWS_ERRORS"
#: The environment variable with the process ID of trm's own launcher, or of ``trm compare``.
LAUNCHER_PID = "LAUNCHER_PID"
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.5
_saves = threading.Event()


def is_elastic_worker(environment: Mapping[str, str]) -> bool:
    """Whether the elastic launcher, trm's own or torchrun, started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def num_restarts(environment: Mapping[str, str]) -> int:
    """How often the launcher has started its workers again."""
    return int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))


def allowed_restarts(environment: Mapping[str, str]) -> int:
    """How often the launcher may start its workers again."""
    return int(environment.get("TORCHELASTIC_MAX_RESTARTS", "0"))


def end_with_launcher(
    environment: MutableMapping[str, str], step_s: float = 5.0, save_s: float = 600.0
) -> None:
    """Make a worker end with its launcher. Call it first in a process. Nothing else is affected.

    A launcher that is killed cannot end its workers. They get SIGTERM. That ends them at once, or
    training at its next step, with a checkpoint. A worker that waits for others in C++ notices no
    signal, so a thread ends it a little later.

    Until :func:`handle_interrupts`, SIGINT ends a worker of the elastic launcher at once, also
    while it waits in C++.

    Args:
        environment: the variables of this process.
        step_s: how long a worker may take after that to finish its step, in seconds.
        save_s: how long it may take to save, see :func:`allow_last_save`.
    """
    is_worker = is_elastic_worker(environment)
    if not is_worker and LAUNCHER_PID not in environment:
        return
    if is_worker:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    launcher = int(environment.pop(LAUNCHER_PID, os.getppid()))  # processes of ours are no workers
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if sys.platform == "win32":  # there a process keeps the ID of its parent
        return
    if os.getppid() != launcher:  # it has died already
        os._exit(128 + signal.SIGTERM)

    def watch() -> None:
        while os.getppid() == launcher:
            time.sleep(_POLL_S)
        if sys.platform != "linux":
            os.kill(os.getpid(), signal.SIGTERM)
        if _saves.wait(step_s):
            time.sleep(save_s)
        os._exit(128 + signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


def handle_interrupts() -> None:
    """Let SIGINT raise KeyboardInterrupt in a worker from now on."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def allow_last_save() -> None:
    """Let a worker finish its last checkpoint, even without its launcher."""
    _saves.set()


@contextlib.contextmanager
def elastic_worker(environment: Mapping[str, str]) -> Iterator[None]:
    """Inside the block, report errors to the launcher.

    Without a launcher nothing happens.

    Raises:
        TrmError: at once, if the attempt before this one ended with such an error. Trying again
            does not help.
    """
    if not is_elastic_worker(environment):
        yield
        return
    file = environment.get(_ERROR_FILE)
    if file is not None and (attempt := num_restarts(environment)):
        _raise_error_of_attempt(attempt - 1, file)
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    handler = get_error_handler()
    handler.initialize()
    try:
        yield
    except Exception as error:
        if file is None:
            handler.record_exception(error)  # only logs it
            raise
        # The launcher may read the file, or end this process, at any time.
        partial = Path(file).with_suffix(".partial")
        os.environ[_ERROR_FILE] = str(partial)
        try:
            handler.record_exception(error)
            partial.replace(file)
        except OSError:  # a full disk, which may be the error itself
            partial.unlink(missing_ok=True)
        finally:
            os.environ[_ERROR_FILE] = file
        raise


def _raise_error_of_attempt(attempt: int, file: str) -> None:
    """Raise the TrmError that ended an attempt, if there was one, and report it to the launcher."""
    folder = Path(file).parents[1].with_name(f"attempt_{attempt}")
    for earlier in sorted(folder.glob("*/error.json")):
        error: TrmError | None = None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            error = parse_error(
                json.loads(earlier.read_text(encoding="utf-8"))["message"]["message"]
            )
        if error is not None:
            shutil.copyfile(earlier, Path(file).with_suffix(".partial")).replace(file)
            raise error


def parse_error(text: str) -> TrmError | None:
    """The error that a worker reported as ``Kind: message``, None if it is not a TrmError."""
    kind, _, message = text.partition(": ")
    found = getattr(errors, kind, None) if kind.isidentifier() else None
    return found(message) if isinstance(found, type) and issubclass(found, TrmError) else None
