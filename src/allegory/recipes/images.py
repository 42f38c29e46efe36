"""Images of 8 bits: a folder, a table, or a data set of the hub."""

from __future__ import annotations

from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def images(data: str) -> Run:
    """A diffusion model of 8-bit images of 8x8 to 64x64, in half an hour on two cores.

    What it should reach depends on the data; no figure was evaluated. The ends of log-SNR and the
    Fourier features are those of VDM for 8-bit pixels (Kingma et al. 2021).

    Args:
        data: a folder of images, a .npy or .npz of uint8, a parquet table, or hub:owner/name; both
            sides are multiples of 4.
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
