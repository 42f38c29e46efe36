"""Mixtures of Gaussians on the plane: densities whose flow bends, with exact scores, in float64."""

import torch

from allegory.process import Mixture


def two_modes(path):
    """Of one width, with weights 0.7 and 0.3."""
    means = torch.tensor([[1.0, 0.0], [-1.0, 0.5]], dtype=torch.float64)
    return Mixture(means, 0.4, path=path, weights=torch.tensor([0.7, 0.3]))


def three_modes(path):
    """Of three widths, with labels 0, 1 and 2."""
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3], [0.2, -1.1]], dtype=torch.float64)
    stds = torch.tensor([0.2, 0.3, 0.1], dtype=torch.float64)
    return Mixture(means, stds, path=path, labels=torch.arange(3))
