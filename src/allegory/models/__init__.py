"""Models: a network, or several, with the loss that trains them."""

from .denoiser import Denoiser
from .diffusion import VDM

__all__ = ["VDM", "Denoiser"]
