"""What a Markov chain needs to know of a density: its score, and for an exact chain its logarithm up to a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ...process.path import Level
from ...process.prediction import Predict, Prediction, energy_of

Draw = Callable[[Tensor], Tensor]
"""The next standard-normal draw of every item, like the given tensor."""


@runtime_checkable
class Density(Protocol):
    """p(x) of items. `scale` is the length in which a kernel counts its step."""

    @property
    def scale(self) -> float:
        """A length: sigma at a Level, 1 for a bare energy."""

    def score(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """grad log p(x)."""

    def log_density(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x) up to a constant, in nats. ValueError where only the score is known."""


@dataclass(frozen=True, eq=False)
class Transition:
    """Items after a kernel, and the share of its proposals that each accepted; None where nothing is proposed."""

    x: Float[Tensor, "b *shape"]
    accepted: Float[Tensor, " b"] | None = None


Kernel = Callable[[Density, Tensor, Draw], Transition]
"""A step of a Markov chain that leaves a density as it is, exactly or nearly."""


class NoisedDensity:
    """p(x_t) at one Level, as a Predict knows it: the score from its prediction, log p = -E if it has an `energy`."""

    def __init__(self, predict: Predict, level: Level, condition: Tensor | None = None) -> None:
        if isinstance(level.sigma, float) and level.sigma == 0.0:
            raise ValueError(
                "level: clean data, where a prediction has no score; stay at a Level with noise"
            )
        self.predict, self.level, self.condition = predict, level, condition
        self.prediction: Prediction | None = None  # the last one formed

    @property
    def scale(self) -> float:
        return float(self.level.sigma)

    def score(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        self.prediction = self.predict(x, self.level, self.condition)
        return self.prediction.view("score")

    def log_density(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        return -energy_per_item(energy_of(self.predict, x, self.level, self.condition), x)


@dataclass(frozen=True)
class EnergyDensity:
    """p(x) = exp(-E(x))/Z for any differentiable E: (b, *shape) -> (b,). ValueError where E is no number an item."""

    energy: Callable[[Tensor], Tensor]
    scale: float = 1.0

    def score(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """-grad E, by autograd."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(energy_per_item(self.energy(x), x).sum(), x)
        return -gradient

    def log_density(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """-E."""
        return -energy_per_item(self.energy(x), x)


def energy_per_item(energy: Tensor, x: Tensor) -> Float[Tensor, " b"]:
    """The energy, once it is known to be one number an item. ValueError otherwise."""
    if energy.shape != x.shape[:1]:
        raise ValueError(
            f"energy: shape {tuple(energy.shape)} for x {tuple(x.shape)}; give one number an item, ({len(x)},), "
            "for instance the sum over all but the first axis"
        )
    return energy
