r"""The variational autoencoder, and Markov chains of several latents.

    q(z_1 | x), q(z_2 | z_1), ..., q(z_L | z_{L-1})
    p(x | z_1), p(z_1 | z_2), ..., p(z_L) = N(0, I)

are networks that return the means and standard deviations of diagonal Gaussians (Kingma & Welling
2014, section 3; Luo 2022, eq. 20 to 24). p(x | z_1) is Bernoulli, a discretised mixture of
logistics, or a Gaussian. One latent is the VAE: its divergence is in closed form, its draw is mean
+ std noise (eq. 21, 22). More latents are the hierarchy of eq. 23, in which the terms of the lower
latents are drawn (see `likelihood.inference`); the ladder (`ladder.py`) trains better.
"""

from __future__ import annotations

from collections.abc import Sequence
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
from .output_heads import Head, default_decoder, gaussian


class VAE(Hierarchy):
    """A variational autoencoder, or a Markov chain of several latents, for data of any shape.

    Encoders and decoders are residual perceptrons; with `channels`, those next to the data are
    convolutions.

    Args:
        spec: what the data are.
        latents: the sizes of the vectors z_1 to z_L; one is a VAE.
        depth: residual blocks of each network, and of each stage of the convolutions.
        width: units of the perceptrons.
        channels: channels of the convolutions at a half and at a quarter of the picture's size.
            None for perceptrons everywhere.
        decoder: p(x | z_1), "bernoulli", "logistic" or "gaussian". None for the one that fits the
            data: bernoulli for 2 levels, logistic for more, gaussian for continuous data.

    Raises:
        ValueError: for a number below 1, and where the decoder, or convolutions, do not fit the
            data.
    """

    def __init__(
        self,
        spec: DataSpec,
        latents: Sequence[int] = (32,),
        *,
        width: int = 512,
        depth: int = 2,
        channels: tuple[int, int] | None = None,
        decoder: str | None = None,
    ) -> None:
        if not latents or min(width, depth, *latents, *(channels or ())) < 1:
            raise ValueError(
                f"latents={latents}, width={width}, depth={depth}, channels={channels}; "
                "give 1 or more of each number"
            )

        decoder = decoder or default_decoder(spec)
        head = Head(spec, decoder)
        size = latents[0]
        picture = (head.outputs, *spec.shape[1:])

        encode: nn.Module
        decode: nn.Module
        if channels is None:
            encode = Dense(spec.dims, (2 * size,), width, depth)
            decode = Dense(size, picture, width, depth, zero=True)
        else:
            encode = PictureEncoder(spec.shape, 2 * size, channels, depth)
            decode = PictureDecoder(size, picture, channels, depth)

        def between(inputs: int, outputs: int, zero: bool) -> NetworkKernel:
            return NetworkKernel(Dense(inputs, (2 * outputs,), width, depth, zero))

        # The encoder is not zero when new: a decoder learns to ignore a latent without information.
        pairs = list(pairwise(latents))
        up = [NetworkKernel(encode), *(between(low, high, zero=False) for low, high in pairs)]
        down = [between(high, low, zero=True) for low, high in pairs]
        super().__init__(spec, up, down, NetworkEmission(decode, head), top=(latents[-1],))
        self.config = VAEConfig(tuple(latents), width, depth, channels, decoder)


@dataclass(frozen=True)
class VAEConfig:
    """The choice of a `VAE` as plain values; the fields are its arguments."""

    latents: tuple[int, ...] = (32,)
    width: int = 512
    depth: int = 2
    channels: tuple[int, int] | None = None
    decoder: str = "bernoulli"

    def __post_init__(self) -> None:
        """Refuse numbers below 1."""
        numbers = (self.width, self.depth, *self.latents, *(self.channels or ()))
        if not self.latents or min(numbers) < 1:
            raise ValueError(f"{self}: give 1 or more of each number")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "bits/dim"

    def build(self, spec: DataSpec) -> VAE:
        """A new model for data with this `spec`. ValueError where they do not fit."""
        return VAE(
            spec,
            self.latents,
            width=self.width,
            depth=self.depth,
            channels=self.channels,
            decoder=self.decoder,
        )


class NetworkKernel(nn.Module):
    """N(mean, std^2) of one latent given its neighbour.

    Args:
        network: puts out twice the channels of the latent.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, given: Float[Tensor, "b *shape"]) -> Gaussian:
        """The distribution of the latent, `given` its neighbour."""
        return gaussian(self.network(given))


class NetworkEmission(nn.Module):
    """p(x | z_1) from a network.

    Args:
        network: from z_1 to the channels that the head needs.
        head: from these channels to the distribution of the data.
    """

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, z: Float[Tensor, "b *latent"]) -> Observation:
        """p(x | z_1 = z)."""
        return self.head(self.network(z))
