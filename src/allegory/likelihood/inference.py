r"""Inference: one draw of the latents of x, and every bound that follows from it.

A latent-variable model explains x by z_1 (next to the data) to z_L (the top). One draw of all
latents gives, for each, the distribution q that it was drawn from and the p that the model expects
of it. From these alone follow (Luo 2022, eq. 27 and 36; 28, 29 and 37)

    log w  = log p(x | z_1) + sum_i [log p_i(z_i) - log q_i(z_i)]        E[w] = p(x)
    bound  = log p(x | z_1) - sum_i cost_i                               E[bound] <= log p(x)

where the cost of z_i is KL(q_i || p_i) if p_i was known before z_i was drawn ("free": the top of a
chain, every level of a top-down model), and the draw log q_i(z_i) - log p_i(z_i) of it otherwise.
In a Markov chain that is inferred from the data upwards, p(z_i | z_{i+1}) depends on z_{i+1}, which
was drawn from z_i: averaging over z_i with z_{i+1} held still is not allowed. The paper does it in
the step from 44 to 45; `consistency` is that other bound. For p(z_i | z_{i+1}) = N(a z_{i+1} + b,
s^2 I) and q(z_{i+1} | z_i) = N(c z_i, .), the two differ by

    bound - consistency = sum_{i<L} d a_{i+1} c_{i+1} Var q(z_i | z_{i-1}) / s_{i+1}^2,

positive for a chain that is of any use, so `consistency` is the looser of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from ..process.bound import Bound
from ..process.decoder import Observation
from ..process.distribution import Distribution
from ..process.kernel import Gaussian

DrawNoise: TypeAlias = Callable[[Tensor], Tensor]
"""Standard-normal noise in the shape, dtype and device of a tensor, e.g. `Noise(...).draw`."""

GaussianKernel: TypeAlias = Callable[[Tensor], Gaussian]
"""The Gaussian of one latent, given its neighbour."""

Emission: TypeAlias = Callable[[Tensor], Observation]
"""p(x | z_1), given z_1."""


@dataclass(frozen=True, eq=False)
class Latent:
    """One draw of a latent.

    Args:
        z: its value.
        q: the distribution that it was drawn from.
        p: the distribution that the model expects.
        free: whether p was known before z was drawn.
    """

    z: Shaped[Tensor, "b *shape"]
    q: Distribution
    p: Distribution
    free: bool

    @property
    def log_ratio(self) -> Float[Tensor, " b"]:
        """log q(z) - log p(z) in nats: one draw of the cost."""
        return self.q.log_prob(self.z) - self.p.log_prob(self.z)

    @property
    def kl(self) -> Float[Tensor, " b"]:
        """KL(q || p) in nats."""
        return self.q.kl(self.p)

    @property
    def cost(self) -> Float[Tensor, " b"]:
        """The cost of this latent in the bound, in nats; in closed form where that is right."""
        return self.kl if self.free else self.log_ratio


@dataclass(frozen=True, eq=False)
class Inference:
    """One draw of all latents.

    Args:
        likelihood: log p(x | z_1) in nats per item.
        latents: z_1..z_L.
    """

    likelihood: Float[Tensor, " b"]
    latents: tuple[Latent, ...]

    @property
    def log_weight(self) -> Float[Tensor, " b"]:
        """log p(x, z) - log q(z | x) in nats (Luo 2022, eq. 27; Burda et al. 2016, eq. 7)."""
        return self.likelihood - torch.stack([latent.log_ratio for latent in self.latents]).sum(0)

    @property
    def bound(self) -> Bound:
        """One draw of the evidence lower bound (Luo 2022, eq. 19 for one latent, 29 for more)."""
        return self._with([latent.cost for latent in self.latents])

    @property
    def consistency(self) -> Bound:
        """The bound with every cost as a KL (Luo 2022, eq. 45): looser, unless all are free."""
        return self._with([latent.kl for latent in self.latents])

    def _with(self, costs: Sequence[Tensor]) -> Bound:
        return Bound(self.likelihood, costs[-1], tuple(costs[:-1]))


@dataclass(frozen=True, eq=False)
class LatentChain:
    """A Markov chain of L latents: its kernels up and down (Luo 2022, eq. 23 and 24).

    Args:
        up: the L kernels q(z_1 | x), q(z_2 | z_1), ..., q(z_L | z_{L-1}).
        down: the L - 1 kernels p(z_1 | z_2), ..., p(z_{L-1} | z_L).
        observe: p(x | z_1).
        prior_std: of p(z_L) = N(0, prior_std^2 I).
    """

    up: Sequence[GaussianKernel]
    down: Sequence[GaussianKernel]
    observe: Emission
    prior_std: float = 1.0


def infer_bottom_up(
    chain: LatentChain, x0: Float[Tensor, "b *shape"], draw: DrawNoise
) -> Inference:
    """Draw z_1..z_L of a Markov chain from the data upwards (Luo 2022, eq. 24).

    Args:
        chain: the kernels of the model.
        x0: data in model space, shape (batch, *shape).
        draw: the noise.

    Returns:
        The draw of each latent, with its q and its p.
    """
    below = x0
    drawn: list[tuple[Tensor, Gaussian]] = []
    for kernel in chain.up:
        q = kernel(below)
        below = q.draw(draw(q.mean))
        drawn.append((below, q))

    latents = [
        Latent(z, q, p_of(above), free=False)
        for (z, q), p_of, (above, _) in zip(drawn[:-1], chain.down, drawn[1:], strict=True)
    ]
    top, q_top = drawn[-1]
    prior = Gaussian(torch.zeros_like(top), chain.prior_std)
    latents.append(Latent(top, q_top, prior, free=True))

    return Inference(chain.observe(drawn[0][0]).log_prob(x0), tuple(latents))
