"""The loss of the averaged model on held-out items, which says which checkpoint is best and when a
run overfits.

The same items and the same random numbers are used each time, so two checkpoints differ by their
weights alone. How many items there are bounds the cost: a forward pass takes about a third of a
training step, so n items, k times a run, cost n k / 3 of the run's items.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .config import TrainingConfig
from .optimization import Batch, Trainable
from .rng_state import isolated

_SEED = 2**31 - 1
_TIMES_PER_RUN = 20
_COST = 0.03
_FORWARD_COST = 1 / 3


def is_due(config: TrainingConfig, step: int, before: float, now: float) -> bool:
    """Whether the step that was just made is one to validate after.

    Args:
        config: `validation_every` steps; None is 20 times a run, 0 never.
        step: steps so far.
        before: spent share of the budget before the step.
        now: and after it. The end of a run is always validated.
    """
    if config.validation_every == 0:
        return False
    if config.validation_every is None:
        return math.floor(now * _TIMES_PER_RUN) > math.floor(before * _TIMES_PER_RUN)
    return step % config.validation_every == 0 or now == 1


def item_count(config: TrainingConfig, step: int, images: int, seconds: float) -> int:
    """How many items cost a few per cent of the run, at least one batch.

    Where the budget is in steps the number is a function of the config alone; the pace so far
    counts where the minutes will end well before the steps.

    Args:
        config: budget and batch size.
        step: steps so far.
        images: items seen so far.
        seconds: time so far.
    """
    per_step = images / step
    budget = math.inf if config.steps is None else config.steps * per_step
    if config.minutes is not None:
        by_time = 60 * config.minutes * images / max(seconds, 1e-9)
        budget = by_time if by_time < budget / 2 else budget

    times: float = _TIMES_PER_RUN
    if config.validation_every:
        times = max(1.0, budget / per_step / config.validation_every)
    return max(config.batch_size, int(_COST * budget / (times * _FORWARD_COST)))


class Validator:
    """Held-out items, and the loss of a module on them.

    Args:
        items: tensors with one entry per item, as in a batch; None in the place of what the data
            have not.
        config: batch size, and how often.
        device: of the module.
    """

    def __init__(self, items: Batch, config: TrainingConfig, device: torch.device) -> None:
        self.items, self.config, self.device = items, config, device
        self.available = next(len(part) for part in items if part is not None)

    def losses(self, module: nn.Module, count: int) -> Float[Tensor, " count"]:
        """The loss of each of the first `count` items in float64, by the same draws each time."""
        size = self.config.batch_size
        generator = torch.Generator(self.device).manual_seed(_SEED)

        parts = []
        with isolated(self.device):
            for start in range(0, count, size):
                chosen = slice(start, min(start + size, count))
                batch = tuple(
                    None if part is None else part[chosen].to(self.device) for part in self.items
                )
                losses = cast(Trainable, module).loss(batch, generator)
                parts.append(losses.detach().double().cpu())
        return torch.cat(parts)
