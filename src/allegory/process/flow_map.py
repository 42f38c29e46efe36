r"""Flow maps: the probability flow from one level to another in one evaluation.

A Predict says where the flow goes at x_t. A **flow map** says where it is at another level s,

    x_s = alpha_s X + sigma_s E        (X, E) = F(x_t; t, s)  with  x_t = alpha_t X + sigma_t E,

so it too returns a Prediction, and a DDIM step with it is exact for any two levels. With kappa =
alpha/sigma and u = x_t/sigma_t the flow is du/dkappa = x0hat(u, kappa), so X is the mean of x0hat
over kappa along it. In angles (`process.angle`) the same pair is one bounded number V,

    z_s = cos(s - t) z_t + sin(s - t) V        V = cos(t) E - sin(t) X,

also where kappa is infinite. On the diagonal s = t it is the denoiser: X = E[x0 | x_t], V = v.

For N(m, S) it is known. With N_t^2 = cos(t)^2 S + sin(t)^2,

    z_s = cos(s) m + N_s/N_t (z_t - cos(t) m)
    V   = -sin(t) m + q (z_t - cos(t) m)
    q   = (sin(d) (S sin(t)^2 + cos(t)^2) + 2 cos(d) (1 - S) sin(t) cos(t)) / r

with d = s - t and r = N_t (N_s + cos(d) N_t), which cancels nothing as s -> t (Boffi et al. 2024;
Lu & Song 2024).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .angle import UNIT_V, angle, level_at_angle, unit_state
from .path import Level, Path, check_path
from .prediction import Predict, Prediction


@runtime_checkable
class FlowMap(Predict, Protocol):
    """A Predict that also predicts the average along the flow to another level."""

    def jump(
        self,
        x_t: Tensor,
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Prediction:
        """(X, E) at t, whose state at s is that of the flow.

        Args:
            x_t: states, (batch, *shape).
            t: their level: one time, one per item, or a Level.
            s: the level to reach.
            condition: one row per item, or None.
        """
        ...


class GaussianFlowMap(nn.Module):
    """The flow map of N(mean, covariance), in closed form.

    Args:
        mean: m, (d,).
        covariance: S, (d, d), positive semidefinite.
        path: the forward process of x_t.

    Raises:
        ValueError: for shapes that do not fit, and a covariance with a negative eigenvalue.
    """

    mean: Tensor
    variances: Tensor
    axes: Tensor

    def __init__(self, mean: Tensor, covariance: Tensor, path: Path) -> None:
        super().__init__()
        check_path(path)
        if mean.ndim != 1 or covariance.shape != (len(mean), len(mean)):
            raise ValueError(
                f"mean: {tuple(mean.shape)}, covariance: {tuple(covariance.shape)}; give (d,) and "
                "(d, d)"
            )
        variances, axes = torch.linalg.eigh(covariance)
        if float(variances[0]) < -1e-9 * float(variances[-1].abs()):
            raise ValueError(
                f"covariance: has the eigenvalue {float(variances[0]):g}; give a positive "
                "semidefinite one"
            )
        self.path = path
        self.register_buffer("mean", mean)
        self.register_buffer("variances", variances.clamp(min=0.0))
        self.register_buffer("axes", axes)

    def forward(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The denoiser: the flow map on the diagonal.

        Args:
            x_t: states, (b, d).
            t: one time, one per item, or a Level.
            condition: must be None.
        """
        return self.jump(x_t, t, t, condition)

    def jump(
        self,
        x_t: Float[Tensor, "b d"],
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Prediction:
        """(X, E) at t, whose state at s is that of the flow.

        Args:
            x_t: states, (b, d).
            t: their level.
            s: the level to reach.
            condition: must be None.

        Raises:
            ValueError: for a condition.
        """
        if condition is not None:
            raise ValueError("condition: a Gaussian has none; give None")
        here, there = self.path.at(t, like=x_t), self.path.at(s, like=x_t)
        theta, d = angle(here), angle(there) - angle(here)

        cos, sin, S = torch.cos(theta), torch.sin(theta), self.variances
        std_t = (cos.square() * S + sin.square()).sqrt()
        std_s = (torch.cos(theta + d).square() * S + torch.sin(theta + d).square()).sqrt()
        numerator = torch.sin(d) * (S * sin.square() + cos.square())
        numerator = numerator + 2 * torch.cos(d) * (1 - S) * sin * cos
        q = numerator / (std_t * (std_s + torch.cos(d) * std_t))

        deviation = unit_state(x_t, here) - cos * self.mean
        v = -sin * self.mean + (q * (deviation @ self.axes)) @ self.axes.mT
        return Prediction.solve(UNIT_V, v.to(x_t), x_t, here)


def check_flow_map(predict: object) -> FlowMap:
    """The same as a flow map. ValueError for a Predict that is none."""
    if isinstance(predict, FlowMap):
        return predict
    raise ValueError(
        f"predict: a {type(predict).__name__} says where the flow goes, not where it ends; "
        "give a flow map, such as the denoiser of a run of `allegory distill`"
    )


def jump(
    predict: Predict, x_t: Tensor, t: Level, s: Level, condition: Tensor | None = None
) -> Prediction:
    """The jump of a flow map; that of any other Predict is a DDIM step.

    Args:
        predict: a flow map, or a denoiser.
        x_t: states, (batch, *shape).
        t: their Level.
        s: the Level to reach.
        condition: one row per item, or None.
    """
    if isinstance(predict, FlowMap):
        return predict.jump(x_t, t, s, condition)
    return predict(x_t, t, condition)


@dataclass(frozen=True, eq=False)
class MidpointMap:
    """The jumps of a denoiser by its prediction at half the angle: two evaluations, of order two.

    A DDIM step holds x0 at its value where the step starts. Here it is that of the state to which a
    DDIM step of half the angle leads, so the error of a jump is of third order in its angle (the
    midpoint rule; DPM-Solver++(2S), Lu et al. 2022, has its middle in log-SNR).

    Args:
        base: the denoiser.
    """

    base: Predict

    @property
    def path(self) -> Path:
        """That of the denoiser."""
        return self.base.path

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The prediction of the denoiser at x_t and t, given the `condition`."""
        return self.base(x_t, t, condition)

    def jump(
        self,
        x_t: Tensor,
        t: Tensor | float | Level,
        s: Tensor | float | Level,
        condition: Tensor | None = None,
    ) -> Prediction:
        """(X, E) at t, with X the denoiser's x0 at half the angle.

        Args:
            x_t: states, (batch, *shape).
            t: their level.
            s: the level to reach.
            condition: one row per item, or None.
        """
        here, there = self.path.at(t, like=x_t), self.path.at(s, like=x_t)
        middle = (angle(here) + angle(there)) / 2
        m = level_at_angle(self.path, middle.flatten() if middle.ndim else middle, x_t)

        x_m = self.base(x_t, here, condition).at(m)
        return Prediction.solve("x0", self.base(x_m, m, condition).x0, x_t, here)
