"""An autoencoder of pictures whose latent is a smaller picture."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from ...data.spec import DataSpec
from ...networks.residual import Down, Output, Up, residuals
from ..hierarchy import Hierarchy
from ..output_heads import Head, default_decoder
from ..vae import NetworkEmission, NetworkKernel


@dataclass(frozen=True)
class PictureAutoencoderConfig:
    """The choice of a `PictureAutoencoder`; the fields are its arguments.

    Args:
        latent_channels: of the latent.
        channels: of the networks, at a half of the size, at a quarter, and so on; their number is
            that of the halvings.
        blocks: residual blocks at each size.
        kl_weight: of the divergence in the training loss; 1 trains the bound.
        decoder: "bernoulli", "logistic" or "gaussian"; None for the one that fits the data.
        components: the logistic distributions of each number's mixture, for "logistic".

    Raises:
        ValueError: for a number below 1, and a negative weight.
    """

    latent_channels: int = 4
    channels: tuple[int, ...] = (32, 64)
    blocks: int = 1
    kl_weight: float = 1.0
    decoder: str | None = None
    components: int = 5

    def __post_init__(self) -> None:
        numbers = (self.latent_channels, self.blocks, self.components, *self.channels)
        if not self.channels or min(numbers) < 1:
            raise ValueError(f"{self}: give 1 or more of each number")
        if not 0 <= self.kl_weight <= 1:
            raise ValueError(f"kl_weight={self.kl_weight}; give a number from 0 to 1")

    @property
    def unit(self) -> str:
        """The unit of the training loss."""
        return "bits/dim" if self.kl_weight == 1 else "weighted bits/dim"

    def build(self, spec: DataSpec) -> PictureAutoencoder:
        """A new model for data with this `spec`. ValueError where they do not fit."""
        return PictureAutoencoder(spec, self)


class PictureAutoencoder(Hierarchy):
    """A VAE of pictures with the latent (channels, height/f, width/f), f = 2, 4, 8, ...

    Without attention or a layer over the whole picture, so that it takes any size that f divides.

    Args:
        spec: what the data are.
        config: channels, blocks, weight of the divergence, decoder.

    Raises:
        ValueError: for data that are no pictures, or whose sides f does not divide.
    """

    def __init__(self, spec: DataSpec, config: PictureAutoencoderConfig) -> None:
        size = _latent_size(spec, len(config.channels))
        head = Head(spec, config.decoder or default_decoder(spec), config.components)

        stages = (spec.shape[0], *config.channels)
        encode = nn.Sequential(
            *(
                nn.Sequential(Down(inner, outer), residuals(outer, config.blocks))
                for inner, outer in pairwise(stages)
            ),
            Output(stages[-1], 2 * config.latent_channels, zero=False),
        )
        up = [stages[-1], *reversed(config.channels[:-1])]
        decode = nn.Sequential(
            nn.Conv2d(config.latent_channels, up[0], 3, padding=1),
            residuals(up[0], config.blocks),
            *(
                nn.Sequential(Up(inner, outer), residuals(outer, config.blocks))
                for inner, outer in pairwise(up)
            ),
            Output(up[-1], 4 * head.outputs),
            nn.PixelShuffle(2),
        )

        emission = NetworkEmission(decode, head)
        top = (config.latent_channels, *size)
        super().__init__(spec, [NetworkKernel(encode)], [], emission, top=top)
        self.config = config
        self.unit = config.unit

    def _latent_weight(self) -> float | Tensor:
        """The weight of the divergence in the loss, in evaluation as well."""
        return self.config.kl_weight


def _latent_size(spec: DataSpec, halvings: int) -> tuple[int, int]:
    """Height and width after so many halvings. ValueError where the data have none."""
    factor = 2**halvings
    if len(spec.shape) != 3 or spec.shape[1] % factor or spec.shape[2] % factor:
        raise ValueError(
            f"data of shape {tuple(spec.shape)}; give pictures (channels, height, width) whose "
            f"sides are multiples of {factor}, e.g. by ?size={4 * factor}, or fewer channels of "
            "the autoencoder (one for each halving)"
        )

    return spec.shape[1] // factor, spec.shape[2] // factor
