"""Models: a network, or several, with the loss that trains them."""

from .categorical import Categorical
from .denoiser import Denoiser
from .diffusion import VDM
from .hierarchy import Hierarchy
from .latent import LatentModel
from .unrolled import descend, unroll

__all__ = ["VDM", "Categorical", "Denoiser", "Hierarchy", "LatentModel", "descend", "unroll"]
