"""The configuration of a training run, with its progress and its learning rate.

A run has a budget: a number of steps, of minutes, or both, and the one that is spent first ends the
run. `progress` in [0, 1] is the fraction of the budget that is spent, the larger one where there
are both. The learning rate is a function of the step (for the warm-up) and of the progress (for the
decay), so that a run ends with a learning rate of zero on any machine.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from ..lookup import is_whole

_LIMITS = {"batch_size": 2**24, "accumulate": 10_000, "log_every": 100_000}
"""Bounds of what one step or one checkpoint takes: time, memory, and losses since a report."""


@dataclass(frozen=True)
class TrainingConfig:
    """The configuration of a training run: budget, optimizer, moving average, checkpoints.

    All fields are plain JSON values.

    Args:
        steps: budget in optimizer steps; None: no limit.
        minutes: budget in minutes, of this and all resumed sessions; None: no limit. Of both, the
            one that is spent first ends the run.
        batch_size: items per batch, over all processes.
        optimizer: "adamw", or "muon" (Muon for kernels of convolutions and for the matrices of
            transformer blocks, AdamW for the rest).
        learning_rate: the largest, after the warm-up.
        weight_decay: of AdamW.
        betas: decays of the first and second moments.
        warmup: steps in which the learning rate rises from 0, linearly.
        decay: how the learning rate falls to 0 over the budget: "cosine", "linear", or "none".
        clip: largest norm of the gradient.
        ema: decay of the moving average of the weights per step.
        precision: "fp32", "bf16" (matrix products in bfloat16), or "auto": bfloat16 where the
            device has it.
        accumulate: batches per optimizer step.
        checkpoint_minutes: minutes between checkpoints; the first one of a run comes after a minute
            at most.
        log_every: steps between lines of metrics.jsonl.
        validation_every: steps between validations; None: about 20 times in the run, 0: never.
        patience: fraction of the run after which it ends if the validation loss has not fallen
            below the lowest one; None: it never ends early.
        seed: of the random numbers that the loss draws.
        device: "auto" (a GPU if there is one), "cpu", "cuda", "cuda:1", ...

    Raises:
        ValueError: for a value out of its range, or no budget.
    """

    steps: int | None = None
    minutes: float | None = None
    batch_size: int = 128
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    betas: tuple[float, float] = (0.9, 0.99)
    warmup: int = 100
    decay: Literal["cosine", "linear", "none"] = "cosine"
    clip: float = 1.0
    ema: float = 0.999
    precision: Literal["auto", "fp32", "bf16"] = "fp32"
    accumulate: int = 1
    checkpoint_minutes: float = 5.0
    log_every: int = 20
    validation_every: int | None = None
    patience: float | None = None
    seed: int = 0
    device: str = "auto"

    def __post_init__(self) -> None:
        if self.steps is None and self.minutes is None:
            raise ValueError("a run needs a budget, got steps=None, minutes=None: give one or both")
        counts = ("steps", "batch_size", "accumulate", "log_every")
        self._require("a whole number", is_whole, *counts, "warmup", "validation_every", "seed")
        self._require("at least 1", lambda value: value >= 1, *counts)
        for name, limit in _LIMITS.items():
            self._require(f"at most {limit:,}", float(limit).__ge__, name)
        positive = ("minutes", "learning_rate", "clip", "checkpoint_minutes", "patience")
        self._require("above 0 and finite", lambda value: 0 < value < math.inf, *positive)
        not_negative = ("weight_decay", "warmup", "validation_every")
        self._require("0 or more", lambda value: 0 <= value < math.inf, *not_negative)
        self._require("from 0 to 2^63 - 1", lambda value: 0 <= value < 2**63, "seed")
        self._require("in [0, 1)", lambda value: 0 <= value < 1, "ema")
        if len(self.betas) != 2 or not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(
                f"betas must be two numbers in [0, 1), got {self.betas}: try (0.9, 0.99)"
            )
        words = {
            "decay": ("cosine", "linear", "none"),
            "precision": ("auto", "fp32", "bf16"),
            "optimizer": ("adamw", "muon"),
        }
        for name, choices in words.items():
            if getattr(self, name) not in choices:
                raise ValueError(
                    f"{name} must be one of {', '.join(choices)}, got {getattr(self, name)!r}"
                )

    def _require(self, words: str, holds: Callable[[float], bool], *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not holds(value):
                raise ValueError(f"{name} must be {words}, got {value}")

    def progress(self, step: int, seconds: float) -> float:
        """The fraction of the budget spent after `step` steps and `seconds` seconds, in [0, 1]."""
        of_steps = 0.0 if self.steps is None else step / self.steps
        of_minutes = 0.0 if self.minutes is None else seconds / (60 * self.minutes)
        return min(1.0, max(of_steps, of_minutes))

    def rate(self, step: int, progress: float) -> float:
        """The learning rate of the next step, learning_rate min(1, (step + 1) / warmup) decay(p).

        decay(p) is (1 + cos(pi p)) / 2 for "cosine" (Loshchilov & Hutter 2017, eq. 5, without
        restarts), 1 - p for "linear", and 1 for "none".

        Args:
            step: steps so far.
            progress: p, the fraction of the budget that is spent, in [0, 1].
        """
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = {
            "cosine": (1 + math.cos(math.pi * progress)) / 2,
            "linear": 1 - progress,
            "none": 1.0,
        }
        return self.learning_rate * rise * fall[self.decay]
