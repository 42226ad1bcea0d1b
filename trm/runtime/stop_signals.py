"""SIGINT, SIGTERM and SIGHUP ask a run to finish its step. A second signal ends it at once."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from types import FrameType

#: Signals within this many seconds count as one. A scheduler sends SIGTERM to every process, the
#: launcher passes its own on, and the kernel sends one per thread when the launcher has died.
_SAME_S = 1.0


class StopRequest:
    """Whether the process was asked to stop, and by which signal."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None

    def __call__(self) -> bool:
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """What a shell or scheduler expects: 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

        Also that of SIGTERM if only another process was asked.
        """
        return 128 + (self.signal or signal.SIGTERM)


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Handle these signals inside the block (main thread only), except SIGHUP under nohup."""
    request = StopRequest()
    handled = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        handled.append(signal.SIGHUP)
    previous = {number: signal.getsignal(number) for number in handled}
    requested_at = 0.0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal requested_at
        now = time.monotonic()
        if request.signal is None:
            request.signal, requested_at = signal.Signals(number), now
        elif number == signal.SIGINT or now - requested_at > _SAME_S:
            signal.signal(number, previous[signal.Signals(number)])
            os.kill(os.getpid(), number)

    try:
        for number in handled:
            signal.signal(number, handle)
        yield request
    finally:
        for number in handled:
            signal.signal(number, previous[number])
