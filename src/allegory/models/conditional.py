"""A model with a condition, which is hidden for a part of the training items."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from ..conditions import Labels, rows_of
from ..conditions.base import hide_some
from ..data.spec import DataSpec
from ..likelihood.importance import HasLogWeights
from ..lookup import check_type
from ..numerics.generators import draw_rows, uniform
from ..sampling.driver import OnStep
from .base import evaluating


class ConditionalModel(nn.Module):
    """What the data of a model are, and how their condition is trained.

    Args:
        spec: what the data are.
        condition_dropout: the fraction of training items whose condition is hidden, so that one
            network serves with and without a condition (Ho & Salimans 2022).

    Raises:
        ValueError: for what is no spec, and a fraction outside [0, 1].
    """

    def __init__(self, spec: DataSpec, condition_dropout: float) -> None:
        super().__init__()
        check_type("spec", spec, DataSpec, "a DataSpec, e.g. data.spec")
        if not 0 <= condition_dropout <= 1:
            raise ValueError(f"condition_dropout={condition_dropout}; give a fraction from 0 to 1")
        self.spec = spec
        self.condition_dropout = condition_dropout

    @property
    def conditional(self) -> bool:
        """Whether the data have a condition, so that samples and bounds can be given one."""
        given = self.spec.given
        return given is not None and not (isinstance(given, Labels) and given.classes == 1)

    def _rows(self, condition: Any, count: int) -> Tensor | None:
        """The rows of the condition of `count` items."""
        return rows_of(condition, count, self.spec.given)

    def _rows_for(self, condition: Any, x: Tensor) -> Tensor | None:
        """The rows of the condition of the items of x, where x is."""
        rows = self._rows(condition, len(x))
        return None if rows is None else rows.to(x.device)

    def _drop(self, rows: Tensor | None, generator: torch.Generator) -> Tensor | None:
        """The rows as in training, hidden with probability `condition_dropout`."""
        if rows is None:
            return None
        if self.spec.given is not None:
            rows = self.spec.given.in_training(rows, generator)
        if self.condition_dropout == 0:
            return rows
        drawn = draw_rows(uniform, (len(rows),), generator)

        return hide_some(rows, drawn < self.condition_dropout)


WEIGHT_STEPS = 100
"""Steps of the chain whose importance weights are drawn, for a model in continuous time."""


class StepModel(ConditionalModel, ABC):
    """A model in continuous time, which is a hierarchy of latents for any number of steps."""

    @abstractmethod
    def as_hierarchy(self, steps: int, condition: Tensor | None = None) -> HasLogWeights:
        """The model with `steps` steps; with a `condition`, of batches of its length."""

    def whole_steps(self, steps: int) -> int:
        """The number of steps that the model can have which is the nearest to this one."""
        return steps

    def log_weights(
        self,
        x: Shaped[Tensor, "b *shape"],
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
        steps: int | None = None,
    ) -> Float[Tensor, "draws b"]:
        """log p(x, z) - log q(z | x) in nats, of the model with a finite number of steps.

        Args:
            x: raw items.
            condition: one row per item, or None.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: draws of the latents per item.
            steps: the number of steps; each draw takes so many evaluations of the denoiser. None
                for 100, or the nearest number that the model can have.
        """
        chain = self.as_hierarchy(steps or self.whole_steps(WEIGHT_STEPS), condition)
        with evaluating(self):
            return chain.log_weights(x, seeds=seeds, draws=draws)


def steps_of_all(on_step: OnStep | None, batch: int, batches: int) -> OnStep | None:
    """The same callback for the steps of one batch out of several."""
    if on_step is None:
        return None
    return lambda done, steps: on_step(batch * steps + done, batches * steps)
