"""Items, their measurements and posterior draws, from a model that is its own prior."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...inverse.likelihoods import NoiseModel
from ...inverse.measurement import Measurement, measure
from ...inverse.methods import GuideMethod, ParticleMethod, PlanMethod
from ...inverse.operators.base import Operator
from ...inverse.posterior import Posterior
from ...models.base import device_of
from ...process.prediction import Predict
from ...progress import OnProgress
from ...sampling.driver import sample
from ...sampling.initial import initial_noise
from ...sampling.sampler import Sampler
from ..config import stage
from .config import CalibrationConfig

PosteriorSampler = Callable[[Measurement, Sequence[int]], Tensor]
"""(measurement, seeds) -> one draw from p(x | y) per measurement and seed."""

_BATCH = 500
"""Items of the chain that are computed at once."""
_BLOCK = 10**9
"""Seeds between those of the items, the reference points, the noise and the posterior draws."""


@dataclass(frozen=True, eq=False)
class PosteriorDraws:
    """Items with their measurements and posterior draws, in model space.

    Args:
        truth: the items, draws from the prior.
        references: as many other draws from the prior.
        measurement: of each item.
        draws: independent draws from the posterior of each.
        seconds: the time that these took.
    """

    truth: Float[Tensor, "n *shape"]
    references: Float[Tensor, "n *shape"]
    measurement: Measurement
    draws: Float[Tensor, "n draws *shape"]
    seconds: float = 0.0

    def first(self, count: int) -> PosteriorDraws:
        """Those of the first `count` items."""
        some = slice(0, count)
        rows = self.measurement.rows(some)
        return PosteriorDraws(self.truth[some], self.references[some], rows, self.draws[some])


def draw_all(
    predict: Predict,
    operator: Operator,
    noise: float | Tensor | NoiseModel,
    config: CalibrationConfig,
    on_progress: OnProgress | None = None,
) -> PosteriorDraws:
    """Items from the prior, a measurement of each, and draws of a method given it.

    Args:
        predict: the prior, in model space.
        operator: of the measurements.
        noise: of the measurements: a standard deviation above 0, or a NoiseModel.
        config: the method, and how many items and draws.
        on_progress: called as on_progress(stage, done, total).

    Raises:
        ValueError: without noise, where y has no density.
    """
    count = config.items
    seeds = _Seeds(config.seed)
    report = stage(on_progress, "items")
    shape = tuple(operator.shape)

    both = [*seeds.of("items", count), *seeds.of("references", count)]
    if config.prior is not None:
        prior = config.prior(both)
    else:
        prior = own_samples(predict, shape, both, config.sampler, on_step=report)
    truth, references = prior[:count], prior[count:]

    measurement = measure(operator, truth, noise, seeds.of("noise", count))
    if bool((torch.as_tensor(getattr(measurement.likelihood, "std", 1.0)) == 0).any()):
        raise ValueError("noise=0: y has no density then; give a standard deviation above 0")
    start = time.perf_counter()
    drawn = _posterior(predict, measurement, config, on_progress)
    seconds = time.perf_counter() - start

    return PosteriorDraws(truth, references, measurement, drawn, seconds)


@dataclass(frozen=True)
class _Seeds:
    """Seeds of one calibration, which has none in common with that of another seed."""

    seed: int

    def of(self, what: str, count: int) -> range:
        """Seeds for so many items of one kind."""
        kinds = ("items", "references", "noise", "posterior", "score", "chain score")
        first = (self.seed << 33) + kinds.index(what) * _BLOCK
        return range(first, first + count)


def seeds_of(config: CalibrationConfig, what: str, count: int) -> range:
    """The seeds of one part of a calibration.

    Args:
        config: holds the seed.
        what: "items", "references", "noise", "posterior", "score" or "chain score".
        count: how many.
    """
    return _Seeds(config.seed).of(what, count)


def own_samples(
    predict: Predict,
    shape: Sequence[int],
    seeds: Sequence[int],
    sampler: Sampler,
    *,
    on_step: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "n *shape"]:
    """Samples of the ancestral chain of a Predict: the solver "ddpm" on the grid of a sampler.

    Args:
        predict: the Predict, without guides.
        shape: of an item.
        seeds: one integer per item.
        sampler: gives steps, spacing, end, scaling and guides.
        on_step: called as on_step(done, total) over all batches.
    """
    guided = sampler.guided(predict)
    grid, device = sampler.grid(guided.path, math.prod(shape)), device_of(predict)
    parts = [seeds[start : start + _BATCH] for start in range(0, len(seeds), _BATCH)]
    total = len(parts) * grid.steps

    found = []
    for number, some in enumerate(parts):

        def report(done: int, _: int, number: int = number) -> None:
            if on_step is not None:
                on_step(number * grid.steps + done, total)

        x_T = initial_noise(guided.path, shape, some).to(device)
        found.append(sample(guided, x_T, grid, solver="ddpm", seeds=some, on_step=report))

    return torch.cat(found)


def _posterior(
    predict: Predict,
    measurement: Measurement,
    config: CalibrationConfig,
    on_progress: OnProgress | None,
) -> Float[Tensor, "n draws *shape"]:
    """Independent draws of the method, several per measurement."""
    count = len(measurement)
    seeds = seeds_of(config, "posterior", count * config.draws)
    repeated = measurement.repeat(config.draws)
    report = stage(on_progress, "posterior draws")

    is_method = isinstance(config.method, str | GuideMethod | PlanMethod | ParticleMethod)
    if is_method:
        of = Posterior(predict, repeated, cast(Any, config.method), config.sampler)
        drawn = of.sample(seeds, batch=config.batch, on_step=report).x
    else:
        drawn = cast(PosteriorSampler, config.method)(repeated, seeds)

    expected = (count * config.draws, *measurement.operator.shape)
    if tuple(drawn.shape) != expected:
        raise ValueError(
            f"method: gave draws of shape {tuple(drawn.shape)}; return one per measurement, "
            f"{expected}"
        )
    return drawn.reshape(count, config.draws, *expected[1:])
