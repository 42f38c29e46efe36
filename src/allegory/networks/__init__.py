"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from ..numerics.dropout import Dropout
from .condition import Condition, Labels, Picture, Vector
from .dit import DiT, DiTConfig
from .embeddings import InputFourier, LevelEmbedding
from .mlp import MLP, MLPConfig
from .potential import Potential, PotentialConfig
from .registry import NETWORKS, NetworkConfig, label_condition
from .unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "NETWORKS",
    "Condition",
    "DiT",
    "DiTConfig",
    "Dropout",
    "InputFourier",
    "Labels",
    "LevelEmbedding",
    "MLPConfig",
    "NetworkConfig",
    "Picture",
    "Potential",
    "PotentialConfig",
    "UNet",
    "UNetConfig",
    "Vector",
    "label_condition",
]
