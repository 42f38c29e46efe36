"""Latent diffusion: a diffusion model as the prior of an autoencoder."""

from .autoencoder import PictureAutoencoder, PictureAutoencoderConfig
from .diffusion import LatentDiffusion
from .scale import LatentScale
from .steps import LatentSteps

__all__ = [
    "LatentDiffusion",
    "LatentScale",
    "LatentSteps",
    "PictureAutoencoder",
    "PictureAutoencoderConfig",
]
