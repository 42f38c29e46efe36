"""Models: a network, or several, with the loss that trains them."""

from .categorical import Categorical
from .denoiser import Denoiser
from .diffusion import VDM
from .hierarchy import Hierarchy
from .ladder import Ladder, LadderConfig
from .latent import LatentModel
from .unrolled import descend, unroll
from .vae import VAEConfig
from .variance import LearnedVariance

__all__ = [
    "VDM",
    "Categorical",
    "Denoiser",
    "Hierarchy",
    "Ladder",
    "LadderConfig",
    "LatentModel",
    "LearnedVariance",
    "VAEConfig",
    "descend",
    "unroll",
]
