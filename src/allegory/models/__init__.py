"""Models: a network, or several, with the loss that trains them."""

from .categorical import Categorical
from .denoiser import Denoiser
from .diffusion import VDM

__all__ = ["VDM", "Categorical", "Denoiser"]
