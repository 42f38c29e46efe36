"""A mixture of three modes, and measurements of it that differ from item to item."""

import torch

from allegory.inverse import GaussianNoise, Mask, Matrix, Measurement
from allegory.process import LinearLogSNR, Mixture, Path

SHAPE = (1, 3, 2)


def normal(*shape: int, seed: int, dtype=torch.float64) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def mixture(scaling: str = "vp") -> Mixture:
    path = Path(LinearLogSNR(7.0, -7.0), scaling)
    return Mixture(normal(3, *SHAPE, seed=0), 0.5, path=path)


def masks(count: int) -> Measurement:
    """A mask and a standard deviation of its own per item."""
    known = normal(count, *SHAPE, seed=1) > 0
    std = 0.2 + 0.3 * torch.arange(count, dtype=torch.float64).view(-1, 1, 1, 1).expand(-1, *SHAPE)
    return Measurement(
        Mask(known, SHAPE), normal(count, *SHAPE, seed=2) * known, GaussianNoise(std)
    )


def matrices(count: int) -> Measurement:
    return Measurement(Matrix(normal(count, 2, 6, seed=3), SHAPE), normal(count, 2, seed=4), 0.3)
