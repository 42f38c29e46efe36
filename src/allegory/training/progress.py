"""What a run tells those who watch it, and a bar that shows it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """Where a run stands: steps and items so far, mean loss since the last report, times in seconds.

    `progress` is the share of the budget that is spent, in [0, 1]; `seconds` counts all sessions of the run.
    """

    step: int
    images: int
    loss: float
    progress: float
    seconds: float
    remaining: float


Callback = Callable[[Progress], None]


@contextmanager
def bar(unit: str = "") -> Iterator[Callback]:
    """A progress bar on standard error. Give its callback to `train`; `unit` is that of the loss."""
    from rich.console import Console
    from rich.progress import BarColumn, TaskProgressColumn, TextColumn
    from rich.progress import Progress as Display

    columns = (
        TextColumn("step {task.fields[step]}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn(f"loss {{task.fields[loss]}} {unit}".rstrip()),
        TextColumn("{task.fields[left]} left"),
    )
    with Display(*columns, console=Console(stderr=True)) as display:
        task = display.add_task("training", total=1.0, step=0, loss="-", left="-:--")

        def show(now: Progress) -> None:
            left = clock(now.remaining)
            display.update(
                task, completed=now.progress, step=now.step, loss=f"{now.loss:.4f}", left=left
            )

        yield show


def clock(seconds: float) -> str:
    """Seconds as m:ss, or h:mm:ss from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
