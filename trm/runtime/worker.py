"""Being one of the processes that torch's elastic launcher started, ours or torchrun's."""

import contextlib
import ctypes
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from trm import errors
from trm.errors import TrmError

#: Set in the environment of processes whose errors are printed by their launcher.
TOLD_BY_LAUNCHER = "ERRORS_TOLD_BY_LAUNCHER"
_ERROR_FILE = "TORCHELASTIC_ERROR_FILE"
_PR_SET_PDEATHSIG = 1

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ErrorHandler


def is_started_by_elastic(environment: Mapping[str, str]) -> bool:
    """Whether the elastic launcher, ours or torchrun, started this process."""
    return "TORCHELASTIC_RUN_ID" in environment


@contextlib.contextmanager
def as_worker(environment: Mapping[str, str]) -> Iterator[None]:
    """Be a process of the launcher inside the block: ends with it, and tells it of errors.

    Raises:
        TrmError: at once if an earlier attempt ended with an error of ours, which trying again
            does not mend.
    """
    if not is_started_by_elastic(environment):
        yield
        return
    _refuse_again(environment)
    if sys.platform == "linux":
        # A launcher that dies takes its processes with it: they save and end.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    from torch.distributed.elastic.multiprocessing.errors import get_error_handler

    handler = get_error_handler()
    handler.initialize()
    try:
        yield
    except Exception as error:
        _record(error, handler, environment.get(_ERROR_FILE))
        raise


def _record(error: Exception, handler: "ErrorHandler", file: str | None) -> None:
    """Write the error for the launcher, which may end this process or read the file at any time."""
    if file is None:
        handler.record_exception(error)  # only says it
        return
    partial = Path(file).with_suffix(".partial")
    os.environ[_ERROR_FILE] = str(partial)
    try:
        handler.record_exception(error)
        partial.replace(file)
    except OSError:  # a full disk, of which the error itself may tell
        partial.unlink(missing_ok=True)
    finally:
        os.environ[_ERROR_FILE] = file


def _refuse_again(environment: Mapping[str, str]) -> None:
    """Raise the error for which the attempt before this one ended, if it is one of ours."""
    own = environment.get(_ERROR_FILE)
    attempt = int(environment.get("TORCHELASTIC_RESTART_COUNT", "0"))
    if own is None or attempt == 0:
        return
    before = Path(own).parents[1].with_name(f"attempt_{attempt - 1}")
    for file in sorted(before.glob("*/error.json")):
        error: TrmError | None = None
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            error = error_of(json.loads(file.read_text(encoding="utf-8"))["message"]["message"])
        if error is not None:
            # For the launcher, as if it had happened here.
            shutil.copyfile(file, Path(own).with_suffix(".partial")).replace(own)
            raise error


def error_of(text: str) -> TrmError | None:
    """The error that a process wrote as ``Kind: message``; None if it is none of ours."""
    kind, _, message = text.partition(": ")
    found = getattr(errors, kind, None) if kind.isidentifier() else None
    return found(message) if isinstance(found, type) and issubclass(found, TrmError) else None
