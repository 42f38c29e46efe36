"""The result of a run."""

from dataclasses import dataclass, field

from torch import nn

from .selection import Validation


@dataclass(frozen=True)
class Result:
    """The result of a run.

    Args:
        ema: the averaged model, in eval mode, after the last step.
        best: the averaged model at the step with the lowest validation loss; `ema` without
            validation.
        step: optimizer steps.
        images: items seen.
        seconds: time of all sessions.
        loss: mean training loss in the last report.
        validation: the validation losses; None without validation.
        began: the step that this session began at.
    """

    ema: nn.Module = field(repr=False)
    best: nn.Module = field(repr=False)
    step: int
    images: int
    seconds: float
    loss: float
    validation: Validation | None
    began: int = 0
