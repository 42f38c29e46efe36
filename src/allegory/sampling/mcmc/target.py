"""The density that a Markov chain samples: its score, and its logarithm up to a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ...process.guide import check_consistent
from ...process.path import Level
from ...process.prediction import Predict, Prediction, energy_of

Draw = Callable[[Tensor], Tensor]
"""The next standard-normal draw of every item, like the given tensor."""


@runtime_checkable
class Density(Protocol):
    """p(x) of items. `scale` is the unit of length of a kernel's step."""

    @property
    def scale(self) -> float:
        """The unit of length: sigma at a Level, 1 for an energy by itself."""
        ...

    def score(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """grad log p(x)."""
        ...

    def log_density(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log p(x) up to a constant, in nats. ValueError where only the score is known."""


@dataclass(frozen=True, eq=False)
class Transition:
    """The result of a kernel.

    Args:
        x: the items after it, shape (b, *shape).
        accepted: the fraction of its proposals that each item accepted, shape (b,); None where
            nothing is proposed.
    """

    x: Float[Tensor, "b *shape"]
    accepted: Float[Tensor, " b"] | None = None


Kernel = Callable[[Density, Tensor, Draw], Transition]
"""(density, x, draw) -> Transition: a step that leaves a density as it is, exactly or nearly."""


class NoisedDensity:
    """p(x_t) at one Level: the score of a Predict, and log p = -E where it has an `energy`.

    Args:
        predict: a Predict.
        level: a Level with noise.
        condition: passed to predict; None for no condition.

    Raises:
        ValueError: for a Level without noise, and a Predict whose x0 and eps do not add up to x_t.
    """

    def __init__(self, predict: Predict, level: Level, condition: Tensor | None = None) -> None:
        if isinstance(level.sigma, float) and level.sigma == 0.0:
            raise ValueError(
                "level: clean data, where a prediction has no score; stay at a Level with noise"
            )
        check_consistent(predict, "a corrector")
        self.predict = predict
        self.level = level
        self.condition = condition
        self.prediction: Prediction | None = None

    @property
    def scale(self) -> float:
        return float(self.level.sigma)

    def score(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """grad log p at the items `x`, (b, *shape)."""
        self.prediction = self.predict(x, self.level, self.condition)
        return self.prediction.view("score")

    def log_density(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        return -energy_per_item(energy_of(self.predict, x, self.level, self.condition), x)


@dataclass(frozen=True)
class EnergyDensity:
    """p(x) = exp(-E(x))/Z for any differentiable E.

    Args:
        energy: (b, *shape) -> (b,).
        scale: the unit of length of a kernel's step.
    """

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
    """The energy, after a check that it is one number per item of x. ValueError otherwise."""
    if energy.shape != x.shape[:1]:
        raise ValueError(
            f"energy: shape {tuple(energy.shape)} for x {tuple(x.shape)}; give one number "
            f"per item, ({len(x)},), for instance the sum over all but the first axis"
        )
    return energy
