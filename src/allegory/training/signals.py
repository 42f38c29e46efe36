"""Ctrl-C and SIGTERM during training, which take effect after the current step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """Whether the run has received a stop signal, and which."""

    def __init__(self) -> None:
        self.requested = False
        self.number: int = signal.SIGINT


@contextmanager
def interrupts() -> Iterator[Stop]:
    """Inside the block, the first SIGINT or SIGTERM sets `requested` and does nothing else.

    A second one is handled as before the block. Python delivers signals to the main thread only;
    in another thread the block changes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: FrameType | None) -> None:
        stop.requested = True
        stop.number = number
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, request)

    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
