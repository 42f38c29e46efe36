"""Discrete diffusion models."""

from .denoiser import TokenDenoiser
from .diffusion import DiscreteDiffusion

__all__ = ["DiscreteDiffusion", "TokenDenoiser"]
