r"""What a training objective is: a part of a model that turns clean data into one loss per item.

    losses = objective(predict, x0, condition, generator)          (batch,), in the objective's unit

An objective draws its times and its noise from the generator that it is given. It is a frozen
value, or a module where it has weights of its own (a teacher, say). Objectives that can be chosen
by name are in `OBJECTIVES`: `elbo`, `dual`, and one weighted denoising loss for each weight of
`WEIGHTS`.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from ..lookup import Registry
from ..process.decoder import Decoder
from ..process.prediction import Predict


@runtime_checkable
class Objective(Protocol):
    """A loss per item for the training of a Predict."""

    @property
    def unit(self) -> str:
        """What one unit of the loss is, e.g. "bits/dim"."""
        ...

    def check(self, predict: Predict) -> None:
        """ValueError, with the remedy, where this predict cannot be trained by this objective."""
        ...

    def __call__(
        self,
        predict: Predict,
        x0: Tensor,
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Tensor:
        """One draw of the loss.

        Args:
            predict: what is trained; its `path` is the forward process.
            x0: clean data in model space, (batch, *shape).
            condition: one entry per item, or None.
            generator: where times and noise are drawn from.

        Returns:
            The loss of each item, (batch,), in `unit`.
        """
        ...


@runtime_checkable
class NeedsDecoder(Protocol):
    """An objective that has a term for p(x | z_0); a model fills in its own decoder where none was
    given.
    """

    def with_decoder(self, decoder: Decoder) -> Objective:
        """The same objective with this decoder, or with the one that it has already."""
        ...


OBJECTIVES: Registry[Objective] = Registry("objective")
"""Training objectives by name."""


def objective_named(objective: str | Objective) -> Objective:
    """The objective of this name, e.g. "elbo" or "min_snr:5"; an Objective as it is.

    Raises:
        ValueError: for an unknown name; the message names the closest.
    """
    return OBJECTIVES.named(objective) if isinstance(objective, str) else objective
