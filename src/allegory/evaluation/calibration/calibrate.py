r"""Calibration of a method of posterior sampling, with a model as its own prior.

    x ~ the model's ancestral chain,   y ~ p(y | x),   x_1, ..., x_L ~ the method given y

If the method draws from the posterior, x and the x_j are exchangeable given y, and each test is one
of that. A model that is wrong about its data has a posterior too: the tests are of the method.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor

from ...inverse.likelihoods import NoiseModel
from ...inverse.operators.base import Operator
from ...models.base import HasTrajectory, evaluating, refuse_jumps, refuse_latents
from ...process.exact import ExactDensity
from ...process.prediction import Predict, check_predict
from ...progress import OnProgress
from ..config import stage
from .config import CalibrationConfig
from .coverage import interval_coverage, region_coverage, tarp_ranks, varying
from .draws import PosteriorDraws, draw_all, seeds_of
from .quantities import default_quantities, values
from .ranks import RankTest, rank_test, ranks
from .result import Calibration
from .score import posterior_score, prior_score
from .stein import SteinTest, stein_test

_SHOWN = 6
"""Items that the figures show."""


def calibrate(
    model: HasTrajectory | Predict,
    operator: Operator,
    noise: float | Tensor | NoiseModel,
    config: CalibrationConfig | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> Calibration:
    """Whether a method draws from the posterior: ranks, coverage, a kernel Stein discrepancy.

    Args:
        model: a diffusion model, or a Predict; the prior.
        operator: of items in model space, where data are in [-1, 1].
        noise: of the measurements: a standard deviation above 0, or a NoiseModel.
        config: the method, items, draws, steps and seed; None for `CalibrationConfig()`.
        on_progress: called as on_progress(stage, done, total).

    Returns:
        The figures, with a verdict.

    Raises:
        ValueError: without noise, for an operator of other items, and what the method refuses.
    """
    config = config or CalibrationConfig()
    predict = _predict_of(model, operator)
    task = config.task or f"{type(operator).__name__}, noise {_number(noise)}"
    config = replace(config, task=task)

    with evaluating(predict):
        drawn = draw_all(predict, operator, noise, config, on_progress)
        steins: tuple[SteinTest | None, SteinTest | None] = (None, None)
        if config.score:
            steins = (
                _stein(predict, drawn, config, on_progress),
                _chain_stein(predict, drawn, config),
            )

    found = compare(drawn, config, steins)
    exact = isinstance(predict, ExactDensity) and config.prior is not None
    return replace(found, score_counts=exact)


def _predict_of(model: HasTrajectory | Predict, operator: Operator) -> Predict:
    """The prior in model space. ValueError for another, and an operator of other items."""
    if not isinstance(model, HasTrajectory):
        check_predict(model)
        return model

    refuse_jumps(model, "calibrate")
    refuse_latents(model, "calibrate")
    spec = model.spec
    if tuple(operator.shape) != tuple(spec.shape):
        raise ValueError(
            f"operator: is for items of shape {tuple(operator.shape)}, and those of the model have "
            f"{tuple(spec.shape)}"
        )
    return cast(Predict, model.denoiser)


def _number(noise: Any) -> str:
    return f"{noise:g}" if isinstance(noise, float | int) else type(noise).__name__


def compare(
    drawn: PosteriorDraws,
    config: CalibrationConfig,
    steins: tuple[SteinTest | None, SteinTest | None] = (None, None),
) -> Calibration:
    """The figures of posterior draws that are there.

    Args:
        drawn: items, measurements and draws.
        config: the seed and the level; the rest is what was done.
        steins: the kernel Stein discrepancy of the draws, and that of the prior's own items.
    """
    count, L = drawn.draws.shape[:2]
    near = tarp_ranks(drawn.truth, drawn.draws, drawn.references, config.seed)
    some = varying(drawn.references)
    inside = interval_coverage(drawn.truth[:, some], drawn.draws[:, :, some], seed=config.seed)
    chain = "other draws from the prior" if config.prior is not None else config.sampler.describe()

    return Calibration(
        task=config.task,
        method=str(getattr(config.method, "__name__", config.method)),
        chain=chain,
        items=count,
        draws=L,
        seed=config.seed,
        level=config.level,
        ranks=tuple(_rank_tests(drawn, config)),
        tarp=rank_test("distance from a reference point", near, L),
        regions=region_coverage(near, L),
        intervals=inside,
        stein=steins[0],
        chain_stein=steins[1],
        score_counts=True,
        seconds=drawn.seconds,
        shown=drawn.first(_SHOWN),
    )


def _rank_tests(drawn: PosteriorDraws, config: CalibrationConfig) -> Iterator[RankTest]:
    """The ranks of each function of x and y, and of the distance from the mean."""
    count, L = drawn.draws.shape[:2]
    quantities = default_quantities(drawn.truth.shape[1:], config.projections, config.seed)
    quantities |= dict(config.quantities)
    of_truth = values(quantities, drawn.truth, drawn.measurement)
    of_draws = values(quantities, drawn.draws.flatten(0, 1), drawn.measurement.repeat(L))

    for name, truth in of_truth.items():
        found = ranks(truth, of_draws[name].reshape(count, L), config.seed)
        yield rank_test(name, found, L)

    # The mean over truth and draws, so that they remain exchangeable.
    together = torch.cat([drawn.truth[:, None], drawn.draws], dim=1).flatten(2).double()
    distance = (together - together.mean(1, keepdim=True)).norm(dim=2)
    found = ranks(distance[:, 0], distance[:, 1:], config.seed)
    yield rank_test("distance from the mean", found, L)


def _stein(
    predict: Predict,
    drawn: PosteriorDraws,
    config: CalibrationConfig,
    on_progress: OnProgress | None,
) -> SteinTest:
    """That of the posterior draws under the score of the posterior."""
    count, L = drawn.draws.shape[:2]
    flat = _as_predicted(predict, drawn.draws.flatten(0, 1))
    repeated = drawn.measurement.repeat(L).to(flat)
    seeds = seeds_of(config, "score", count * L)
    report = stage(on_progress, "score")

    places, scores = [], []
    for start in range(0, count * L, config.batch):
        part = slice(start, start + config.batch)
        place, score = posterior_score(predict, repeated.rows(part), flat[part], seeds[part])
        places.append(place)
        scores.append(score)
        if report is not None:
            report(min(start + config.batch, count * L), count * L)

    shape = drawn.draws.shape
    x, s = (torch.cat(parts).reshape(shape).cpu() for parts in (places, scores))
    return stein_test(x, s, seed=config.seed)


def _chain_stein(
    predict: Predict, drawn: PosteriorDraws, config: CalibrationConfig
) -> SteinTest | None:
    """That of the prior's own items under the score of the prior, in groups as large as the draws
    of an item; None for fewer than two groups.
    """
    L = drawn.draws.shape[1]
    own = _as_predicted(predict, torch.cat([drawn.truth, drawn.references]))
    own = own[: len(own) // L * L]
    if len(own) < 2 * L:
        return None

    seeds = seeds_of(config, "chain score", len(own))
    found = [
        prior_score(predict, own[start : start + config.batch], seeds[start : start + config.batch])
        for start in range(0, len(own), config.batch)
    ]
    shape = (-1, L, *own.shape[1:])
    x, s = (torch.cat(parts).reshape(shape).cpu() for parts in zip(*found, strict=True))
    return stein_test(x, s, seed=config.seed)


def _as_predicted(predict: Predict, x: Tensor) -> Float[Tensor, "n *shape"]:
    """x in float64 for an exact density, which computes in it."""
    return x.double() if isinstance(predict, ExactDensity) else x
