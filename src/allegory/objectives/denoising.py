r"""Denoising losses: one squared error, one weight.

    loss = weight(log_snr) |x0_hat - x0|^2

A network trained on another target makes the same error in other units. With alpha dx0 + sigma deps
= 0,

    |dx0|^2 = (sigma/det)^2 |dy|^2,    det = alpha b - sigma a    for the target y = a x0 + b eps,

so every loss is computed on the target that the network predicts (`Prediction.squared_error`), and
its gradient with respect to x0_hat does not depend on the target.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Path
from ..process.prediction import Predict, Prediction
from .base import OBJECTIVES
from .draws import draw_noised
from .weights import (
    WEIGHTS,
    EdmWeight,
    Weight,
    elbo_weight,
    min_snr_weight,
    p2_weight,
    sigmoid_weight,
    simple_weight,
    weight_named,
)


def denoising_loss(
    predict: Predict,
    truth: Prediction,
    weight: Weight,
    condition: Tensor | None = None,
) -> Float[Tensor, " b"]:
    """weight(log_snr) |x0_hat - x0|^2, summed over each item.

    Args:
        predict: what is trained.
        truth: clean data in model space and standard normal noise, at one time per item of the path
            of `predict`: `Prediction.of(x0, eps, predict.path.at(t, like=x0))`.
        weight: the weight of |x0_hat - x0|^2 at a Level.
        condition: one entry per item, or None.

    Returns:
        The loss of each item.
    """
    prediction = predict(truth.x_t, truth.level, condition)
    return (weight(truth.level) * prediction.squared_error(truth, "x0")).flatten(1).sum(1)


@dataclass(frozen=True)
class WeightedDenoising:
    """The objective weight(log_snr) |x0_hat - x0|^2 at stratified times, per dimension.

    Args:
        weight: a name of `WEIGHTS`, e.g. "simple" or "min_snr:5", or a function of a Level.
    """

    weight: str | Weight = "simple"

    @property
    def name(self) -> str:
        """The weight's name."""
        own = self.weight
        return own if isinstance(own, str) else getattr(own, "__name__", type(own).__name__)

    @property
    def unit(self) -> str:
        """A weighted squared error per dimension."""
        return f"{self.name}-weighted error"

    def check(self, predict: Predict) -> None:
        """Refuse an unknown weight, and a `predict` whose schedule would learn from the loss."""
        self._weight(predict)
        check_fixed_schedule(predict.path, self.name)

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of x0 per item, of `predict` given the `condition`.

        Times and noise are drawn from the `generator`.
        """
        truth = draw_noised(predict.path, x0, generator)
        losses = denoising_loss(predict, truth, self._weight(predict), condition)
        return losses / x0[0].numel()

    def _weight(self, predict: Predict) -> Weight:
        return weight_named(self.weight, getattr(predict, "data_std", None))


def check_fixed_schedule(path: Path, objective: str) -> None:
    """ValueError for a `path` whose schedule is trained by another objective than the bound.

    Such a loss is no bound: a schedule makes it small by moving all times to where the error is
    small.
    """
    if any(parameter.requires_grad for parameter in path.schedule.parameters()):
        raise ValueError(
            f"objective={objective!r}: only the bound can train a schedule, with any other "
            "objective it collapses to"
            " the times that are easy; use objective='elbo', a fixed schedule, or "
            "schedule.requires_grad_(False)"
        )


def register_weight(
    name: str,
    weight: Weight,
    help: str,
    *,
    make: Callable[[float], Weight] | None = None,
    parameter: str = "",
) -> None:
    """Add a weight to `WEIGHTS`, and to `OBJECTIVES` as a weighted denoising loss.

    Args:
        name: letters, digits and underscores.
        weight: the weight of |x0_hat - x0|^2 at a Level, for times uniform in [0, 1].
        help: one line for help texts and tables.
        make: the weight for `name:number`, where a number may follow the name.
        parameter: what that number is, e.g. "ceiling, a positive number".

    Raises:
        ValueError: when the name is taken.
    """
    WEIGHTS.register(name, weight, help, make=make, parameter=parameter)

    def with_number(number: float) -> WeightedDenoising:
        return WeightedDenoising(f"{name}:{number:g}")

    numbered = None if make is None else with_number
    OBJECTIVES.register(name, WeightedDenoising(name), help, make=numbered, parameter=parameter)


WEIGHTS.register(
    "elbo",
    elbo_weight,
    "-log_snr'/2 SNR: the diffusion term of the bound (Kingma et al. 2021, eq. 15)",
)
register_weight("simple", simple_weight, "SNR: the squared error of eps (Ho et al. 2020, eq. 14)")
register_weight(
    "min_snr",
    min_snr_weight(),
    "min(SNR, 5) (Hang et al. 2023)",
    make=min_snr_weight,
    parameter="ceiling, a positive number",
)
register_weight(
    "p2",
    p2_weight(),
    "SNR / (1 + SNR)^gamma, gamma = 1 (Choi et al. 2022)",
    make=lambda gamma: p2_weight(gamma=gamma),
    parameter="gamma, a number of 0 or more",
)
register_weight(
    "edm",
    EdmWeight(),
    "log-SNR normally distributed, unit-variance target (Karras et al. 2022)",
    make=lambda mean: EdmWeight(mean=mean),
    parameter="mean of log-SNR, 2.4 if not given",
)
register_weight(
    "sigmoid",
    sigmoid_weight(),
    "the bound's weight times sigmoid(b - log_snr), b = -1 (Hoogeboom et al. 2024)",
    make=sigmoid_weight,
    parameter="bias, a number",
)
