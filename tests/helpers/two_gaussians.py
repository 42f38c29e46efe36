"""Two Gaussians, one with a condition and one without, as one Predict that knows both exactly."""

import torch

from allegory import Mixture
from allegory.conditions import hidden_like
from allegory.process import Prediction


class TwoGaussians:
    """A Predict that counts its calls and understands hidden rows.

    Args:
        path: the forward process.
        cond: (mean, covariance) for any label, over d numbers.
        free: the same where the label is hidden.
    """

    def __init__(self, path, cond, free):
        self.path = path
        self.calls = []
        self.cond, self.free = (
            Mixture(mean[None], None, path=path, covariances=covariance[None])
            for mean, covariance in (cond, free)
        )

    def hidden(self, condition):
        return hidden_like(condition)

    def __call__(self, x_t, t, condition=None):
        self.calls.append(len(x_t))
        free, cond = self.free(x_t, t), self.cond(x_t, t)
        is_free = self._is_free(x_t, condition)[:, None]
        return Prediction.of(
            torch.where(is_free, free.x0, cond.x0),
            torch.where(is_free, free.eps, cond.eps),
            free.level,
        )

    def energy(self, x_t, t, condition=None):
        is_free = self._is_free(x_t, condition)
        return torch.where(is_free, self.free.energy(x_t, t), self.cond.energy(x_t, t))

    def _is_free(self, x_t, condition):
        if condition is None:
            return torch.ones(len(x_t), dtype=torch.bool)
        return condition < 0


def isotropic(path, std=0.5, free_std=1.0, mean=0.0, dims=1):
    """N(mean, std^2 I) with a label, N(0, free_std^2 I) without."""
    eye, one = torch.eye(dims, dtype=torch.float64), torch.ones(dims, dtype=torch.float64)
    return TwoGaussians(path, (mean * one, std**2 * eye), (0 * one, free_std**2 * eye))
