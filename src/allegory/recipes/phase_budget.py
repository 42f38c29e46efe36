"""Budgets and progress over the phases of a distillation, and of runs of two stages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..training import Callback, Progress, TrainingConfig
from ..training.checkpoint import has_state, read_checkpoint
from ..training.counters import Counters, saved_numbers
from .run_folder import RunFolder


def scaled_budget(training: TrainingConfig, scaled: Callable[[float], float]) -> TrainingConfig:
    """The training with another budget, of one step or more.

    Args:
        training: the training.
        scaled: from a number of steps, or of minutes, to that of the new budget.
    """
    steps, minutes = training.steps, training.minutes
    return replace(
        training,
        steps=None if steps is None else max(1, int(scaled(steps))),
        minutes=None if minutes is None else scaled(minutes),
    )


def is_finished(folder: Path, training: TrainingConfig | None = None) -> bool:
    """Whether a run has had its budget.

    Args:
        folder: of the run.
        training: whose budget; None for the one that the run began with.
    """
    if not (folder / "run.json").is_file() or not has_state(folder):
        return False
    now = counters_of(folder)
    training = training or RunFolder.open(folder).run.training
    return training.progress(now.step, now.seconds) >= 1


def counters_of(folder: Path) -> Counters:
    """Steps, items and seconds of the last checkpoint of a run.

    Args:
        folder: of the run.
    """
    return saved_numbers(read_checkpoint(folder).state).counters


def over_all(callback: Callback, place: tuple[int, int], before: Counters) -> Callback:
    """The callback for one phase out of several, with the numbers of all.

    Args:
        callback: called with the numbers of all.
        place: which phase it is, from 0, and how many there are; all have the same budget.
        before: the numbers of the phases before.
    """
    number, count = place

    def call(now: Progress) -> None:
        progress = (number + now.progress) / count
        seconds = before.seconds + now.seconds
        whole = replace(
            now,
            step=before.step + now.step,
            images=before.images + now.images,
            progress=progress,
            seconds=seconds,
            remaining=seconds * (1 - progress) / progress,
        )
        callback(whole)

    return call


def total(one: Counters, other: Counters) -> Counters:
    """Steps, items and seconds of two phases."""
    return Counters(one.step + other.step, one.images + other.images, one.seconds + other.seconds)
