"""allegory: diffusion models from one set of equations.

    data ──Path──▶ x_t ──Predict──▶ Prediction (x0 = eps = score = v = flow)
                                        │
          Bound, bits/dim, a file ◀── likelihood
                  a training loss ◀── objectives
                          samples ◀── sampling
                 another Predict  ◀── guidance

The names below load on first use, so `import allegory` costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .models import VDM, Denoiser, Energy, Hierarchy, Ladder
    from .process import Bound, Empirical, Level, Mixture, Path, Predict, Prediction, grid
    from .sampling import initial_noise, invert, sample, trajectory

_HOME = {
    "Bound": "process", "Empirical": "process", "Level": "process", "Mixture": "process", "Path": "process",
    "Predict": "process", "Prediction": "process", "grid": "process",
    "invert": "sampling", "sample": "sampling", "initial_noise": "sampling", "trajectory": "sampling",
    "Denoiser": "models", "Energy": "models", "Hierarchy": "models", "Ladder": "models", "VDM": "models",
}  # fmt: skip

__all__ = [
    "VDM",
    "Bound",
    "Denoiser",
    "Empirical",
    "Energy",
    "Hierarchy",
    "Ladder",
    "Level",
    "Mixture",
    "Path",
    "Predict",
    "Prediction",
    "grid",
    "initial_noise",
    "invert",
    "sample",
    "trajectory",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'allegory' has no attribute {name!r}")
    return getattr(import_module(f".{_HOME[name]}", __name__), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
