"""Output of `allegory train`: device and precision, validation losses, remarks at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..launch import process_count
from . import tables

if TYPE_CHECKING:
    from ..recipes import Run
    from ..recipes.execute import Built
    from ..training import Callback, Progress, Result, TrainingConfig

_MUCH = 10**9
"""Bytes of memory that are worth a line."""
_FEW_STEPS = 0.8
"""Fraction of the expected number of steps below which a run gets a remark."""


def device_line(training: TrainingConfig) -> str:
    """Device, precision and processes of a run in one line.

    Args:
        training: the configuration of the run.

    Raises:
        ValueError: for a device that is absent.
    """
    from ..training.device import described, torch_device

    count = process_count()
    processes = f", in {count} processes" if count > 1 else ""
    return f"training in {described(training, torch_device(training.device))}{processes}"


def memory_line(built: Built) -> str | None:
    """What a step of training takes, in one line; None for less than a gigabyte.

    Args:
        built: the run with its model and data.
    """
    from ..data.memory import free_memory, gigabytes

    size, free = built.training_bytes, free_memory()
    if size < _MUCH:
        return None
    line = f"a step takes about {gigabytes(size)} of memory"
    if free is not None and size > free:
        line += f", and {gigabytes(free)} are free: give a smaller --training.batch_size"
    return line


def remark_memory(built: Built) -> None:
    """Print what a step of training of `built` takes, where that is much."""
    if line := memory_line(built):
        tables.remark(line)


def printed_once(text: str) -> Callback:
    """A callback of training that prints the line `text` on standard error at its first call."""
    printed: list[str] = []

    def print_text(now: Progress) -> None:
        if not printed:
            printed.append(text)
            tables.remark(text)

    return print_text


def validation_figures(result: Result) -> dict[str, object]:
    """The validation losses of the `result` of a run, as named figures; none without validation."""
    found = result.validation
    if found is None:
        return {}

    return {
        "validation loss": found.last,
        "best validation loss": found.best,
        "at step": found.best_step,
        "overfitted": found.overfitted,
    }


def remarks(run: Run, expected: TrainingConfig, result: Result, command: str) -> list[str]:
    """Remarks on a run that has ended: nothing to do, too few steps, overfitting.

    Args:
        run: the run.
        expected: the recipe's own training configuration; where it has steps and minutes, they are
            the pace that the recipe expects.
        result: the result of the run.
        command: the command that continues the run, without --resume.

    Returns:
        One line per remark.
    """
    if result.began == result.step:
        return [
            f"nothing to do: the run has had its budget, with {result.step:,} steps; to go on give "
            "--resume with a larger --steps or --minutes"
        ]

    lines = []
    wanted = expected_steps(run.training, expected)
    if wanted is not None and result.step < _FEW_STEPS * wanted:
        lines.append(
            f"only {result.step:,} steps in the time, where the recipe expects about "
            f"{wanted:,.0f}: the figures will be worse than it says; go on with {command} "
            f"--resume --training.steps {wanted:.0f} --training.minutes None"
        )

    found = result.validation
    if found is not None and found.best_step < result.step and found.overfitted:
        lines.append(
            f"overfitted: the validation loss was lowest at step {found.best_step:,} "
            f"({found.best:.4f} {run.unit}) and ended at {found.last:.4f}; the run's model is "
            f"that of step {found.best_step:,} (best.safetensors)"
        )
    return lines


def expected_steps(training: TrainingConfig, expected: TrainingConfig) -> float | None:
    """The number of steps of a run at the pace that its recipe expects.

    Args:
        training: the configuration of the run, with its budget.
        expected: the recipe's own; its steps and minutes are the pace.

    Returns:
        The number of steps; None where one of the budgets is not given.
    """
    if training.minutes is None or expected.steps is None or expected.minutes is None:
        return None

    by_pace = expected.steps * training.minutes / expected.minutes
    return by_pace if training.steps is None else min(by_pace, training.steps)
