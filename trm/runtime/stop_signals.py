"""SIGINT, SIGTERM and SIGHUP ask a run to finish its step. A second signal ends it at once."""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType

#: Signals within this many seconds count as one, but for Ctrl-C. A scheduler sends SIGTERM to
#: every process, the launcher passes its own on, and the kernel sends one per thread when the
#: launcher has died.
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
def stop_requests(acknowledge: Callable[[], None] | None = None) -> Iterator[StopRequest]:
    """Handle these signals inside the block (main thread only), except SIGHUP under nohup.

    Args:
        acknowledge: see :func:`on_interrupt`.
    """
    request = StopRequest()
    handled = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and not ignores_hangup():  # not on Windows
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

    with contextlib.ExitStack() as stack:
        for number in handled:
            stack.callback(signal.signal, number, previous[number])
            signal.signal(number, handle)
        if acknowledge is not None:
            stack.enter_context(on_interrupt(acknowledge))
        yield request


def remember_interrupts() -> Callable[[], bool]:
    """Let the function that this returns say whether SIGINT has come, in the rest of the process.

    It raises KeyboardInterrupt as before. Nothing changes if it has another handler.
    """
    count = 0

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        signal.default_int_handler(number, frame)

    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, handle)
    return lambda: count > 0


def ignores_hangup() -> bool:
    """Whether ``nohup`` started this process."""
    return hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@contextlib.contextmanager
def on_interrupt(call: Callable[[], None]) -> Iterator[None]:
    """Call a function at the first SIGINT inside the block (main thread only), in a thread.

    It is called at once. A signal handler would have to wait until Python is back from a step in
    C++. And it may print, which a handler may not: it could interrupt another print.
    """
    receiving, sending = socket.socketpair()
    sending.setblocking(False)

    def wait() -> None:
        while numbers := receiving.recv(64):
            if signal.SIGINT in numbers:
                call()
                return

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    previous = signal.set_wakeup_fd(sending.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(previous)
        sending.close()  # ends the thread
        thread.join()
        receiving.close()
