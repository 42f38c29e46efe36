"""Progress reports of a training run, and how they are shown."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..progress import OnProgress, progress


@dataclass(frozen=True)
class Progress:
    """How far a run is.

    Args:
        step: optimizer steps so far.
        images: items seen so far.
        loss: mean loss since the last report.
        progress: spent share of the budget, in [0, 1].
        seconds: time of all sessions of the run.
        remaining: seconds left.
    """

    step: int
    images: int
    loss: float
    progress: float
    seconds: float
    remaining: float


Callback = Callable[[Progress], None]


def shown_by(on_progress: OnProgress, unit: str = "") -> Callback:
    """A callback for `train` that passes steps and loss on to a display.

    Args:
        on_progress: the display; see `allegory.progress`.
        unit: unit of the loss.

    Returns:
        The callback. The total number of steps is an estimate where the budget is in minutes.
    """

    def show(now: Progress) -> None:
        total = round(now.step / now.progress)
        on_progress("training", now.step, total, f"loss {now.loss:.4f} {unit}".rstrip())

    return show


@contextmanager
def bar(unit: str = "", terminal: bool | None = None) -> Iterator[Callback]:
    """A progress bar on standard error (in a log file a line every ten seconds) for `train`.

    Args:
        unit: unit of the loss.
        terminal: True for a bar, False for lines; None: a bar if standard error is a terminal.

    Yields:
        The callback to give to `train`.
    """
    with progress(terminal) as on_progress:
        on_progress("loading data", 0, 1)
        yield shown_by(on_progress, unit)
