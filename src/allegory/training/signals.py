"""Ctrl-C and SIGTERM during training, which take effect after the current step."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class Stop:
    """The stop signals that the run has received."""

    def __init__(self) -> None:
        self.received: list[signal.Signals] = []
        self.is_writing = False

    @property
    def requested(self) -> bool:
        """Whether a signal has arrived."""
        return bool(self.received)

    @property
    def terminated(self) -> bool:
        """Whether SIGTERM has arrived."""
        return signal.SIGTERM in self.received

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Inside the block, a second signal is ignored, so that a checkpoint is written whole."""
        self.is_writing = True
        try:
            yield
        finally:
            self.is_writing = False


@contextmanager
def interrupts() -> Iterator[Stop]:
    """Inside the block, the first SIGINT and the first SIGTERM are noted, and do nothing else.

    A second one of a kind is handled as before the block, except while a checkpoint is written.
    Python delivers signals to the main thread only; in another thread the block changes nothing.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request(number: int, frame: FrameType | None) -> None:
        received = signal.Signals(number)
        if received not in stop.received:
            stop.received.append(received)
        elif not stop.is_writing:
            signal.signal(number, before[received])
            signal.raise_signal(number)

    for number in before:
        signal.signal(number, request)

    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
