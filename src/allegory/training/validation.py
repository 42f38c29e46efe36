"""The loss of the averaged model on held-out items.

It selects the best checkpoint and shows overfitting. The items and the random numbers are the same
each time, so that two checkpoints differ by their weights alone. A forward pass takes about a third
of the time of a training step, so that n items validated k times cost as much as n k / 3 trained
ones.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from .config import TrainingConfig
from .optimization import Batch, Trainable
from .rng_state import isolated

_SEED = 2**31 - 1
_TIMES_PER_RUN = 20
_COST = 0.03
"""Of all validations, relative to training."""
_FORWARD_COST = 1 / 3
"""Of a forward pass, relative to a training step."""


def is_due(config: TrainingConfig, step: int, before: float, now: float) -> bool:
    """Whether a validation is due after a step.

    Args:
        config: `validation_every` steps; None is 20 times in the run, 0 never.
        step: steps so far.
        before: fraction of the budget that was spent before the step.
        now: fraction of the budget that is spent after it; at 1 a validation is always due.
    """
    if config.validation_every == 0:
        return False
    if config.validation_every is None:
        return math.floor(now * _TIMES_PER_RUN) > math.floor(before * _TIMES_PER_RUN)
    return step % config.validation_every == 0 or now == 1


def item_count(config: TrainingConfig, step: int, images: int, seconds: float) -> int:
    """The number of items whose validations cost 3 per cent of the run; at least one batch.

    With a budget in steps it is a function of the config alone; the pace so far matters only where
    the minutes will end well before the steps.

    Args:
        config: budget and batch size.
        step: steps so far.
        images: items seen so far.
        seconds: time so far.

    Returns:
        The number of items.
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
        items: tensors with one entry per item, as in a batch; None for a part that the data do not
            have.
        config: batch size, and steps between validations.
        device: device of the module.
    """

    def __init__(self, items: Batch, config: TrainingConfig, device: torch.device) -> None:
        self.items = items
        self.config = config
        self.device = device
        self.available = next(len(part) for part in items if part is not None)
        # The first items may be of one class; the choice is the same on every machine.
        order = np.random.RandomState(0).permutation(self.available)
        self._order = torch.from_numpy(order.astype(np.int64))

    def losses(self, module: nn.Module, count: int) -> Float[Tensor, " count"]:
        """The losses of `module` on `count` items, the same items and draws each time.

        Args:
            module: a module with `loss(batch, generator)`.
            count: number of items, chosen by a fixed permutation; all that there are, or more,
                are taken in their order.

        Returns:
            One loss per item, (count,), in float64 on the CPU.
        """
        size = self.config.batch_size
        generator = torch.Generator(self.device).manual_seed(_SEED)

        parts = []
        with isolated(self.device):
            for chosen in self._places(count).split(size):
                batch = tuple(
                    None if part is None else part[chosen].to(self.device) for part in self.items
                )
                losses = cast(Trainable, module).loss(batch, generator)
                parts.append(losses.detach().double().cpu())
        return torch.cat(parts)

    def _places(self, count: int) -> Int64[Tensor, " count"]:
        """Where the items are that are validated."""
        return torch.arange(self.available) if count >= self.available else self._order[:count]
