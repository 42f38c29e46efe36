"""Handwritten digits of 8x8 pixels and 17 levels, bundled with scikit-learn: the demo."""

from __future__ import annotations

from ..networks import UNetConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def digits(data: str = "digits") -> Run:
    """A class-conditional diffusion model of 8x8 digits, in two and a half minutes on two cores.

    It should reach 1.77 bits/dim on the 300 test images with their labels hidden (a per-pixel
    histogram has 2.43), and samples at guidance 2 of which an SVM recognises 95 %.

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    return Run(
        recipe="digits",
        source=data,
        model=DiffusionConfig(
            network=UNetConfig(
                channels=32, multipliers=(1, 2), blocks=1, attention=(), dropout=0.25
            ),
            path=PathConfig("linear", start=8.0, end=-5.0),
            target="categorical",
            data_std=0.75,
            condition_dropout=0.15,
        ),
        training=TrainingConfig(
            steps=1400, minutes=2.4, batch_size=128, learning_rate=2e-3, ema=0.998
        ),
    )


@recipe
def digits_variance(data: str = "digits") -> Run:
    """A diffusion model of 8x8 digits that learns the variance of its steps, in three minutes.

    Nichol & Dhariwal 2021, on two cores. The bounds of 50 and of 100 steps should be lower in
    bits/dim than with either fixed variance (`python -m benchmarks learned_variance`). Sample it by
    the solver `ddpm_learned`.

    Args:
        data: images of a few levels; the bundled digits by default.
    """
    return Run(
        recipe="digits_variance",
        source=data,
        model=DiffusionConfig(
            network=UNetConfig(
                channels=32,
                multipliers=(1, 2),
                blocks=1,
                attention=(),
                dropout=0.1,
                fourier=(0, 1, 2, 3, 4),
            ),
            path=PathConfig("linear", start=8.0, end=-5.0),
            target="edm+variance",
            data_std=0.75,
            objective="hybrid",
            condition_dropout=0.15,
        ),
        training=TrainingConfig(
            steps=1600, minutes=3.0, batch_size=128, learning_rate=2e-3, ema=0.998
        ),
    )
