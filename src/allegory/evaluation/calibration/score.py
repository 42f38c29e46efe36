r"""The score of the posterior at the data end of a path, for the kernel Stein discrepancy.

    grad log p(x | y) = grad log p(x) + grad log p(y | x)

A Predict with an energy gives the first term at clean data. A network has it at the cleanest level
of its path only: there x becomes x_0 = alpha x + sigma eps, and the second term is the gradient of
log p(y | x_0), for a linear operator with Gaussian noise by Tweedie's covariance (method "mmps"),
else of log p(y | x0(x_0)), which leaves out that sigma is not 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...inverse.derivatives import linearised
from ...inverse.likelihoods import GaussianNoise
from ...inverse.measurement import Measurement
from ...inverse.operators.base import LinearOperator
from ...inverse.tweedie import TweedieGuidance
from ...process.noise import Noise, Stream
from ...process.path import Level
from ...process.prediction import Predict


def posterior_score(
    predict: Predict,
    measurement: Measurement,
    x: Float[Tensor, "b *shape"],
    seeds: Sequence[int],
    condition: Tensor | None = None,
) -> tuple[Float[Tensor, "b *shape"], Float[Tensor, "b *shape"]]:
    """Where the score of p(x | y) is known for each item, and the score there.

    Args:
        predict: the Predict.
        measurement: of each item.
        x: items in model space.
        seeds: one integer per item, for the noise of the cleanest level.
        condition: one row per item, or None.

    Returns:
        The items, noised where the Predict has no energy, and grad log p(x | y) at them.
    """
    if hasattr(predict, "energy"):
        return x, _clean_score(predict, measurement, x, condition)

    level = predict.path.levels([0.0])[0]
    if level.sigma == 0.0:
        raise ValueError(
            "predict: its path ends in clean data, where a network has no score; leave out the "
            "kernel Stein discrepancy (score=False)"
        )
    noised = level.mix(x, Noise(seeds, x.shape[1:], Stream.STEPS).draw(x))
    return noised, _noised_score(predict, measurement, noised, (level, condition))


def prior_score(
    predict: Predict, x: Float[Tensor, "b *shape"], seeds: Sequence[int]
) -> tuple[Float[Tensor, "b *shape"], Float[Tensor, "b *shape"]]:
    """The same without a measurement: the score of p(x).

    Args:
        predict: the Predict.
        x: items in model space.
        seeds: one integer per item, for the noise of the cleanest level.
    """
    if hasattr(predict, "energy"):
        return x, _clean_score(predict, None, x, None)
    level = predict.path.levels([0.0])[0]
    noised = level.mix(x, Noise(seeds, x.shape[1:], Stream.STEPS).draw(x))
    with torch.no_grad():
        return noised, predict(noised, level).view("score")


def _clean_score(
    predict: Predict, measurement: Measurement | None, x: Tensor, condition: Tensor | None
) -> Tensor:
    """grad log p(x) + grad log p(y | x), from the energy at clean data."""
    with torch.enable_grad():
        at = x.detach().clone().requires_grad_()
        value = -predict.energy(at, predict.path.clean, condition)  # type: ignore[attr-defined]
        if measurement is not None:
            value = value + measurement.log_likelihood(at)
        (found,) = torch.autograd.grad(value.sum(), at)

    return found.detach()


def _noised_score(
    predict: Predict,
    measurement: Measurement,
    x: Tensor,
    where: tuple[Level, Tensor | None],
) -> Tensor:
    """The score of p(x_0 | y) at the cleanest level, where a network has one."""
    level, condition = where
    gaussian = isinstance(measurement.likelihood, GaussianNoise)
    if gaussian and isinstance(measurement.operator, LinearOperator):
        guide = TweedieGuidance().guide(measurement)
        return guide(predict)(x, level, condition).view("score").detach()

    at = linearised(predict, x, level, condition)
    pull = at.gradient(measurement.log_likelihood)
    return at.prediction.view("score") + pull
