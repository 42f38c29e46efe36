r"""T steps of a latent diffusion model as one hierarchy of latents.

    x <- z_1 <- ... <- z_L <- u_0 <- u_1 <- ... <- u_T

with the latents z of the autoencoder, u = scale(z_L), and for the rest the chain of a diffusion
model (`as_hierarchy`): q(u_0 | z_L) is the marginal at t = 0, p(z_L | u_0) the Gaussian
N(u_0/alpha_0, (sigma_0/alpha_0)^2) in the units of z_L. Its bound is the generic one: the cost of
z_L is E[log q(z_L | x) - log p(z_L | u_0)], whose second part is the constant
D/2 log(2 pi e sigma_0^2/alpha_0^2) of Vahdat et al. 2021, eq. 6.
"""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ...data.spec import DataSpec
from ...likelihood.inference import DrawNoise, Inference, Latent
from ...process.decoder import Observation
from ...process.kernel import Gaussian
from ...process.path import Level
from ..hierarchy import Hierarchy
from ..latent_variable import LatentVariableModel
from .scale import LatentScale


class LatentSteps(LatentVariableModel):
    """A latent diffusion model with T steps.

    Args:
        autoencoder: the model of x and z_1, ..., z_L.
        scale: from z_L to u.
        chain: the diffusion model of u with T steps, without a parameter of its own.
        first: the Level of u_0.
    """

    def __init__(
        self, autoencoder: LatentVariableModel, scale: LatentScale, chain: Hierarchy, first: Level
    ) -> None:
        spec: DataSpec = autoencoder.spec
        super().__init__(spec)
        self.autoencoder, self.scale, self.chain = autoencoder, scale, chain
        self.first = first

    def infer(self, x0: Float[Tensor, "b *shape"], draw: DrawNoise) -> Inference:
        """One draw of z_1, ..., z_L, u_0, ..., u_T of x0, from the data upwards, by `draw`."""
        encoded = self.autoencoder.infer(x0, draw)
        *lower, top = encoded.latents
        above = self.chain.infer(self.scale(top.z), draw).latents

        p = z_given_u(self.scale, self.first, above[0].z)
        latent = Latent(top.z, top.q, p, free=False)
        return Inference(encoded.likelihood, (*lower, latent, *above))

    def generate(
        self, count: int, draw: DrawNoise, top: Float[Tensor, "b *top"] | None = None
    ) -> Observation:
        """p(x | z) of `count` items, after a draw of u_T, ..., u_0, z_L, ..., z_1 by `draw`.

        Args:
            count: the number of items.
            draw: the noise.
            top: u_T; None draws it from the prior.
        """
        u_given_0 = self.chain.generate(count, draw, top)
        z = self.scale.inverse(u_given_0.draw(draw(u_given_0.mean)))
        return self.autoencoder.generate(count, draw, z)


def latent_chain(
    autoencoder: Hierarchy, scale: LatentScale, chain: Hierarchy, first: Level
) -> Hierarchy:
    """The same as a Markov chain, whose kernels coding can use.

    Args:
        autoencoder: a Markov chain of latents itself.
        scale: from its top latent to u.
        chain: the diffusion model of u with T steps.
        first: the Level of u_0.
    """
    marginal, *transitions = chain.kernels_up

    def noised(z: Tensor) -> Gaussian:
        return marginal(scale(z))

    def latent(u: Tensor) -> Gaussian:
        return z_given_u(scale, first, u)

    return Hierarchy(
        autoencoder.spec,
        [*autoencoder.kernels_up, noised, *transitions],
        [*autoencoder.kernels_down, latent, *chain.kernels_down],
        autoencoder.observe,
        top=chain.top,
        prior_std=chain.prior_std,
    )


def z_given_u(scale: LatentScale, first: Level, u: Float[Tensor, "b *shape"]) -> Gaussian:
    """p(z_L | u_0 = u) at the Level of u_0, `first`, in the units of z_L."""
    return Gaussian(
        scale.inverse(u / first.alpha),
        scale.std * (first.sigma / first.alpha),
    )
