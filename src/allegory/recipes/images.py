"""Images of 8 bits: a folder, a table, or one of the sets that the field measures itself on."""

from __future__ import annotations

from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def images(data: str) -> Run:
    """Images from a folder, a .npy/.npz of uint8, a parquet table or the hub; 8x8 to 64x64, sides divisible by 4.

    The log-SNR ends and the Fourier features are VDM's for 8-bit pixels (Kingma et al. 2021).
    """
    return Run(
        recipe="images",
        source=data,
        model=DiffusionConfig(
            network=UNetConfig(
                32,
                multipliers=(1, 2, 2),
                blocks=2,
                attention=(7, 8),
                dropout=0.1,
                fourier=(5, 6, 7),
            ),
            path=PathConfig("linear", start=13.3, end=-5.0),
            target="edm",
        ),
        training=TrainingConfig(minutes=30.0, batch_size=64, learning_rate=1e-3, ema=0.999),
    )
