"""Progress reports of a training run, and their display."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ..progress import OnProgress, progress


@dataclass(frozen=True)
class Progress:
    """A progress report of a run.

    Args:
        step: optimizer steps so far.
        images: items seen so far.
        loss: mean loss since the last report.
        progress: fraction of the budget that is spent, in [0, 1].
        seconds: time of all sessions of the run.
        remaining: estimated seconds to the end of the budget.
        stage: what is trained, of a run of several stages.
        unit: of the loss, where it is not that of the run.
    """

    step: int
    images: int
    loss: float
    progress: float
    seconds: float
    remaining: float
    stage: str = "training"
    unit: str | None = None


Callback = Callable[[Progress], None]


def shown_by(on_progress: OnProgress, unit: str = "") -> Callback:
    """A callback for `train` that reports steps and loss to a display.

    Args:
        on_progress: the display; see `allegory.progress`.
        unit: unit of the loss where a report has none; "" shows none.

    Returns:
        The callback. The total number of steps is an estimate where the budget is in minutes.
    """

    def show(now: Progress) -> None:
        total = round(now.step / now.progress)
        loss = f"loss {now.loss:.4f} {unit if now.unit is None else now.unit}"
        on_progress(now.stage, now.step, total, loss.rstrip())

    return show


@contextmanager
def bar(unit: str = "", terminal: bool | None = None) -> Iterator[Callback]:
    """A progress bar for `train` on standard error; in a log file a line every ten seconds.

    Args:
        unit: unit of the loss; "" shows none.
        terminal: True for a bar, False for lines; None: a bar if standard error is a terminal.

    Yields:
        The callback to give to `train`.
    """
    with progress(terminal) as on_progress:
        on_progress("loading data", 0, 1)
        yield shown_by(on_progress, unit)
