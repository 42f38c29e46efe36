"""Models: a network, or several, with the loss that trains them."""

from .categorical import Categorical
from .contrastive import Contrastive
from .denoiser import Denoiser
from .diffusion import VDM
from .energy import Energy
from .hierarchy import Hierarchy
from .ladder import Ladder, LadderConfig
from .latent import LatentModel
from .unrolled import descend, unroll
from .vae import VAEConfig
from .variance import LearnedVariance

__all__ = [
    "VDM",
    "Categorical",
    "Contrastive",
    "Denoiser",
    "Energy",
    "Hierarchy",
    "Ladder",
    "LadderConfig",
    "LatentModel",
    "LearnedVariance",
    "VAEConfig",
    "descend",
    "unroll",
]
