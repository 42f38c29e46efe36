"""Models: a network, or several, with the loss that trains them."""

from .as_hierarchy import DiffusionChain, generate_top_down, unroll
from .categorical_output import CategoricalOutput
from .classifier import Classifier
from .contrastive import ContrastiveConfig, ContrastiveEnergy
from .denoiser import Denoiser
from .denoiser_model import DenoiserModel
from .diffusion import VDM
from .energy import Energy
from .few_step import FlowMapModel
from .flow_map import AtScale, FlowMapDenoiser
from .hierarchy import Hierarchy
from .ladder import Ladder, LadderConfig
from .latent_variable import LatentVariableModel
from .learned_variance import VARIANCE_TARGETS, LearnedVariance
from .vae import VAE, VAEConfig

__all__ = [
    "VAE",
    "VARIANCE_TARGETS",
    "VDM",
    "AtScale",
    "CategoricalOutput",
    "Classifier",
    "ContrastiveConfig",
    "ContrastiveEnergy",
    "Denoiser",
    "DenoiserModel",
    "DiffusionChain",
    "Energy",
    "FlowMapDenoiser",
    "FlowMapModel",
    "Hierarchy",
    "Ladder",
    "LadderConfig",
    "LatentVariableModel",
    "LearnedVariance",
    "VAEConfig",
    "generate_top_down",
    "unroll",
]
