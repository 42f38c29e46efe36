r"""Sequential Monte Carlo along the reverse chain of a diffusion model.

K particles per measurement move by x_s ~ q(x_s | x_t) from Level to Level, and their weights are

    w_T = psi_T(x_T)        w_s = w_t p(x_s | x_t) psi_s(x_s) / (q(x_s | x_t) psi_t(x_t))

with the reverse kernel p, a proposal q, and any positive functions psi; at the last Level psi_0 is
the likelihood p(y | x0), or exp(reward), itself. Where the effective number of a population falls
below a fraction of K, it is resampled. The product of the mean weights before each resampling and
at the end is an unbiased estimate of the evidence E[psi_0(x_0)] of the chain, for every K and every
number of steps (Del Moral 2004; Wu et al. 2023, theorem 1). Populations are independent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.noise import Stream
from ..process.path import Level
from ..sampling.driver import OnStep
from .methods import ParticleProblem, Particles
from .particle_state import ParticleEvaluation, ParticleState, Some
from .resampling import (
    effective_size,
    log_mean,
    normalised,
    relative_variance,
    systematic,
)
from .reverse_chains import PopulationNoise, ReverseChain


@runtime_checkable
class FilterTarget(Protocol):
    """log psi of particles, at noise and at the end."""

    def at_noise(self, some: Some, x_t: Tensor, level: Level, /) -> ParticleEvaluation:
        """The prediction, log psi and its gradient.

        Args:
            some: rows of the problem.
            x_t: their states.
            level: the noise level.
        """
        ...

    def at_end(self, some: Some, x0: Tensor, /) -> Float[Tensor, " n"]:
        """log psi of the final particles.

        Args:
            some: rows of the problem.
            x0: their states.
        """
        ...


@dataclass(frozen=True)
class FilterConfig:
    """The choices of a particle filter.

    Args:
        particles: K.
        resample_below: the fraction of K below which the effective number leads to resampling.
        potential: "difference", "max" or "sum".
        rows: particles that are evaluated at once; None for as many as seem to fit.
    """

    particles: int
    resample_below: float = 0.5
    potential: str = "difference"
    rows: int | None = None


class ParticleFilter:
    """One run of sequential Monte Carlo.

    Args:
        problem: the Predict, the measurements and the Levels.
        chain: p(x_T) and the reverse kernels.
        target: psi.
        config: the choices.
    """

    def __init__(
        self,
        problem: ParticleProblem,
        chain: ReverseChain,
        target: FilterTarget,
        config: FilterConfig,
    ) -> None:
        self.problem, self.chain, self.target, self.config = problem, chain, target, config
        self.shape = tuple(problem.measurement.operator.shape)
        self._like = problem.measurement.y
        count, items = config.particles, len(problem.seeds)

        self._steps = PopulationNoise(problem.seeds, count, self.shape, Stream.STEPS)
        device = self._like.device
        self._log_weights = torch.zeros(items, count, dtype=torch.float64, device=device)
        self._log_evidence = torch.zeros(items, dtype=torch.float64, device=device)
        self._first = torch.arange(count, device=device).repeat(items, 1)
        self._sizes: list[Tensor] = []

    def run(self, on_step: OnStep | None = None) -> Particles:
        """The weighted particles at the last Level.

        Args:
            on_step: called with (steps done, steps in all) after each step.

        Raises:
            ValueError: where all particles of a population have weight zero.
        """
        levels = self.problem.levels
        state = self._initial(levels[0])

        for number, to in enumerate(levels[1:], 1):
            state = self._step(self._resampled(state), to, last=number == len(levels) - 1)
            if on_step is not None:
                on_step(number, len(levels) - 1)

        return self._result(state)

    def _initial(self, level: Level) -> ParticleState:
        """x_T, weighted."""
        items, count = self._log_weights.shape
        start = PopulationNoise(self.problem.seeds, count, self.shape, Stream.START)

        like = torch.empty((), dtype=self._like.dtype, device=self._like.device)
        noise, uniform = start.normal(like), start.uniform(like)

        parts = []
        for rows, some in self._chunks():
            x = self.chain.initial(level, noise[rows], uniform[rows], some.condition)
            parts.append((x, self.target.at_noise(some, x, level)))
        x = torch.cat([each for each, _ in parts])
        evaluation = ParticleEvaluation.joined([each for _, each in parts])

        zero = torch.zeros(items * count, dtype=torch.float64, device=x.device)
        state = ParticleState(x, level, evaluation, zero, zero)
        return self._weighted(zero, state.with_value(evaluation.value, None), 0.0)

    def _resampled(self, state: ParticleState) -> ParticleState:
        """The particles, where the effective number is small their descendants."""
        items, count = self._log_weights.shape
        uniform = self._steps.population(self._log_weights)
        chosen = self._sizes[-1] < self.config.resample_below * count
        if not bool(chosen.any()):
            return state

        own = torch.arange(count, device=uniform.device).expand(items, -1)
        ancestors = torch.where(chosen[:, None], systematic(self._log_weights, uniform), own)

        self._log_evidence += torch.where(chosen, log_mean(self._log_weights), 0.0)
        self._log_weights = self._log_weights.masked_fill(chosen[:, None], 0.0)
        self._first = self._first.gather(1, ancestors)

        offset = count * torch.arange(items, device=uniform.device)[:, None]
        return state.taken((ancestors + offset).flatten())

    def _step(self, state: ParticleState, to: Level, last: bool) -> ParticleState:
        """The particles at the next Level, weighted."""
        noise, uniform = self._steps.normal(state.x), self._steps.uniform(state.x)
        every = torch.arange(len(state.x), device=state.x.device)
        states, ratios, values = [], [], []
        evaluations: list[ParticleEvaluation] = []
        for rows, some in self._chunks():
            x, ratio = self._proposed(
                state.taken(every[rows]), to, (noise[rows], uniform[rows]), some
            )
            if last:
                value = self.target.at_end(some, x)
            else:
                evaluations.append(self.target.at_noise(some, x, to))
                value = evaluations[-1].value

            states.append(x)
            ratios.append(ratio)
            values.append(value)

        evaluation = None if last else ParticleEvaluation.joined(evaluations)
        new = replace(state, x=torch.cat(states), level=to, evaluation=evaluation)
        new = new.with_value(torch.cat(values), self.config.potential)
        return self._weighted(state.log_psi, new, torch.cat(ratios))

    def _proposed(
        self, state: ParticleState, to: Level, draws: tuple[Tensor, Tensor], some: Some
    ) -> tuple[Tensor, Tensor]:
        """x_s, and log of kernel over proposal."""
        evaluation = state.evaluation
        assert evaluation is not None, "particles at the last Level do not move"
        kernel = self.chain.kernel(state.x, evaluation.prediction, to, some.condition)
        x = kernel.draw(*draws).to(state.x)

        shift = None if evaluation.slope is None else kernel.shift(evaluation.slope)
        if shift is None:
            return x, state.log_psi.new_zeros(len(x))

        x = x + shift
        return x, kernel.log_ratio(x, shift).double()

    def _weighted(self, old: Tensor, new: ParticleState, ratio: Tensor | float) -> ParticleState:
        """The particles, after their weights are multiplied by ratio psi_s / psi_t.

        Raises:
            ValueError: where all particles of a population have weight zero.
        """
        change = (ratio + new.log_psi - old).reshape(self._log_weights.shape)
        weights = self._log_weights + change
        self._log_weights = weights.masked_fill(weights.isnan(), -torch.inf)

        self._check_alive(len(self._sizes))
        self._sizes.append(effective_size(self._log_weights))
        return new

    def _check_alive(self, step: int) -> None:
        """ValueError where all particles of a population have weight zero."""
        dead = ~self._log_weights.logsumexp(1).isfinite()
        if not bool(dead.any()):
            return

        items = dead.nonzero()[:, 0].tolist()[:8]
        seeds = [self.problem.seeds[item] for item in items]
        raise ValueError(
            f"particles: at step {step} of {len(self.problem.levels) - 1} all "
            f"{self.config.particles} have weight zero or NaN for item {_listed(items)} (seeds "
            f"{_listed(seeds)}); check that these measurements are possible, or use more "
            "noise, more particles or more steps"
        )

    def _result(self, state: ParticleState) -> Particles:
        """The weighted particles, one drawn by weight, and the evidence."""
        items, count = self._log_weights.shape
        x = state.x.reshape(items, count, *self.shape)
        uniform = self._steps.population(self._log_weights)
        chosen = systematic(self._log_weights, uniform, count=1)[:, 0]

        error = relative_variance(self._log_weights, self._first).sqrt()
        return Particles(
            x=x,
            log_weights=normalised(self._log_weights),
            chosen=x[torch.arange(items, device=x.device), chosen],
            log_evidence=self._log_evidence + log_mean(self._log_weights),
            log_evidence_error=error,
            effective_sizes=torch.stack(self._sizes),
        )

    def _chunks(self) -> Iterator[tuple[slice, Some]]:
        """The particles that are evaluated at once, one part after another."""
        items, count = self._log_weights.shape
        numbers = max(1, torch.Size(self.shape).numel())
        rows = self.config.rows or min(max(_NUMBERS_AT_ONCE // numbers, 64), 65_536)
        given = self.problem.condition

        for start in range(0, items * count, rows):
            part = slice(start, min(start + rows, items * count))
            index = torch.arange(part.start, part.stop, device=self._like.device) // count
            condition = None if given is None else given[index]
            measurement = self.problem.measurement.rows(index)
            yield part, Some(self.problem.predict, measurement, condition)


_NUMBERS_AT_ONCE = 2**17


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
