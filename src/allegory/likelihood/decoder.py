r"""Decoders p(x | z_0): the data given the least noisy latent.

`Discretised` is for data of finitely many levels: each number depends on its own number of z_0,

    p(x_i = v | z_0) proportional to q(z_0,i | x_i = v) = N(z_0,i; alpha_0 v, sigma_0^2)

(VDM, eq. 7).

`Continuous` is for densities: p(x | z_0) = N(x; z_0/alpha_0, (sigma_0/alpha_0)^2 I), whose
expectation under q is -(d/2) (1 + log(2 pi sigma_0^2/alpha_0^2)) for every x. Neither has a
parameter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..process.coefficients import log
from ..process.kernel import Gaussian
from ..process.path import Level
from .observation import CategoricalObservation, GaussianObservation


@dataclass(frozen=True, eq=False)
class Discretised:
    """p(x | z_0) over the values of discrete data (VDM, eq. 7).

    Args:
        values: the levels of the data, in model space.
    """

    values: Float[Tensor, " levels"]

    def observe(self, z0: Float[Tensor, "b *shape"], level: Level) -> CategoricalObservation:
        """p(x | z0) at this level, as logits of its own for each number."""
        values = self.values.to(z0)
        alpha = torch.as_tensor(level.alpha).to(z0)[..., None]
        sigma = torch.as_tensor(level.sigma).to(z0)[..., None]
        return CategoricalObservation(-0.5 * ((z0[..., None] - alpha * values) / sigma).square())

    def log_prob(
        self, x0: Float[Tensor, "b *shape"], eps: Float[Tensor, "b *shape"], level: Level
    ) -> Float[Tensor, " b"]:
        """sum_i log p(x0_i | z_0,i) in nats.

        Args:
            x0: data in model space.
            eps: the noise of z_0.
            level: that of z_0.
        """
        return self.observe(level.mix(x0, eps), level).log_prob(x0)


@dataclass(frozen=True)
class Continuous:
    """The density N(x; z_0/alpha_0, (sigma_0/alpha_0)^2 I), with its expectation in closed form.

    Args:
        log_scale: log |d model units / d data units| per item, in nats; 0 gives the density of x0
            itself.
    """

    log_scale: float = 0.0

    def observe(self, z0: Float[Tensor, "b *shape"], level: Level) -> GaussianObservation:
        """N(x; z0/alpha, (sigma/alpha)^2 I) at this level."""
        gaussian = Gaussian(z0 / level.alpha, level.sigma / level.alpha)
        return GaussianObservation(gaussian, self.log_scale)

    def log_prob(
        self, x0: Float[Tensor, "b *shape"], eps: Float[Tensor, "b *shape"], level: Level
    ) -> Float[Tensor, " b"]:
        """E_q[log N(x0; z_0/alpha_0, (sigma_0/alpha_0)^2 I)] + log_scale, in nats.

        Args:
            x0: data in model space.
            eps: the noise of z_0, over which the expectation is taken.
            level: that of z_0.
        """
        width = torch.as_tensor(log(level.sigma / level.alpha)).to(x0)
        dims = x0[0].numel()
        nats = -0.5 * dims * (1 + math.log(2 * math.pi) + 2 * width) + self.log_scale
        return nats.reshape(-1).expand(len(x0))
