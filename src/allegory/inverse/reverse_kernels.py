r"""Reverse kernels p(x_s | x_t), from which particles are proposed.

A proposal is a kernel that is moved by delta, and its importance weight is

    p(x_s | x_t) / p(x_s - delta | x_t)

where delta = (alpha_s/alpha_t) V grad log p(y | x_t), the change of the mean of x_s when the score
changes by the gradient. V is the variance of the kernel; where that is exact it is
sigma_{t|s}^2 = -sigma_t^2 expm1(log_snr_t - log_snr_s), with which delta is E[x_s | x_t, y] -
E[x_s | x_t].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ..process.coefficients import Coefficient
from ..process.kernel import Gaussian
from ..process.mixture_kernel import MixtureKernel


@runtime_checkable
class ReverseKernel(Protocol):
    """A density of x_s given x_t."""

    def draw(self, noise: Tensor, uniform: Tensor, /) -> Float[Tensor, "b *shape"]:
        """x_s.

        Args:
            noise: standard-normal, (b, *shape).
            uniform: one number in [0, 1) per item.
        """
        ...

    def log_prob(self, x_s: Tensor, /) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        ...

    def shift(self, slope: Tensor, /) -> Float[Tensor, "b *shape"] | None:
        """delta of the module for a gradient `slope`; None where the kernel has no density."""
        ...

    def log_ratio(self, x_s: Tensor, shift: Tensor, /) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) - log p(x_s - shift | x_t)."""
        ...


@dataclass(frozen=True, eq=False)
class ModelKernel:
    """The Gaussian of an ancestral step.

    Args:
        step: its mean and standard deviation.
        scale: alpha_s/alpha_t.
    """

    step: Gaussian
    scale: Coefficient

    @property
    def mean(self) -> Float[Tensor, "b *shape"]:
        """The mean of x_s."""
        return self.step.mean

    @property
    def std(self) -> Coefficient:
        """The standard deviation of x_s; it broadcasts against the mean."""
        return self.step.std

    def draw(self, noise: Tensor, uniform: Tensor) -> Float[Tensor, "b *shape"]:
        """mean + std noise.

        Args:
            noise: standard-normal, (b, *shape).
            uniform: not used.
        """
        return self.step.draw(noise)

    def log_prob(self, x_s: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        return self.step.log_prob(x_s)

    def shift(self, slope: Tensor) -> Float[Tensor, "b *shape"] | None:
        """(alpha_s/alpha_t) std^2 slope; None without noise."""
        if not isinstance(self.std, Tensor) and self.std == 0:
            return None
        return self.scale * self.std * self.std * slope

    def log_ratio(self, x_s: Tensor, shift: Tensor) -> Float[Tensor, " b"]:
        """-(x_s - mean - shift/2) shift/std^2, summed over each item.

        Args:
            x_s: the states, (b, *shape).
            shift: how far the proposal was moved, (b, *shape).
        """
        moved = shift / self.std
        terms = ((x_s - self.mean) / self.std - moved / 2) * moved
        return -terms.flatten(1).sum(1)


@dataclass(frozen=True, eq=False)
class ExactKernel:
    """The exact kernel of a mixture.

    Args:
        density: p(x_s | x_t).
        scale: (alpha_s/alpha_t) sigma_{t|s}^2, what multiplies a gradient.
    """

    density: MixtureKernel
    scale: Coefficient

    def draw(self, noise: Tensor, uniform: Tensor) -> Float[Tensor, "b *shape"]:
        """x_s.

        Args:
            noise: standard-normal, (b, *shape).
            uniform: one number in [0, 1) per item, for the component.
        """
        return self.density.draw(noise, uniform)

    def log_prob(self, x_s: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) in nats per item."""
        return self.density.log_prob(x_s)

    def shift(self, slope: Tensor) -> Float[Tensor, "b *shape"] | None:
        """(alpha_s/alpha_t) sigma_{t|s}^2 slope; None where the kernel has no density."""
        return self.scale * slope if self.density.has_density else None

    def log_ratio(self, x_s: Tensor, shift: Tensor) -> Float[Tensor, " b"]:
        """log p(x_s | x_t) - log p(x_s - shift | x_t).

        Args:
            x_s: the states, (b, *shape).
            shift: how far the proposal was moved, (b, *shape).
        """
        return self.log_prob(x_s) - self.log_prob(x_s - shift)
