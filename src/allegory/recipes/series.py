"""Time series, by attention over time."""

from __future__ import annotations

from ..networks import AxialTransformerConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def series(data: str = "series") -> Run:
    """A diffusion model of time series (time, channels) by attention over time, in five minutes.

    What it should reach depends on the data; no figure was evaluated.

    Args:
        data: an array (n, time, channels) in a .npy or .npz file; the bundled series have a known
            density. With ?given=8 the model is given the first 8 times of a series.
    """
    return Run(
        recipe="series",
        source=data,
        model=DiffusionConfig(
            network=AxialTransformerConfig(width=64, depth=4, heads=4),
            path=PathConfig("linear", start=10.0, end=-7.0),
            target="edm",
        ),
        training=TrainingConfig(minutes=5.0, batch_size=128, learning_rate=4e-3, ema=0.995),
    )
