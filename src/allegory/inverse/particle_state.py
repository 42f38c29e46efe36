"""Particles of a filter: their states, and what is known at each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Level
from ..process.prediction import Predict, Prediction
from .measurement import Measurement

POTENTIALS = ("difference", "max", "sum")
"""What of the values along a trajectory makes psi (Singhal et al. 2025)."""


@dataclass(frozen=True, eq=False)
class Some:
    """Some particles of a problem: one row each of measurement and condition.

    Args:
        predict: the Predict.
        measurement: one per particle.
        condition: one row per particle, or None.
    """

    predict: Predict
    measurement: Measurement
    condition: Tensor | None


@dataclass(frozen=True, eq=False)
class ParticleEvaluation:
    """What is known at particles x_t.

    Args:
        prediction: at x_t, without a graph.
        value: log psi, or the reward, in nats.
        slope: its gradient in x_t; None for none, with which the proposal is the kernel.
    """

    prediction: Prediction
    value: Float[Tensor, " n"]
    slope: Float[Tensor, "n *shape"] | None

    def taken(self, index: Tensor) -> ParticleEvaluation:
        """That of the particles of these indices, by `index`."""
        found = self.prediction
        fraction = found.variance_fraction
        pair = Prediction.of(found.x0[index], found.eps[index], found.level)
        prediction = replace(pair, variance_fraction=None if fraction is None else fraction[index])
        slope = None if self.slope is None else self.slope[index]
        return ParticleEvaluation(prediction, self.value[index], slope)

    @classmethod
    def joined(cls, parts: Sequence[ParticleEvaluation]) -> ParticleEvaluation:
        """The evaluations of parts as one."""
        predictions = [part.prediction for part in parts]
        pair = Prediction.of(
            torch.cat([each.x0 for each in predictions]),
            torch.cat([each.eps for each in predictions]),
            predictions[0].level,
        )
        fractions = [each.variance_fraction for each in predictions]
        some = [each for each in fractions if each is not None]
        prediction = replace(pair, variance_fraction=torch.cat(some) if some else None)

        slopes = [part.slope for part in parts if part.slope is not None]
        slope = torch.cat(slopes) if slopes else None
        return cls(prediction, torch.cat([part.value for part in parts]), slope)


@dataclass(frozen=True, eq=False)
class ParticleState:
    """All particles, those of one population after those of another.

    Args:
        x: their states.
        level: the Level at which they are.
        evaluation: what is known there; None at the last Level.
        log_psi: log psi, in float64.
        running: the maximum or the sum of the values so far, for the potentials of that name.
    """

    x: Float[Tensor, "n *shape"]
    level: Level
    evaluation: ParticleEvaluation | None
    log_psi: Float[Tensor, " n"]
    running: Float[Tensor, " n"]

    def taken(self, index: Tensor) -> ParticleState:
        """The particles of these indices, by `index`."""
        return replace(
            self,
            x=self.x[index],
            evaluation=None if self.evaluation is None else self.evaluation.taken(index),
            log_psi=self.log_psi[index],
            running=self.running[index],
        )

    def with_value(self, value: Float[Tensor, " n"], potential: str | None) -> ParticleState:
        """With log psi of a new value at this Level.

        Args:
            value: log psi by itself, or the reward.
            potential: "difference", "max" or "sum"; None for the first Level, where they agree.
        """
        value = value.double()
        if potential is None:
            return replace(self, log_psi=value, running=value)
        if potential == "difference" or self.evaluation is None:
            return replace(self, log_psi=value)

        running = self.running + value
        if potential == "max":
            running = torch.maximum(self.running, value)
        return replace(self, log_psi=self.log_psi + running, running=running)
