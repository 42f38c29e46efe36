r"""The probability-flow ODE in coordinates in which it hardly moves.

With y = x_t/alpha and u = sigma/alpha every path has the same flow (Song et al. 2021, eq. 13, in these variables),

    dy/du = eps(y, u)          d log p_u(y) / du = - div eps = - c d/u,         c = u div eps / d,  d dimensions.

For data N(m, s^2 I) it is solved exactly: with r^2 = s^2 + u^2,  eps = u (y - m)/r^2  and  c = u^2/r^2,  so

    z = (y - m)/r  is constant          log p_u(y) + d log r  is constant.

Wherever the solver stands, eps and c name the one Gaussian that agrees with them there,

    r^2 = u^2/c          s^2 = r^2 - u^2          m = y - r^2 eps/u,

at no further evaluation. A step follows that Gaussian's flow exactly and integrates numerically only what is left,

    dz/dw = (eps - u (y - m)/r^2) u'/r          d(log p + d log r)/dw = - d (c/u - u/r^2) u',

which is zero where it was fitted. So the step is long where the data look like one Gaussian: near the data,
inside a mode, and near the noise. It is an exponential integrator whose linear part is refitted at each step and for
each item. The steps are taken in the angle w = atan(u/S), S the standard deviation of the data, which has no
singularity at either end: u' = (S^2 + u^2)/S.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .broadcast import expand_like

WIDEST = 3.0


@dataclass(frozen=True, eq=False)
class Point:
    """Items on their flow: where each stands, and what is predicted there."""

    u: Float[Tensor, " b"]
    y: Float[Tensor, "b *shape"]
    eps: Float[Tensor, "b *shape"]
    c: Float[Tensor, "b k"]
    """u div eps / d, one column per probe."""

    def take(self, index: Tensor) -> Point:
        """These items only."""
        return Point(self.u[index], self.y[index], self.eps[index], self.c[index])

    def detach(self) -> Point:
        """The same, a constant to autograd."""
        return Point(self.u, self.y.detach(), self.eps.detach(), self.c.detach())

    def where(self, chosen: Tensor, other: Point) -> Point:
        """Each item from here where chosen, else from the other."""
        return Point(
            torch.where(chosen, self.u, other.u),
            torch.where(expand_like(chosen, self.y), self.y, other.y),
            torch.where(expand_like(chosen, self.y), self.eps, other.eps),
            torch.where(chosen[:, None], self.c, other.c),
        )


@dataclass(frozen=True, eq=False)
class Angle:
    """The variable of integration w = atan(u/S)."""

    scale: float

    def of(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """w at u."""
        return torch.atan(u / self.scale)

    def back(self, w: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """u at w."""
        return self.scale * torch.tan(w)

    def slope(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        """du/dw."""
        return (self.scale**2 + u * u) / self.scale


@dataclass(frozen=True, eq=False)
class LocalGaussian:
    """N(centre, variance I), one per item: the Gaussian that flows as the data do at one point."""

    centre: Float[Tensor, "b *shape"]
    variance: Float[Tensor, " b"]
    angle: Angle

    @classmethod
    def at(cls, point: Point, angle: Angle) -> LocalGaussian:
        """The one with the point's eps and c; where c is too small for any (several modes), the widest allowed.

        Its width is a constant to autograd: any width gives the same solution, to the accuracy of the steps.
        """
        c, u2 = point.c.detach().mean(1), point.u * point.u
        variance = (u2 / c.clamp(min=1e-12) - u2).clamp(0, (WIDEST * angle.scale) ** 2)
        centre = point.y - expand_like((variance + u2) / point.u, point.y) * point.eps
        return cls(centre, variance, angle)

    def radius(self, u: Float[Tensor, " b"]) -> Float[Tensor, " b"]:
        """r = sqrt(variance + u^2)."""
        return torch.sqrt(self.variance + u * u)

    def flatten(
        self, y: Float[Tensor, "b *shape"], u: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """z = (y - m)/r."""
        return (y - self.centre) / expand_like(self.radius(u), y)

    def lift(
        self, z: Float[Tensor, "b *shape"], u: Float[Tensor, " b"]
    ) -> Float[Tensor, "b *shape"]:
        """y = m + r z."""
        return self.centre + expand_like(self.radius(u), z) * z

    def rest(self, point: Point) -> tuple[Float[Tensor, "b *shape"], Float[Tensor, "b k"]]:
        """dz/dw, and (c/u - u/r^2) du/dw: what of the flow is not the Gaussian's."""
        u, slope = point.u, self.angle.slope(point.u)
        pull = u / (self.variance + u * u)
        motion = point.eps - expand_like(pull, point.y) * (point.y - self.centre)
        return expand_like(slope / self.radius(u), motion) * motion, (slope / u)[:, None] * (
            point.c - (u * pull)[:, None]
        )
