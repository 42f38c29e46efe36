r"""The variational autoencoder, and Markov chains of them: trained kernels for `Hierarchy`.

    q(z_1 | x), q(z_2 | z_1), ..., q(z_L | z_{L-1})    and    p(x | z_1), p(z_1 | z_2), ..., p(z_L) = N(0, I)

are networks that return the means and standard deviations of diagonal Gaussians (Kingma & Welling
2014, section 3; Luo 2022, eq. 20 to 24), and p(x | z_1) what the data want: Bernoulli, a
discretised mixture of logistics, or a Gaussian. One latent is the VAE: the divergence is in closed
form, the draw is mean + std noise (eq. 21, 22). More make the hierarchy of eq. 23, whose lower
latents' terms are drawn (see `likelihood.inference`); the ladder trains better (`ladder.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor, nn

from ..data.spec import DataSpec
from ..networks.dense import Dense
from ..networks.residual import PictureDecoder, PictureEncoder
from ..process.decoder import Observation
from ..process.kernel import Gaussian
from .hierarchy import Hierarchy
from .output_heads import Head, gaussian


@dataclass(frozen=True)
class VAEConfig:
    """The choice of a VAE (one latent), or of a chain: the sizes of the vectors z_1 to z_L, for
    data of any shape.

    Encoders and decoders are residual perceptrons of `depth` blocks of `width` units; with
    `channels`, those next to the data are convolutions with so many channels at a half and a
    quarter of the picture's size, `depth` blocks at each. `decoder` is "bernoulli", "logistic" or
    "gaussian".
    """

    latents: tuple[int, ...] = (32,)
    width: int = 512
    depth: int = 2
    channels: tuple[int, int] | None = None
    decoder: str = "bernoulli"

    def __post_init__(self) -> None:
        if (
            not self.latents
            or min(self.width, self.depth, *self.latents, *(self.channels or ())) < 1
        ):
            raise ValueError(f"{self}: give 1 or more of each number")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "bits/dim"

    def build(self, spec: DataSpec) -> Hierarchy:
        """A new model for data of this kind.

        ValueError where the decoder, or convolutions, do not fit them.
        """
        head, steps = Head(spec, self.decoder), list(pairwise(self.latents))
        encoder, decoder = self._ends(spec, head)
        return Hierarchy(
            spec,
            [
                NetworkKernel(encoder),
                *(self._dense(below, above, zero=False) for below, above in steps),
            ],
            [self._dense(above, below, zero=True) for below, above in steps],
            NetworkEmission(decoder, head),
            top=(self.latents[-1],),
        )

    def _ends(self, spec: DataSpec, head: Head) -> tuple[nn.Module, nn.Module]:
        """The networks of q(z_1 | x) and p(x | z_1).

        The first is not zero when new: a decoder learns to ignore a latent that says nothing while
        the encoder begins.
        """
        size = self.latents[0]
        if self.channels is not None:
            encoder = PictureEncoder(spec.shape, 2 * size, self.channels, self.depth)
            return encoder, PictureDecoder(
                size, (head.outputs, *spec.shape[1:]), self.channels, self.depth
            )
        picture = (head.outputs, *spec.shape[1:])
        return (
            Dense(spec.dims, (2 * size,), self.width, self.depth),
            Dense(size, picture, self.width, self.depth, zero=True),
        )

    def _dense(self, inputs: int, outputs: int, zero: bool) -> NetworkKernel:
        return NetworkKernel(Dense(inputs, (2 * outputs,), self.width, self.depth, zero))


class NetworkKernel(nn.Module):
    """N(mean, std^2) of one latent given its neighbour: a network with twice the channels of the
    latent.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Float[Tensor, "b *shape"]) -> Gaussian:
        return gaussian(self.network(given))


class NetworkEmission(nn.Module):
    """p(x | z_1): a network, and how its outputs are read."""

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network, self.head = network, head

    def forward(self, z: Float[Tensor, "b *latent"]) -> Observation:
        return self.head(self.network(z))
