"""A model from outside the package, as a user would write it: a Gaussian with a full covariance,
and a recipe for it.

It uses no class of `allegory.models`: a module with `spec`, `unit`, `loss` and `sample` is a model,
and `log_prob` is what it can do besides.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from allegory.data import DataSpec
from allegory.process.noise import Noise, Stream
from allegory.recipes import MODELS, Run
from allegory.training import TrainingConfig


class FullGaussian(nn.Module):
    """N(m, L L^T) over flattened items in model space, trained by maximum likelihood."""

    unit = "nats"

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.spec = spec
        self.mean = nn.Parameter(torch.zeros(spec.dims))
        self.factor = nn.Parameter(torch.eye(spec.dims))

    def density(self) -> torch.distributions.MultivariateNormal:
        return torch.distributions.MultivariateNormal(self.mean, scale_tril=self.factor.tril())

    def log_prob(self, x: Tensor, condition: Tensor | None = None, *, seeds=None) -> Tensor:
        flat = self.spec.encode(x).flatten(1)
        return self.density().log_prob(flat) + self.spec.log_scale

    def loss(self, batch: tuple[Tensor, Tensor | None], generator: torch.Generator) -> Tensor:
        return -self.log_prob(batch[0])

    def sample(self, seeds, condition=None, sampler=None, *, batch=250, on_step=None) -> Tensor:
        with torch.no_grad():
            noise = Noise(seeds, (self.spec.dims,), Stream.START).draw()
            flat = self.mean + noise @ self.factor.tril().T
        return self.spec.decode(flat.reshape(len(seeds), *self.spec.shape))

    def entropy(self) -> float:
        """In nats, in the data's own units."""
        return self.density().entropy().item() - self.spec.log_scale


@dataclass(frozen=True)
class FullGaussianConfig:
    """The choice of a FullGaussian."""

    unit: str = "nats"

    def build(self, spec: DataSpec) -> FullGaussian:
        return FullGaussian(spec)


MODELS.register("full_gaussian", FullGaussianConfig, "a Gaussian with a full covariance")


def gaussian_fit(data: str = "moons") -> Run:
    """A Gaussian fitted to points of the plane."""
    training = TrainingConfig(steps=300, batch_size=500, learning_rate=2e-2, weight_decay=0.0)
    return Run("gaussian_fit", data, FullGaussianConfig(), training)
