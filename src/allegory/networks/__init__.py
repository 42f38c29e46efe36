"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from ..numerics.dropout import Dropout
from .dit import DiT, DiTConfig
from .embeddings import InputFourier, LevelEmbedding, add_number
from .encoder import EncoderConfig
from .mlp import MLP, MLPConfig
from .potential import Potential, PotentialConfig
from .registry import NETWORKS, NetworkConfig
from .transformer import Transformer, TransformerConfig
from .unet import UNet, UNetConfig

__all__ = [
    "MLP",
    "NETWORKS",
    "DiT",
    "DiTConfig",
    "Dropout",
    "EncoderConfig",
    "InputFourier",
    "LevelEmbedding",
    "MLPConfig",
    "NetworkConfig",
    "Potential",
    "PotentialConfig",
    "Transformer",
    "TransformerConfig",
    "UNet",
    "UNetConfig",
    "add_number",
]
