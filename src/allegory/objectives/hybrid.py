r"""The hybrid objective, which trains the variance of the reverse step along with its mean.

    L_hybrid = L_simple + lambda L_vlb,        L_simple = |eps - eps_hat|^2 per dimension
    L_vlb    = sum_{i=1}^T KL(q(z_s | z_t, x) || p(z_s | z_t)),   t = i/T, s = t - 1/T

(Nichol & Dhariwal 2021, eq. 14 to 16; Luo 2022, eq. 58). L_vlb is drawn at one step, T times its
KL, in bits/dim, and lambda = 0.001. In L_vlb the mean of p is held fixed, so that its gradient
reaches the variance alone, and the mean is trained by L_simple alone.

The reconstruction and the prior have no trained part here: the latents end in a z_0 that has noise
of its own, and p(x | z_0) is a decoder without parameters. All T steps, the first included, are
divergences of Gaussians, and L_vlb leaves the two constants out.

The best fraction of the logarithm of the variance hardly depends on T where T is large, but the
part of the bound that it is learned from falls as 1/T. The default of 100 steps is for models that
are sampled in some tens to hundreds; the paper has 1,000 to 4,000.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count
from ..process.bound_terms import step_loss
from ..process.grid import MAX_STEPS
from ..process.prediction import Predict, Prediction
from .base import OBJECTIVES
from .denoising import check_fixed_schedule
from .draws import normal_like, stratified_times
from .elbo import check_finite_ends
from .weights import simple_weight


@dataclass(frozen=True)
class Hybrid:
    """L_simple + lambda L_vlb of T steps, for a network that learns its variance.

    Args:
        steps: the number T of steps of the reverse process.
        weight: lambda, of L_vlb in bits/dim.

    Raises:
        ValueError: for steps below 1, or a weight that is not positive.
    """

    steps: int = 100
    weight: float = 1e-3

    trains_variance = True
    """Whether a learned variance is trained."""

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing."""
        check_count("steps", self.steps, 1, MAX_STEPS)
        if not 0 < self.weight < math.inf:
            raise ValueError(f"weight={self.weight}; give a positive number, 0.001 in the paper")

    @property
    def name(self) -> str:
        """As in `OBJECTIVES`, with the number of steps."""
        return f"hybrid:{self.steps}"

    @property
    def unit(self) -> str:
        """A squared error per dimension, and a part of the bound in bits/dim."""
        return f"simple-weighted error + {self.weight:g} bits/dim of {self.steps} steps"

    def check(self, predict: Predict) -> None:
        """Refuse a `predict` without a learned variance, and a path with an infinite end."""
        if not getattr(predict, "learns_variance", False):
            raise ValueError(
                "objective='hybrid': trains the variance of the reverse step, which this target "
                "has not; use a target with a variance, e.g. target='v+variance', or "
                "objective='simple'"
            )
        check_finite_ends(predict.path)
        check_fixed_schedule(predict.path, "hybrid")

    def __call__(
        self,
        predict: Predict,
        x0: Float[Tensor, "b *shape"],
        condition: Tensor | None,
        generator: torch.Generator,
    ) -> Float[Tensor, " b"]:
        """One draw of the loss of x0 per item, of `predict` given the `condition`.

        Steps and noise are drawn from the `generator`.
        """
        truth = self.draw(predict, x0, generator)
        prediction = predict(truth.x_t, truth.level, condition)
        error = simple_weight(truth.level) * prediction.squared_error(truth, "x0")

        return error.flatten(1).sum(1) / x0[0].numel() + self.weight * self.vlb(prediction, truth)

    def draw(
        self, predict: Predict, x0: Float[Tensor, "b *shape"], generator: torch.Generator
    ) -> Prediction:
        """x0 and noise at one of the times 1/T, ..., 1 per item, stratified over the batch."""
        t = (torch.floor(stratified_times(len(x0), generator) * self.steps) + 1) / self.steps
        eps = normal_like(x0, generator)
        return Prediction.of(x0, eps, predict.path.at(t.to(x0.device), like=x0))

    def vlb(self, prediction: Prediction, truth: Prediction) -> Float[Tensor, " b"]:
        """One draw of L_vlb in bits/dim, with a gradient to the variance alone.

        Args:
            prediction: what the model predicts at the z_t of `truth`.
            truth: data and noise at one of the T times per item.
        """
        fixed = replace(prediction, u=prediction.u.detach(), y=prediction.y.detach())
        nats = step_loss(fixed, truth, self.steps, "learned")
        return nats / (truth.x0[0].numel() * math.log(2))


def _with_steps(steps: float) -> Hybrid:
    """The objective with so many steps. ValueError for a number that is not whole."""
    if not float(steps).is_integer():
        raise ValueError(f"steps={steps:g}; give a whole number")
    return Hybrid(int(steps))


OBJECTIVES.register(
    "hybrid",
    Hybrid(),
    "simple + 0.001 bound of T steps, for a learned variance (Nichol & Dhariwal 2021, eq. 16)",
    make=_with_steps,
    parameter="T, the number of steps, a whole number; 100 without",
)
