r"""Denoising losses: one squared error, one weight.

    loss = weight(log_snr) |x0_hat - x0|^2

A network trained on another target makes the same error in other units. With alpha dx0 + sigma deps
= 0,

    |dx0|^2 = (sigma/det)^2 |dy|^2,    det = alpha b - sigma a    for the target y = a x0 + b eps,

so every loss is computed on the target that the network predicts (`Prediction.squared_error`), and
its gradient with respect to x0_hat does not depend on the target.

Weights are given in x0-space for t uniform in [0, 1]. Those of the literature that are defined over
log-SNR carry the density -d log_snr/dt of the log-SNR at uniform times (Kingma & Gao 2023,
"Understanding diffusion objectives"):

    elbo      -log_snr'/2 SNR              nats: continuous time (Kingma et al. 2021, eq. 15)
    simple    SNR                          |eps_hat - eps|^2 (Ho et al. 2020, eq. 14)
    min_snr   min(SNR, 5)                  Hang et al. 2023
    p2        SNR / (1 + SNR)              Choi et al. 2022, k = gamma = 1
    edm       (SNR + 1/s^2) N(log_snr; 2.4, 2.4^2) (-log_snr')    Karras et al. 2022, table 1
    sigmoid   -log_snr'/2 SNR sigmoid(b - log_snr)                Hoogeboom et al. 2024, b = -1
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import Registry
from ..process.coefficients import exp
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .base import OBJECTIVES
from .draws import draw_noised

Weight: TypeAlias = Callable[[Level], Tensor]
"""Level -> the weight of |x0_hat - x0|^2, broadcastable against the data."""


@runtime_checkable
class ScaledByData(Protocol):
    """A weight that depends on the standard deviation of the data."""

    def for_data(self, data_std: float) -> Weight:
        """The weight for data of standard deviation `data_std`."""
        ...


def elbo_weight(level: Level) -> Tensor:
    """-log_snr'/2 SNR at this `level`.

    Summed over an item, its mean over t is the diffusion term of the bound in nats.
    """
    return torch.as_tensor(-0.5 * level.dlog_snr * exp(level.log_snr))


def simple_weight(level: Level) -> Tensor:
    """SNR at this `level`: the plain squared error of eps."""
    return torch.as_tensor(exp(level.log_snr))


def min_snr_weight(ceiling: float = 5.0) -> Weight:
    """min(SNR, ceiling)."""
    return lambda level: simple_weight(level).clamp(max=ceiling)


def p2_weight(k: float = 1.0, gamma: float = 1.0) -> Weight:
    """SNR / (k + SNR)^gamma."""
    return lambda level: simple_weight(level) / (k + simple_weight(level)) ** gamma


@dataclass(frozen=True)
class EdmWeight:
    """(SNR + 1/data_std^2) N(log_snr; mean, std^2) (-log_snr'), the weight of Karras et al. 2022,
    table 1.

    Args:
        data_std: standard deviation of the data. None takes that of the denoiser which is trained.
        mean: mean of log-SNR; 2.4 is their ln sigma of mean -1.2.
        std: standard deviation of log-SNR; 2.4 is their 1.2 of ln sigma.
    """

    data_std: float | None = None
    mean: float = 2.4
    std: float = 2.4

    def for_data(self, data_std: float) -> EdmWeight:
        """The same weight with this `data_std`, unless it has one."""
        known = data_std if self.data_std is None else self.data_std
        return EdmWeight(known, self.mean, self.std)

    def __call__(self, level: Level) -> Tensor:
        """The weight at this `level`. ValueError while data_std is None."""
        if self.data_std is None:
            raise ValueError(
                "data_std=None: give the standard deviation of the data to weight 'edm'"
            )

        z = (torch.as_tensor(level.log_snr) - self.mean) / self.std
        density = torch.exp(-0.5 * z * z) / (self.std * math.sqrt(2 * math.pi))
        return (
            (simple_weight(level) + self.data_std**-2) * density * -torch.as_tensor(level.dlog_snr)
        )


def sigmoid_weight(bias: float = -1.0) -> Weight:
    """The bound's weight times sigmoid(bias - log_snr): fine detail counts less."""
    return lambda level: elbo_weight(level) * torch.sigmoid(bias - torch.as_tensor(level.log_snr))


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


WEIGHTS: Registry[Weight] = Registry("weight")
"""Weights of |x0_hat - x0|^2 by name; each is an objective of the same name, but for `elbo`, which
has more terms.
"""


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


def weight_named(weight: str | Weight, data_std: float | None = None) -> Weight:
    """The weight of this name, e.g. "simple" or "min_snr:5"; a function as it is.

    Args:
        weight: a name of `WEIGHTS`, with a number after a colon where it has a parameter, or a
            function of a Level.
        data_std: standard deviation of the data, for a weight that depends on it (`edm`).

    Returns:
        A function of a Level.

    Raises:
        ValueError: for an unknown name, with the closest; for `edm` without data_std.
    """
    found = WEIGHTS.named(weight) if isinstance(weight, str) else weight
    if not isinstance(found, ScaledByData):
        return found
    if data_std is None:
        raise ValueError(
            f"weight={weight!r}: depends on the standard deviation of the data; give data_std, or "
            "train a Denoiser"
        )

    return found.for_data(data_std)


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
    "edm", EdmWeight(), "log-SNR normally distributed, unit-variance target (Karras et al. 2022)"
)
register_weight(
    "sigmoid",
    sigmoid_weight(),
    "the bound's weight times sigmoid(b - log_snr), b = -1 (Hoogeboom et al. 2024)",
    make=sigmoid_weight,
    parameter="bias, a number",
)
