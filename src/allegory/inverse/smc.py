r"""Twisted sequential Monte Carlo (TDS, Wu et al. 2023), and Feynman-Kac steering (Singhal et al.
2025).

Both draw from p(x_0) psi_0(x_0) / Z for the reverse chain p of a model, with weighted particles
that are exact as K grows, for every number of steps, and estimate Z without bias
(`particle_filter`).

    TwistedSMC     psi_0 = p(y | x0), psi_t approximates p(y | x_t) (`twists`); the proposal is the
                   kernel, moved along grad log psi_t (`reverse_kernels`)
    FKSteering     psi_0 = exp(scale r(x0)) for a reward r without a gradient; the proposal is the
                   kernel. With r_t = scale r(x0hat(x_t)), log psi_t is

                       difference    r_t
                       max           sum_{u >= t} max_{v >= u} r_v
                       sum           sum_{u >= t} sum_{v >= u} r_v
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count, pick, whole_number
from ..process.path import Level
from ..process.prediction import Prediction
from ..sampling.driver import OnStep
from .derivatives import linearised
from .methods import POSTERIOR_METHODS, ParticleProblem, Particles
from .particle_filter import FilterConfig, ParticleFilter
from .particle_state import POTENTIALS, ParticleEvaluation, Some
from .reverse_chains import CHAINS, ModelChain, chain_named
from .twists import TWISTS, Twist, twist_named

MOST_PARTICLES = 1_000_000
"""The largest number of particles per measurement."""

Reward = Callable[[Tensor, Tensor | None], Tensor]
"""(x0, condition) -> a number per item, (n,); an item's reward must depend on that item alone."""


@dataclass(frozen=True)
class TwistedSMC:
    """Twisted sequential Monte Carlo: weighted particles of p(x0 | y), and the evidence p(y).

    Per step and particle it takes one evaluation, and the vector-Jacobian products of its twist:
    one per measured number for "tweedie", one for the others.

    Args:
        particles: K, per measurement.
        twist: "tweedie", "isotropic", "likelihood", "auto" for the first of them that a measurement
            allows, or a Twist.
        kernel: "model" for the ancestral steps of a model, "exact" for the kernels of a mixture.
        variance: of ancestral steps: "posterior", "large" or "learned"; None for the learned one
            where the model has it, else "posterior".
        resample_below: the fraction of K below which the effective number leads to resampling.
        rows: particles that are evaluated at once; None for as many as seem to fit.

    Raises:
        ValueError: for numbers out of range, and unknown names.
    """

    particles: int = 64
    twist: str | Twist = "auto"
    kernel: str = "model"
    variance: str | None = None
    resample_below: float = 0.5
    rows: int | None = None
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self.particles, self.resample_below, self.rows)
        if isinstance(self.twist, str):
            pick("twist", self.twist, dict.fromkeys((*TWISTS, "auto")))
        pick("kernel", self.kernel, dict.fromkeys(CHAINS))
        if self.variance is not None:
            pick("variance", self.variance, dict.fromkeys(("posterior", "large", "learned")))

    def __str__(self) -> str:
        chosen = {"twist": self.twist, "kernel": self.kernel, "variance": self.variance}
        usual = {"twist": "auto", "kernel": "model", "variance": None}
        options = [f":{name}={chosen[name]}" for name in chosen if chosen[name] != usual[name]]
        return f"tds:{self.particles}{''.join(options)}"

    def run(self, problem: ParticleProblem, on_step: OnStep | None = None) -> Particles:
        """The weighted particles at the last Level.

        Args:
            problem: the Predict, the measurements and the Levels.
            on_step: called with (steps done, steps in all) after each step.

        Raises:
            ValueError: for a measurement that the twist is not for or without noise, a Predict
                without the kernel, and where all particles of a population have weight zero.
        """
        twist = twist_named(self.twist, problem.measurement)
        chain = chain_named(self.kernel, problem.predict, self.variance)
        config = FilterConfig(self.particles, self.resample_below, rows=self.rows)

        return ParticleFilter(problem, chain, _Twisted(twist), config).run(on_step)


