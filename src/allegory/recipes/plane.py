"""Points on the plane, and vectors of any length: densities of continuous data."""

from __future__ import annotations

from ..networks import MLPConfig
from ..training import TrainingConfig
from .config import DiffusionConfig, PathConfig, Run
from .registry import recipe


@recipe
def toy(data: str = "moons") -> Run:
    """A density over the plane in half a minute: moons, swiss_roll, checkerboard, eight_gaussians, pinwheel, rings.

    On eight_gaussians it should come within 0.1 bits/dim of the entropy of the mixture.
    """
    return _vectors(
        "toy", data, TrainingConfig(minutes=0.5, batch_size=512, learning_rate=2e-3, ema=0.998)
    )


@recipe
def arrays(data: str) -> Run:
    """A density over float arrays of any shape (.npy, .npz): flattened, through a residual MLP."""
    return _vectors(
        "arrays", data, TrainingConfig(minutes=5.0, batch_size=256, learning_rate=1e-3, ema=0.999)
    )


def _vectors(name: str, data: str, training: TrainingConfig) -> Run:
    model = DiffusionConfig(
        MLPConfig(width=256, depth=3), PathConfig("cosine", start=12.0, end=-8.0), target="edm"
    )
    return Run(name, data, model, training)
