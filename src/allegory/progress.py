"""Progress of long computations: stage, done of total, and the time that is left.

A long function calls its argument `on_progress` with (stage, done, total). The displays in this
module write to standard error: bars in a terminal, and elsewhere (in a log file) a line every ten
seconds.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from .launch import is_first

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

_FIRST_LINE_SECONDS = 2.0
_LINE_SECONDS = 10.0


@runtime_checkable
class OnProgress(Protocol):
    """The callback of a long function.

    Args:
        stage: name of the computation, e.g. "bits/dim of the test set".
        done: the amount that is done, in any unit.
        total: the whole amount, in that unit.
        note: further text, e.g. a loss.
    """

    def __call__(self, stage: str, done: float, total: float, note: str = "", /) -> None: ...


def silent(stage: str, done: float, total: float, note: str = "", /) -> None:
    """An `OnProgress` that shows nothing, whatever `stage`, `done`, `total` and `note` are."""


@contextmanager
def progress(terminal: bool | None = None) -> Iterator[OnProgress]:
    """A display of progress on standard error inside the block.

    Args:
        terminal: True for bars, False for lines; None: bars if standard error is a terminal.

    Yields:
        The argument `on_progress` of a long function; of several processes the first shows it.
    """
    if not is_first():
        yield silent
        return

    if sys.stderr.isatty() if terminal is None else terminal:
        with _bars() as bars:
            yield bars
        return

    lines = Lines()
    with lines.every(_LINE_SECONDS):
        yield lines


@dataclass(frozen=True)
class _Known:
    """The last progress of a stage, and the time and the progress at its first call."""

    stage: str
    done: float
    total: float
    note: str
    began: float
    first: float

    def left(self, now: float) -> str:
        """The time that is left at the pace so far; "" without progress since the first call."""
        if self.done <= self.first:
            return ""

        seconds = (now - self.began) * (self.total - self.done) / (self.done - self.first)
        return f"{clock(seconds)} left"


class _Stages:
    """The progress of each stage.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.last: _Known | None = None
        self._began: dict[str, tuple[float, float]] = {}

    def update(self, stage: str, done: float, total: float, note: str) -> _Known:
        """The progress of a stage, recorded."""
        began, first = self._began.setdefault(stage, (self.now(), done))
        self.last = _Known(stage, done, total, note, began, first)
        return self.last


class Lines:
    """An `OnProgress` for log files: the last progress as a line of text.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._stages = _Stages(now)

    def __call__(self, stage: str, done: float, total: float, note: str = "", /) -> None:
        self._stages.update(stage, done, total, note)

    def line(self) -> str:
        """E.g. "training: 120 of 2000, loss 1.98 bits/dim, 1:31 left"; "" before the first call.

        A stage of one part, such as the loading of data, has its name alone.
        """
        known = self._stages.last
        if known is None:
            return ""

        done = f"{known.done:.0f} of {known.total:.0f}" if known.total != 1 else ""
        parts = (done, known.note, known.left(self._stages.now()))
        text = ", ".join(filter(None, parts))
        return f"{known.stage}: {text}" if text else f"{known.stage} ..."

    @contextmanager
    def every(self, seconds: float) -> Iterator[None]:
        """Print the line every `seconds` seconds from a thread, also between two calls."""
        ended = threading.Event()

        def print_lines() -> None:
            wait = min(_FIRST_LINE_SECONDS, seconds)
            while not ended.wait(wait):
                wait = seconds
                if self.line():
                    print(self.line(), file=sys.stderr, flush=True)

        thread = threading.Thread(target=print_lines, daemon=True)
        thread.start()

        try:
            yield
        finally:
            ended.set()
            thread.join()


class _Bars:
    """An `OnProgress` for terminals: a bar for each stage."""

    def __init__(self, display: RichProgress) -> None:
        self._display = display
        self._stages = _Stages()
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, stage: str, done: float, total: float, note: str = "", /) -> None:
        known = self._stages.update(stage, done, total, note)
        if stage not in self._tasks:
            self._tasks[stage] = self._display.add_task(stage, note="", left="")

        left = known.left(self._stages.now())
        self._display.update(self._tasks[stage], completed=done, total=total, note=note, left=left)


@contextmanager
def _bars() -> Iterator[_Bars]:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[note]}"),
        TextColumn("{task.fields[left]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as display:
        yield _Bars(display)


def clock(seconds: float) -> str:
    """A time of `seconds` as m:ss, or from an hour on as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
