"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from .condition import Condition, Labels, Picture, Vector
from .dit import DiT, DiTConfig
from .embeddings import InputFourier, LevelEmbedding
from .mlp import MLP, MLPConfig
from .potential import PotentialConfig, Scalar
from .unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "Condition",
    "DiT",
    "DiTConfig",
    "InputFourier",
    "Labels",
    "LevelEmbedding",
    "MLPConfig",
    "Picture",
    "PotentialConfig",
    "Scalar",
    "UNet",
    "UNetConfig",
    "Vector",
]
