"""The numbers of the state of a run, and their check when a checkpoint is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..typed import fields_of
from .weights import REMEDY

_LIMIT = 2**63
"""Above every counter."""


@dataclass
class Record:
    """The state of validation in a run, saved in its checkpoints.

    Args:
        items: number of held-out items in use; 0 before the first validation.
        best_step: step of the lowest loss; 0 before the first validation.
        best: that loss; None before the first validation.
        last: the last loss; None before the first validation, or if it was not finite.
    """

    items: int = 0
    best_step: int = 0
    best: float | None = None
    last: float | None = None


@dataclass
class Counters:
    """The numbers of the state of a run.

    Args:
        step: optimizer steps so far.
        images: items seen so far.
        seconds: time of all sessions.
        loss: mean loss in the last report.
        window: (loss, gradient norm) of each step since the last report.
        validation: the state of validation.
    """

    step: int = 0
    images: int = 0
    seconds: float = 0.0
    loss: float = 0.0
    window: list[list[float]] = field(default_factory=list)
    validation: Record = field(default_factory=Record)


@dataclass(frozen=True)
class SavedNumbers:
    """What state.json holds.

    Args:
        counters: the numbers of the run.
        batches: the position in the data.
        ema_updates: updates of the moving average so far, one per step.
    """

    counters: Counters
    batches: dict[str, Any]
    ema_updates: int


def saved_numbers(state: Mapping[str, Any]) -> SavedNumbers:
    """The numbers of a checkpoint.

    Args:
        state: the JSON values of the checkpoint.

    Raises:
        ValueError: for a value that is missing, unknown, of another kind, or out of its range.
    """
    try:
        saved = fields_of(SavedNumbers, state, "state")
    except ValueError as error:
        raise ValueError(f"state.json: {error}: {REMEDY}") from None

    now, record = saved.counters, saved.counters.validation
    is_ours = (
        0 <= now.step < _LIMIT
        and 0 <= now.images < _LIMIT
        and 0 <= now.seconds < _LIMIT
        and len(now.window) <= now.step
        and all(len(pair) == 2 for pair in now.window)
        and 0 <= saved.ema_updates <= now.step
        and 0 <= record.items < _LIMIT
        and 0 <= record.best_step <= now.step
        and (record.best is None) == (record.best_step == 0)
        and (record.items > 0 or record.best is None)
    )
    if not is_ours:
        raise ValueError(f"state.json: a counter is out of its range: {REMEDY}")
    return saved
