"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from .condition import Condition, Labels, Picture, Vector
from .dit import DiT, DiTConfig
from .embed import InputFourier, LevelEmbedding
from .mlp import MLP, MLPConfig
from .scalar import Scalar, ScalarConfig
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
    "Scalar",
    "ScalarConfig",
    "UNet",
    "UNetConfig",
    "Vector",
]