@dataclass(frozen=True)
class FKSteering:
    """Feynman-Kac steering: weighted particles of p(x0) exp(scale r(x0)), without a gradient.

    Per step and particle it takes one evaluation.

    Args:
        particles: K, per item.
        reward: r, called as reward(x0, condition), -> (n,); None for log p(y | x0).
        scale: what the reward is multiplied by.
        potential: "difference", "max" or "sum" (see the module).
        resample_below: the fraction of K below which the effective number leads to resampling.
        rows: particles that are evaluated at once; None for as many as seem to fit.

    Raises:
        ValueError: for numbers out of range, and another potential.
    """

    particles: int = 64
    reward: Reward | None = None
    scale: float = 1.0
    potential: str = "difference"
    resample_below: float = 0.5
    rows: int | None = None
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _check(self.particles, self.resample_below, self.rows)
        pick("potential", self.potential, dict.fromkeys(POTENTIALS))
        if not abs(self.scale) < float("inf"):
            raise ValueError(f"scale={self.scale}; give a finite number")

    def __str__(self) -> str:
        return f"fk:{self.particles}:potential={self.potential}"

    def run(self, problem: ParticleProblem, on_step: OnStep | None = None) -> Particles:
        """The weighted particles at the last Level.

        Args:
            problem: the Predict, the measurements and the Levels.
            on_step: called with (steps done, steps in all) after each step.

        Raises:
            ValueError: for a reward of another shape, and where all particles of a population have
                weight zero.
        """
        chain = ModelChain(problem.predict.path)
        config = FilterConfig(self.particles, self.resample_below, self.potential, self.rows)

        return ParticleFilter(problem, chain, _Rewarded(self), config).run(on_step)


@dataclass(frozen=True, eq=False)
class _Twisted:
    """psi of twisted particles."""

    twist: Twist

    def at_noise(self, some: Some, x_t: Tensor, level: Level) -> ParticleEvaluation:
        """The prediction, the twist and its gradient."""
        if not torch.is_tensor(level.alpha) and level.alpha == 0:
            # x_t says nothing of x0: every twist is constant.
            found = _detached(some.predict(x_t, level, some.condition))
            return ParticleEvaluation(found, x_t.new_zeros(len(x_t)), torch.zeros_like(x_t))

        linear = linearised(some.predict, x_t, level, some.condition)

        value, slope = self.twist(some.measurement, linear)
        return ParticleEvaluation(linear.prediction, value, slope)

    def at_end(self, some: Some, x0: Tensor) -> Float[Tensor, " n"]:
        """log p(y | x0)."""
        return some.measurement.log_likelihood(x0)


@dataclass(frozen=True, eq=False)
class _Rewarded:
    """psi of a reward."""

    method: FKSteering

    @torch.no_grad()
    def at_noise(self, some: Some, x_t: Tensor, level: Level) -> ParticleEvaluation:
        """The prediction, and the reward of its x0."""
        found = _detached(some.predict(x_t, level, some.condition))
        return ParticleEvaluation(found, self.at_end(some, found.x0), None)

    @torch.no_grad()
    def at_end(self, some: Some, x0: Tensor) -> Float[Tensor, " n"]:
        """scale r(x0)."""
        reward = self.method.reward
        if reward is None:
            return self.method.scale * some.measurement.log_likelihood(x0)

        value = reward(x0, some.condition)
        if not isinstance(value, Tensor) or value.shape != x0.shape[:1]:
            shape = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(
                f"reward: returned {shape} for {len(x0)} items; return a tensor of one number per "
                "item"
            )
        return self.method.scale * value


def _detached(found: Prediction) -> Prediction:
    """The pair without a graph."""
    pair = Prediction.of(found.x0.detach(), found.eps.detach(), found.level)
    fraction = found.variance_fraction
    if fraction is None:
        return pair
    return Prediction(pair.u, pair.y, pair.targets, pair.level, fraction.detach())


def _check(particles: int, resample_below: float, rows: int | None) -> None:
    """ValueError for numbers out of range."""
    check_count("particles", particles, 1, MOST_PARTICLES)
    if not 0 <= resample_below <= 1:
        raise ValueError(f"resample_below={resample_below}; give a fraction of K from 0 to 1")
    if rows is not None:
        check_count("rows", rows, 1, MOST_PARTICLES)


POSTERIOR_METHODS.register(
    "tds",
    TwistedSMC(),
    "twisted sequential Monte Carlo: weighted particles, and p(y) (Wu et al. 2023)",
    make=lambda number, twist="auto", kernel="model", variance=None: TwistedSMC(
        whole_number("particles", number), twist, kernel, variance
    ),
    parameter="K, the number of particles per measurement",
    options={
        "twist": "auto, tweedie, isotropic or likelihood",
        "kernel": "model, or exact for a mixture",
        "variance": "of a step of the model: posterior, large or learned",
    },
)
POSTERIOR_METHODS.register(
    "fk",
    FKSteering(),
    "Feynman-Kac steering by log p(y | x0), without a gradient (Singhal et al. 2025)",
    make=lambda number, potential="difference": FKSteering(
        whole_number("particles", number), potential=potential
    ),
    parameter="K, the number of particles per measurement",
    options={"potential": "difference, max or sum"},
)
