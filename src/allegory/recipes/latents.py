"""Latent diffusion of images."""

from __future__ import annotations

from ..models.latent import PictureAutoencoderConfig
from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import PathConfig, Run
from .latent_diffusion import LatentDiffusionConfig
from .registry import recipe


@recipe
def mnist_latent(data: str) -> Run:
    """A class-conditional diffusion model of latents of 28x28 digits, in two stages.

    A picture autoencoder of 4x7x7 numbers, a quarter of those of an image, in fifteen minutes on
    two cores; then the denoiser in another fifteen. Bounds are of the pixels.

    Args:
        data: the images of MNIST, a folder, an array or a table.
    """
    return _small("mnist_latent", data)


@recipe
def fashion_latent(data: str) -> Run:
    """A class-conditional diffusion model of latents of 28x28 clothes, in two stages.

    As `mnist_latent`.

    Args:
        data: the images of Fashion-MNIST, a folder, an array or a table.
    """
    return _small("fashion_latent", data)


@recipe
def images_latent(data: str) -> Run:
    """A diffusion model of latents of 8-bit images up to 256x256, in two stages.

    An autoencoder of 16 channels at an eighth of the size, 12 times fewer numbers than those of a
    colour image, then the denoiser, in fifteen minutes each on two cores.

    Args:
        data: a folder of images, a .npy or .npz of uint8, a parquet table, or hub:owner/name; both
            sides are multiples of 16.
    """
    return Run(
        recipe="images_latent",
        source=data,
        model=LatentDiffusionConfig(
            autoencoder=PictureAutoencoderConfig(
                latent_channels=16, channels=(24, 48, 96), kl_weight=0.1, components=1
            ),
            network=UNetConfig(64, multipliers=(1, 2), blocks=2, attention=(4, 8), dropout=0.1),
            draws=4,
        ),
        training=TrainingConfig(
            minutes=15.0,
            batch_size=8,
            optimizer="muon",
            learning_rate=2e-2,
            warmup=30,
            ema=0.998,
        ),
    )


def _small(name: str, data: str) -> Run:
    """Of 28x28 pixels."""
    return Run(
        recipe=name,
        source=data,
        model=LatentDiffusionConfig(
            autoencoder=PictureAutoencoderConfig(latent_channels=4, channels=(32, 64)),
            network=UNetConfig(64, multipliers=(1,), blocks=2, attention=(7,)),
            path=PathConfig("linear", start=8.0, end=-6.0),
        ),
        training=TrainingConfig(minutes=15.0, batch_size=64, learning_rate=2e-3, ema=0.999),
    )
