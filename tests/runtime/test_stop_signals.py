"""Signals that ask a run to stop."""

import os
import queue
import signal
import time

import pytest

from trm.runtime.stop_signals import stop_requests


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["int", "term"]
)
def test_a_signal_asks_to_stop_and_handlers_come_back(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    with stop_requests() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert stop.exit_code == code
    assert signal.getsignal(number) == before


def test_an_interrupt_is_acknowledged_once() -> None:
    calls: queue.SimpleQueue[str] = queue.SimpleQueue()
    before = signal.set_wakeup_fd(-1)
    with stop_requests(lambda: calls.put("stopping")):
        os.kill(os.getpid(), signal.SIGINT)
        assert calls.get(timeout=60) == "stopping"
    assert calls.empty()
    assert signal.set_wakeup_fd(before) == -1


def test_a_second_interrupt_ends_it_at_once() -> None:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background
    try:
        with stop_requests(), pytest.raises(KeyboardInterrupt):  # noqa: PT012
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_termination_that_comes_by_two_ways_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler sends it to all processes, and the launcher passes on its own."""
    ended: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append(number))
    try:
        with stop_requests() as stop:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGTERM)
            assert (stop(), ended) == (True, [])
            later = time.monotonic() + 2
            monkeypatch.setattr(time, "monotonic", lambda: later)
            os.kill(os.getpid(), signal.SIGTERM)
            assert ended == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)
