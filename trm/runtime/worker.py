"""A process that torch's elastic launcher started: trm's own launcher, or torchrun."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from trm import errors
from trm.errors import TrmError

#: Set in the environment of workers whose errors the launcher prints.
LAUNCHER_SHOWS_ERRORS = "LAUNCHER_SHOWS_ERRORS"
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1


def is_elastic_worker(environment: Mapping[str, str]) -> bool:
    """Whether the elastic launcher, trm's own or torchrun, started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


def num_restarts(environment: Mapping[str, str]) -> int:
    """How often the launcher has started its workers again."""
    return int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))


def allowed_restarts(environment: Mapping[str, str]) -> int:
    """How often the launcher may start its workers again."""
    return int(environment.get("TORCHELASTIC_MAX_RESTARTS", "0"))


@contextlib.contextmanager
def elastic_worker(environment: Mapping[str, str]) -> Iterator[None]:
    """Inside the block, end with the launcher, and report errors to it.

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
    if sys.platform == "linux":
        # If the launcher dies, its workers get SIGTERM: they save and end.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
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
