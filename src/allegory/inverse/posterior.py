"""Draws from p(x0 | y) by any method, of a model or a Predict."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..conditions import rows_of
from ..lookup import check_type, refuse_number
from ..models.base import (
    HasTrajectory,
    InLatentSpace,
    check_guides,
    check_samples,
    device_of,
    evaluating,
    raw_of,
    refuse_jumps,
    seed_batches,
    state_shape,
)
from ..process.guide import is_consistent
from ..process.guide_items import condition_kind
from ..process.prediction import Predict, check_predict
from ..sampling.driver import OnStep, last_state, trajectory
from ..sampling.pilot import PILOT
from ..sampling.sampler import Sampler
from ..sampling.solver import Solver
from .measurement import Measurement
from .methods import (
    POSTERIOR_METHODS,
    GuideMethod,
    Method,
    ParticleMethod,
    ParticleProblem,
    Particles,
    PlanMethod,
)


@dataclass(frozen=True, eq=False)
class PosteriorSamples:
    """Draws from p(x0 | y).

    Args:
        x: one draw per seed: raw items for a model, x0 for a Predict.
        log_evidence: log p(y) as a method with particles estimates it, (n,); None for others.
        log_evidence_error: its standard error, (n,); near 1 all particles descend from one, and
            the estimate may be far too low.
        particles: of each batch, in model space; empty for methods without.
    """

    x: Shaped[Tensor, "n *shape"]
    log_evidence: Float[Tensor, " n"] | None = None
    log_evidence_error: Float[Tensor, " n"] | None = None
    particles: tuple[Particles, ...] = field(default=(), repr=False)


@dataclass(frozen=True, eq=False)
class Posterior:
    """p(x0 | y) of a diffusion model, or of a Predict, by one of several methods.

    Args:
        of: a diffusion model, whose measurements are of raw items, or a Predict, whose measurements
            are of x0.
        measurement: one measurement for all draws, or one per draw.
        method: a method or its name, such as "mmps" or "dps:0.5" (see `POSTERIOR_METHODS`).
        sampler: gives steps, spacing, end, scaling and guides; its solver is that of methods that
            are guides, and others have steps of their own.

    Raises:
        ValueError: for an unknown method, the solver "auto:pilot", and a measurement of items of
            another shape.
    """

    of: Any
    measurement: Measurement
    method: str | Method = "mmps"
    sampler: Sampler = field(default_factory=Sampler)

    def __post_init__(self) -> None:
        check_type("measurement", self.measurement, Measurement, "a Measurement")
        check_type("sampler", self.sampler, Sampler, "a Sampler, e.g. Sampler(steps=100)")
        posterior_method(self.method)
        if self.sampler.solver == PILOT:
            raise ValueError(
                f"sampler: its solver {PILOT} takes eight items of its own, which have no "
                "measurement; choose another solver, e.g. auto"
            )
        if not isinstance(self.of, HasTrajectory):
            check_predict(self.of)
            return
        refuse_jumps(self.of, "posterior samples")
        self._in_model_space(self.measurement)  # refuses what does not fit
        check_guides(self.of, self.sampler.guides)

    def sample(
        self,
        seeds: Sequence[int],
        condition: Any = None,
        *,
        x_T: Float[Tensor, "n *shape"] | None = None,
        batch: int = 250,
        on_step: OnStep | None = None,
    ) -> PosteriorSamples:
        """One draw per seed; draw i depends on its measurement, seeds[i] and condition[i] alone.

        Args:
            seeds: one integer per draw.
            condition: of each draw, or of all, or None.
            x_T: where the steps begin; None for the initial noise of the sampler. Methods with
                particles begin by their own.
            batch: draws that are made at once; populations, for a method with particles.
            on_step: called as on_step(done, total) over the steps of all batches.

        Raises:
            ValueError: for another number of measurements than of seeds, and samples that are not
                finite.
        """
        refuse_number(seeds)
        if len(self.measurement) not in (1, len(seeds)):
            raise ValueError(
                f"measurement: {len(self.measurement)} for {len(seeds)} seeds; give one for all, "
                "or one per seed, e.g. by `repeat`"
            )
        rows = rows_of(condition, len(seeds), self._kind) if self._is_model else condition
        parts = [*seed_batches(seeds, rows, batch)]

        found, start = [], 0
        with evaluating(self.of):
            for number, (some, given) in enumerate(parts):
                part = slice(start, start + len(some))
                begin = None if x_T is None else x_T[part]
                report = _of_all(on_step, number, len(parts))
                found.append(self._batch(some, given, part, begin, report))
                start = part.stop

        return self._joined(found)

    def _batch(
        self,
        seeds: Sequence[int],
        condition: Tensor | None,
        part: slice,
        x_T: Tensor | None,
        on_step: OnStep | None,
    ) -> Tensor | Particles:
        """The draws of one batch, in model space."""
        device = device_of(self.of)
        sampler = self.sampler.bound_to(self.of.spec.given) if self._is_model else self.sampler
        if x_T is None:
            x_T = sampler.initial_noise(self._predict, self._shape, seeds)
        x_T = x_T.to(device)
        rows = None if condition is None else condition.to(device)
        measurement = self._rows(part, len(seeds)).to(x_T)
        run = _Run(self._predict, measurement, sampler, x_T, seeds, rows, on_step)

        with torch.no_grad():
            return run.by(posterior_method(self.method))

    def _rows(self, part: slice, count: int) -> Measurement:
        """The measurements of a part of the draws, in model space."""
        one_for_all = len(self.measurement) == 1
        rows = self.measurement.repeat(count) if one_for_all else self.measurement.rows(part)
        return self._in_model_space(rows) if self._is_model else rows

    def _in_model_space(self, measurement: Measurement) -> Measurement:
        """A measurement of what the denoiser predicts: of items in model space, or of latents."""
        spec = self.of.spec
        if isinstance(self.of, InLatentSpace):
            return measurement.in_latent_space(spec, self.of.mean_items, self.of.shape)
        return measurement.in_model_space(spec)

    def _joined(self, found: list[Tensor | Particles]) -> PosteriorSamples:
        """The draws of all batches, raw for a model."""
        x = torch.cat([each.chosen if isinstance(each, Particles) else each for each in found])
        x = check_samples(x, f"method {self.method}")
        raw = raw_of(self.of, x, range(len(x))) if self._is_model else x

        particles = tuple(each for each in found if isinstance(each, Particles))
        if not particles:
            return PosteriorSamples(raw)
        evidence = torch.cat([each.log_evidence for each in particles])
        error = torch.cat([each.log_evidence_error for each in particles])
        return PosteriorSamples(raw, evidence, error, particles)

    @property
    def _is_model(self) -> bool:
        return isinstance(self.of, HasTrajectory)

    @property
    def _predict(self) -> Predict:
        predict: Predict = self.of.denoiser if self._is_model else self.of
        return predict

    @property
    def _shape(self) -> tuple[int, ...]:
        own = tuple(self.measurement.operator.shape)
        return state_shape(self.of) if isinstance(self.of, InLatentSpace) else own

    @property
    def _kind(self) -> Any:
        return condition_kind(self.sampler.guides, self.of.spec.given)


@dataclass(frozen=True, eq=False)
class _Run:
    """One batch of draws."""

    predict: Predict
    measurement: Measurement
    sampler: Sampler
    x_T: Tensor
    seeds: Sequence[int]
    condition: Tensor | None
    on_step: OnStep | None

    def by(self, method: Method) -> Tensor | Particles:
        """The draws by a method, in model space."""
        if isinstance(method, GuideMethod):
            return self._guided(method)

        predict = self._guided_predict()
        grid = self.sampler.grid(predict.path, self.x_T.shape[1:].numel())
        if isinstance(method, ParticleMethod):
            problem = ParticleProblem(
                predict, self.measurement, grid.levels, self.seeds, self.condition
            )
            return method.run(problem, self.on_step)

        name = str(method)
        solver = Solver(name, lambda levels: method.plan(self.measurement, levels), stochastic=True)
        return last_state(
            trajectory(
                predict,
                self.x_T,
                grid,
                solver=solver,
                condition=self.condition,
                seeds=self.seeds,
                on_step=self.on_step,
            )
        ).x

    def _guided_predict(self) -> Predict:
        """The Predict under the guides of the sampler.

        Raises:
            ValueError: for guides whose x0 and eps do not add up to x_t.
        """
        predict = self.sampler.guided(self.predict)
        guides = ", ".join(map(str, self.sampler.guides)) or "the Predict"
        if not is_consistent(predict):
            raise ValueError(
                f"guide {guides}: its x0 and eps do not add up to x_t, which every method for "
                "measurements needs; take another guide, e.g. cfg:2"
            )
        return predict

    def _guided(self, method: GuideMethod) -> Tensor:
        """The draws by the solver of the sampler."""
        self._guided_predict()
        guides = (*self.sampler.guides, method.guide(self.measurement))
        sampler = replace(self.sampler, guide=guides)

        return sampler.sample(
            self.predict,
            self.x_T,
            seeds=self.seeds,
            condition=self.condition,
            on_step=self.on_step,
        )


def posterior_method(method: str | Method) -> Method:
    """The method of a name such as "mmps" or "dps:0.5"; a method is returned as it is.

    Args:
        method: a name of `POSTERIOR_METHODS`, or a method.

    Raises:
        ValueError: for an unknown name, and what is no method.
    """
    if isinstance(method, str):
        return POSTERIOR_METHODS.named(method)
    if not isinstance(method, GuideMethod | PlanMethod | ParticleMethod) or isinstance(
        method, type
    ):
        raise ValueError(f"method={method!r:.60}: give a method, or a name such as 'mmps'")
    return method


def takes_solver(method: str | Method) -> bool:
    """Whether a `method`, or one of this name, is a guide, which a solver samples; others have
    steps of their own.
    """
    return isinstance(posterior_method(method), GuideMethod)


def _of_all(on_step: OnStep | None, number: int, count: int) -> OnStep | None:
    """The report of one of `count` batches as one of all."""
    if on_step is None:
        return None
    return lambda done, total: on_step(number * total + done, count * total)
