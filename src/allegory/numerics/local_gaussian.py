r"""Exponential integrator for the probability-flow ODE: subtract the flow of a fitted Gaussian.

With y = x_t/alpha and u = sigma/alpha every path has the same flow (Song et al. 2021, eq. 13),

    dy/du = eps(y, u)        d log p_u(y) / du = - div eps = - c d/u,        c = u div eps / d,

in d dimensions. For data N(m, s^2 I) it is solved exactly: with r^2 = s^2 + u^2,
eps = u (y - m)/r^2  and  c = u^2/r^2,  so

    z = (y - m)/r  is constant          log p_u(y) + d log r  is constant.

At any point, eps and c determine the one Gaussian that agrees with them there,

    r^2 = u^2/c          s^2 = r^2 - u^2          m = y - r^2 eps/u,

without a further evaluation. A step follows the flow of that Gaussian exactly and integrates the
residual numerically,

    dz/dw = (eps - u (y - m)/r^2) u'/r          d(log p + d log r)/dw = - d (c/u - u/r^2) u',

which is zero where the Gaussian was fitted. So steps are long where the data look like one
Gaussian: near the data, inside a mode, and near the noise. The linear part is refitted at each step
and for each item. The variable of integration is the angle w = atan(u/S), S the standard deviation
of the data, which has no singularity at either end: u' = (S^2 + u^2)/S.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .broadcast import expand_like

_MAX_STD = 3.0
"""The largest standard deviation of a fitted Gaussian, in units of that of the data."""


@dataclass(frozen=True, eq=False)
class Point:
    """Points of the flow and the slopes there, one per item.

    Args:
        u: sigma/alpha.
        y: x_t/alpha.
        eps: the slope dy/du.
        c: u div eps / d, one column per probe.
    """

    u: Float[Tensor, " b"]
    y: Float[Tensor, "b *shape"]
    eps: Float[Tensor, "b *shape"]
    c: Float[Tensor, "b k"]

    def take(self, index: Tensor) -> Point:
        """The items of this index."""
        return Point(self.u[index], self.y[index], self.eps[index], self.c[index])

    def detach(self) -> Point:
        """The same values without gradients."""
        return Point(self.u, self.y.detach(), self.eps.detach(), self.c.detach())

    def where(self, chosen: Tensor, other: Point) -> Point:
        """Item i from this one where `chosen`, else from `other`."""
        return Point(
            torch.where(chosen, self.u, other.u),
            torch.where(expand_like(chosen, self.y), self.y, other.y),
            torch.where(expand_like(chosen, self.y), self.eps, other.eps),
            torch.where(chosen[:, None], self.c, other.c),
        )


@dataclass(frozen=True, eq=False)
class Angle:
    """The variable of integration w = atan(u/S), or its negative.

    Args:
        scale: S, the standard deviation of the data.
        sign: 1 for a w that rises with the noise, -1 for one that rises towards the data.
    """

    scale: float
    sign: int = 1

    def forward(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """w at u."""
        return self.sign * torch.atan(u / self.scale)

    def inverse(self, w: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """u at w."""
        return self.scale * torch.tan(self.sign * w)

    def slope(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """du/dw."""
        return self.sign * ((self.scale**2 + u * u) / self.scale)


@dataclass(frozen=True, eq=False)
class LocalGaussian:
    """The Gaussian N(mean, variance I), one per item, whose flow agrees with that of the data.

    Args:
        mean: m.
        variance: s^2.
        angle: the variable of integration.
    """

    mean: Float[Tensor, "b *shape"]
    variance: Float[Tensor, " b"]
    angle: Angle

    @classmethod
    def fit(cls, point: Point, angle: Angle) -> LocalGaussian:
        """The Gaussian that has the eps and the c of a point.

        Where c is too small for any (between several modes) it has the largest variance allowed.
        The variance carries no gradient: any variance gives the same solution, to the accuracy of
        the steps.

        Args:
            point: where to fit.
            angle: the variable of integration.
        """
        c = point.c.detach().mean(1)
        u2 = point.u * point.u
        variance = (u2 / c.clamp(min=1e-12) - u2).clamp(0, (_MAX_STD * angle.scale) ** 2)
        mean = point.y - expand_like((variance + u2) / point.u, point.y) * point.eps
        return cls(mean, variance, angle)

    def radius(self, u: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """r = sqrt(variance + u^2), the standard deviation of y at u."""
        return torch.sqrt(self.variance + u * u)

    def to_normalised(
        self, y: Float[Tensor, "b *shape"], u: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """z = (y - m)/r at u."""
        return (y - self.mean) / expand_like(self.radius(u), y)

    def to_state(
        self, z: Float[Tensor, "b *shape"], u: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """y = m + r z at u."""
        return self.mean + expand_like(self.radius(u), z) * z

    def residual(self, point: Point) -> tuple[Float[Tensor, "b *shape"], Float[Tensor, "b k"]]:
        """The slopes at a `point` that the Gaussian does not have: dz/dw, and (c/u - u/r^2) u'."""
        u = point.u
        slope = self.angle.slope(u)
        rate = u / (self.variance + u * u)

        dz_du = point.eps - expand_like(rate, point.y) * (point.y - self.mean)
        dz_dw = expand_like(slope / self.radius(u), dz_du) * dz_du
        volume = (slope / u)[:, None] * (point.c - (u * rate)[:, None])

        return dz_dw, volume
