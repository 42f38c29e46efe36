"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from allegory.networks.condition import Condition, Labels, Picture, Vector
from allegory.networks.dit import DiT, DiTConfig
from allegory.networks.embed import InputFourier, LevelEmbedding
from allegory.networks.mlp import MLP, MLPConfig
from allegory.networks.unet import UNet, UNetConfig

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
    "UNet",
    "UNetConfig",
    "Vector",
]
