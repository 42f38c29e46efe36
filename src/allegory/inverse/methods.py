"""Methods that draw from p(x0 | y): their three kinds, and their names.

A method sees a Predict, its derivatives and a Measurement, and nothing else. It is one of

    GuideMethod       gives a guide, which any solver samples
    PlanMethod        gives the instructions from noise to data
    ParticleMethod    moves a population of weighted particles per measurement

and a frozen dataclass. `POSTERIOR_METHODS` holds them by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ..guidance.tilt import shifted
from ..lookup import Registry
from ..process.guide import Guide, Guided
from ..process.instruction import Plan
from ..process.path import Level
from ..process.prediction import Predict, Prediction
from ..sampling.driver import OnStep
from .derivatives import Linearised, linearised
from .measurement import Measurement


@runtime_checkable
class GuideMethod(Protocol):
    """A method that changes a Predict."""

    def guide(self, measurement: Measurement, /) -> Guide:
        """The guide for items of these measurements, one per item of a batch."""
        ...


@runtime_checkable
class PlanMethod(Protocol):
    """A method with steps of its own."""

    def plan(self, measurement: Measurement, levels: Sequence[Level], /) -> Plan:
        """The instructions along these Levels, first to last."""
        ...


@dataclass(frozen=True, eq=False)
class Particles:
    """Weighted particles of p(x0 | y).

    Args:
        x: the particles of each measurement, (b, K, *shape).
        log_weights: their normalised log-weights, (b, K).
        chosen: one of them per measurement, drawn by weight, (b, *shape).
        log_evidence: log of the estimate of p(y), (b,).
        log_evidence_error: its standard error, (b,).
        effective_sizes: the effective number of particles after each weighting, (steps, b).
    """

    x: Float[Tensor, "b k *shape"]
    log_weights: Float[Tensor, "b k"]
    chosen: Float[Tensor, "b *shape"]
    log_evidence: Float[Tensor, " b"]
    log_evidence_error: Float[Tensor, " b"]
    effective_sizes: Float[Tensor, "steps b"]


@dataclass(frozen=True, eq=False)
class ParticleProblem:
    """What a ParticleMethod solves.

    Args:
        predict: the Predict.
        measurement: one per population.
        levels: from noise to data.
        seeds: one integer per population.
        condition: one row per population, or None.
    """

    predict: Predict
    measurement: Measurement
    levels: Sequence[Level]
    seeds: Sequence[int]
    condition: Tensor | None = None


@runtime_checkable
class ParticleMethod(Protocol):
    """A method with weighted particles."""

    def run(self, problem: ParticleProblem, on_step: OnStep | None = None, /) -> Particles:
        """The particles at the last Level.

        Args:
            problem: the Predict, the measurements and the Levels.
            on_step: called with (steps done, steps in all) after each step.
        """
        ...


Method: TypeAlias = GuideMethod | PlanMethod | ParticleMethod

POSTERIOR_METHODS: Registry[Method] = Registry("method", modules=("allegory.inverse",))
"""The methods by name, such as "mmps" or "repaint:10"."""


@runtime_checkable
class LikelihoodScore(Protocol):
    """grad log p(y | x_t) in x_t, or an approximation of it."""

    def likelihood_score(self, measurement: Measurement, found: Linearised, /) -> Tensor:
        """The gradient at x_t, like x_t.

        Args:
            measurement: one per item.
            found: the prediction at x_t with its derivative.
        """
        ...


@dataclass(frozen=True, eq=False)
class MeasurementGuide:
    """score' = score + grad log p(y | x_t), by the approximation of a method.

    Args:
        measurement: one per item of a batch.
        method: gives grad log p(y | x_t).
    """

    measurement: Measurement
    method: LikelihoodScore

    def __call__(self, base: Predict) -> Guided:
        """The Predict of `base` given the measurements."""
        return Guided(base, self)

    def __str__(self) -> str:
        return str(self.method)

    def predict(
        self, base: Predict, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None
    ) -> Prediction:
        """The Prediction of p(x0 | x_t, y).

        Raises:
            ValueError: for another number of items than of measurements.
        """
        check_batch(self.measurement, x_t)
        found = linearised(base, x_t, t, condition)
        slope = self.method.likelihood_score(self.measurement, found)
        return shifted(found.prediction, 1.0, slope)


def check_batch(measurement: Measurement, x: Tensor) -> None:
    """ValueError for a batch `x` of another length than the measurements."""
    if len(measurement) != len(x):
        raise ValueError(
            f"measurement: {len(measurement)} for {len(x)} items; give one per item, e.g. by "
            "`repeat` or `rows`"
        )
