r"""The predicted x0 as a function of x_t: its vector-Jacobian products.

With J = d x0(x_t) / d x_t, Tweedie's second formula is

    Cov[x0 | x_t] = (sigma^2 / alpha) J

(Luo 2022, eq. 131; Boys et al. 2023), where x0(x_t) = E[x0 | x_t] exactly. J is symmetric then;
that of a network is nearly so, and J^T is what a vector-Jacobian product gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.path import Level
from ..process.prediction import Predict, Prediction


@dataclass(frozen=True, eq=False)
class Linearised:
    """A prediction at x_t, with the derivative of its x0 in x_t.

    Args:
        prediction: without a graph.
        x_t: where it was made, recorded by autograd.
        x0: the predicted x0 as a function of x_t.
    """

    prediction: Prediction
    x_t: Float[Tensor, "b *shape"]
    x0: Float[Tensor, "b *shape"]

    @property
    def level(self) -> Level:
        """The noise level of x_t."""
        return self.prediction.level

    def vjp(self, v: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """J^T v: one vector-Jacobian product."""
        (found,) = torch.autograd.grad(self.x0, self.x_t, v.to(self.x0), retain_graph=True)
        return found.detach()

    def covariance(self, v: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """Cov[x0 | x_t] v = (sigma^2 / alpha) J^T v: one vector-Jacobian product."""
        return self.level.sigma * (self.level.sigma / self.level.alpha) * self.vjp(v)

    def gradient(self, value: Callable[[Tensor], Tensor]) -> Float[Tensor, "b *shape"]:
        """The gradient in x_t of value(x0), one number per item: one vector-Jacobian product."""
        with torch.inference_mode(False), torch.enable_grad():
            total = value(self.x0).sum()
            (found,) = torch.autograd.grad(total, self.x_t, retain_graph=True)
        return found.detach()


def linearised(
    predict: Predict,
    x_t: Float[Tensor, "b *shape"],
    t: Tensor | float | Level,
    condition: Tensor | None = None,
) -> Linearised:
    """The prediction at x_t with its derivative, in any grad mode of the caller.

    Args:
        predict: the Predict.
        x_t: states.
        t: one time, one per item, or a Level.
        condition: one row per item, or None.

    Raises:
        ValueError: for a Predict whose x0 does not depend on x_t by differentiable operations, and
            at a Level without signal.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = x_t.clone().detach().requires_grad_()
        level = predict.path.at(_recorded(t), like=x)
        given = None if condition is None else condition.clone()
        found = predict(x, level, given)
        x0 = found.x0

    if not x0.requires_grad:
        raise ValueError(
            "predict: its x0 has no gradient in x_t; compute it by operations of torch, without "
            "detach or no_grad"
        )
    fraction = found.variance_fraction
    pair = Prediction.of(x0.detach(), found.eps.detach(), found.level)
    detached = replace(pair, variance_fraction=None if fraction is None else fraction.detach())
    return Linearised(detached, x, x0)


def _recorded(t: Tensor | float | Level) -> Tensor | float | Level:
    """The time as autograd may record it: tensors of inference mode are copied."""
    time = t.t if isinstance(t, Level) else t
    if not isinstance(time, Tensor) or not time.is_inference():
        return t
    return replace(t, t=time.clone()) if isinstance(t, Level) else time.clone()
