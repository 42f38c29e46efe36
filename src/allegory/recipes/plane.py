"""Densities of continuous data: points in the plane, and arrays of any shape."""

from __future__ import annotations

from ..networks import MLPConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def toy(data: str = "moons") -> Run:
    """A diffusion model of points in the plane, in half a minute.

    On eight_gaussians it should reach the entropy of the mixture to within 0.1 bits/dim.

    Args:
        data: moons, swiss_roll, checkerboard, eight_gaussians, pinwheel or rings.
    """
    return _vectors(
        "toy", data, TrainingConfig(minutes=0.5, batch_size=512, learning_rate=2e-3, ema=0.998)
    )


@recipe
def arrays(data: str) -> Run:
    """A diffusion model of tables and arrays of any shape, by a residual perceptron, in 5 minutes.

    What it should reach depends on the data; no figure was evaluated.

    Args:
        data: a .npy or .npz file of numbers, or a .parquet table of numbers.
    """
    return _vectors(
        "arrays", data, TrainingConfig(minutes=5.0, batch_size=256, learning_rate=1e-3, ema=0.999)
    )


def _vectors(name: str, data: str, training: TrainingConfig) -> Run:
    model = DiffusionConfig(
        MLPConfig(width=256, depth=3), PathConfig("cosine", start=12.0, end=-8.0), target="edm"
    )
    return Run(name, data, model, training)
