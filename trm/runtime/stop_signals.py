"""SIGINT, SIGTERM and SIGHUP ask a run to finish its step; a second one ends it at once."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

#: A scheduler sends SIGTERM to every process, the launcher passes on its own, and the system says
#: once a thread that the launcher has died: all that is one.
_SAME_S = 1.0


class StopRequest:
    """Whether the process has been asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell or scheduler expects: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

        That of SIGTERM too where another process was asked.
        """
        return 128 + (self.signal or signal.SIGTERM)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Listen for these signals inside the block (main thread only); SIGHUP unless under nohup."""
    request = StopRequest()
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in handled}

    asked_at = 0.0

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        now = time.monotonic()
        if request.signal is None:
            request.signal, asked_at = signal.Signals(number), now
        elif number == signal.SIGINT or now - asked_at > _SAME_S:
            signal.signal(number, previous[signal.Signals(number)])
            os.kill(os.getpid(), number)

    try:
        for number in handled:
            signal.signal(number, ask)
        yield request
    finally:
        for number in handled:
            signal.signal(number, previous[number])
