"""Short videos: handwritten digits that move and bounce."""

from __future__ import annotations

from ..networks import VideoUNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def moving_digits(data: str = "moving_digits") -> Run:
    """A diffusion model of clips of 8 frames of 16x16, given the digit, in 20 minutes on two cores.

    Args:
        data: videos (time, channels, height, width); with ?given=2 the model is given the first
            two frames of a clip instead of its class.
    """
    return Run(
        recipe="moving_digits",
        source=data,
        model=DiffusionConfig(
            network=VideoUNetConfig(patch=2, channels=64, multipliers=(1, 2)),
            path=PathConfig("linear", start=6.0, end=-9.0),
            target="edm",
            objective="edm:-1.5",
        ),
        training=TrainingConfig(
            minutes=20.0,
            batch_size=16,
            optimizer="muon",
            learning_rate=8e-3,
            ema=0.998,
            precision="auto",
        ),
    )
