"""Networks: forward(x, log_snr, condition) -> an array like x. They know no diffusion."""

from ..numerics.dropout import Dropout
from .axial import AxialTransformer, AxialTransformerConfig
from .dit import DiT, DiTConfig
from .embeddings import InputFourier, LevelEmbedding, add_number
from .encoder import EncoderConfig
from .mlp import MLP, MLPConfig
from .potential import Potential, PotentialConfig
from .registry import NETWORKS, NetworkConfig
from .transformer import Transformer, TransformerConfig
from .unet import UNet, UNetConfig
from .video_unet import VideoUNet, VideoUNetConfig

__all__ = [
    "MLP",
    "NETWORKS",
    "AxialTransformer",
    "AxialTransformerConfig",
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
    "VideoUNet",
    "VideoUNetConfig",
    "add_number",
]
