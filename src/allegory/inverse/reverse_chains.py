r"""Chains of reverse kernels, from noise to data.

ModelChain    N(mu(x_t), std^2), the ancestral step of a model (Luo 2022, eq. 94); x_T is drawn
              from N(0, prior_std^2 I)
ExactChain    that of a mixture, exactly; x_T is drawn from the mixture's own p(x_T)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import pick
from ..process.coefficients import expm1, zero
from ..process.kernel import VARIANCES, reverse_step
from ..process.mixture_kernel import MixtureKernel
from ..process.noise import Noise, Stream
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .reverse_kernels import ExactKernel, ModelKernel, ReverseKernel


@runtime_checkable
class ReverseChain(Protocol):
    """p(x_T) and the kernels from one Level to the next."""

    def initial(
        self, level: Level, noise: Tensor, uniform: Tensor, condition: Tensor | None, /
    ) -> Float[Tensor, "b *shape"]:
        """x_T.

        Args:
            level: the first.
            noise: standard-normal.
            uniform: one number in [0, 1) per item.
            condition: one row per item, or None.
        """
        ...

    def kernel(
        self, x_t: Tensor, prediction: Prediction, s: Level, condition: Tensor | None, /
    ) -> ReverseKernel:
        """p(x_s | x_t).

        Args:
            x_t: the states.
            prediction: at x_t.
            s: the Level to reach.
            condition: one row per item, or None.
        """
        ...


@dataclass(frozen=True, eq=False)
class ModelChain:
    """The T-step chain of a model, by its ancestral steps.

    Args:
        path: of the Predict.
        variance: "posterior", "large" or "learned" (see `process.kernel.reverse_step`); None for
            the learned one where the model has it, else "posterior".

    Raises:
        ValueError: for another variance.
    """

    path: Path
    variance: str | None = None

    def __post_init__(self) -> None:
        if self.variance is not None:
            pick("variance", self.variance, dict.fromkeys(VARIANCES))

    def initial(
        self, level: Level, noise: Tensor, uniform: Tensor, condition: Tensor | None
    ) -> Float[Tensor, "b *shape"]:
        """prior_std times the noise.

        Args:
            level: the first.
            noise: standard-normal.
            uniform: not used.
            condition: not used.
        """
        return self.path.prior_std * noise

    def kernel(
        self, x_t: Tensor, prediction: Prediction, s: Level, condition: Tensor | None
    ) -> ModelKernel:
        """The ancestral step.

        Args:
            x_t: the states.
            prediction: at x_t.
            s: the Level to reach.
            condition: not used.
        """
        alpha = prediction.level.alpha
        # The last step to clean data adds no noise, whatever the variance of the others.
        variance = "posterior" if zero(s.sigma) else self.variance
        scale = 0.0 if zero(alpha) else s.alpha / alpha
        return ModelKernel(reverse_step(prediction, s, variance), scale)


@runtime_checkable
class HasReverseKernel(Protocol):
    """A Predict that knows its reverse kernel, such as a Mixture."""

    def marginal(self, t: Level, condition: Tensor | None, /) -> MixtureKernel:
        """The density of x_t at t, given the condition."""
        ...

    def reverse_kernel(
        self, x_t: Tensor, t: Level, s: Level, condition: Tensor | None, /
    ) -> MixtureKernel:
        """p(x_s | x_t)."""
        ...


@dataclass(frozen=True, eq=False)
class ExactChain:
    """The chain of the exact kernels of a mixture.

    Args:
        density: the mixture.
    """

    density: HasReverseKernel

    def initial(
        self, level: Level, noise: Tensor, uniform: Tensor, condition: Tensor | None
    ) -> Float[Tensor, "b *shape"]:
        """x_T of the mixture.

        Args:
            level: the first.
            noise: standard-normal.
            uniform: in [0, 1), for the component.
            condition: one row per item, or None.
        """
        return self.density.marginal(level, condition).draw(noise, uniform)

    def kernel(
        self, x_t: Tensor, prediction: Prediction, s: Level, condition: Tensor | None
    ) -> ExactKernel:
        """p(x_s | x_t).

        Args:
            x_t: the states.
            prediction: at x_t, for its Level.
            s: the Level to reach.
            condition: one row per item, or None.
        """
        t = prediction.level
        added = -t.sigma * t.sigma * expm1(t.log_snr_minus(s))
        scale = 0.0 if zero(t.alpha) else s.alpha * added / t.alpha
        return ExactKernel(self.density.reverse_kernel(x_t, t, s, condition), scale)


CHAINS = ("model", "exact")
"""The reverse kernels by name."""


def chain_named(name: str, predict: Predict, variance: str | None = None) -> ReverseChain:
    """The chain of this name.

    Args:
        name: "model" or "exact".
        predict: the Predict that is sampled.
        variance: of the model's chain.

    Raises:
        ValueError: for another name, and a Predict whose exact kernel is not known.
    """
    pick("kernel", name, dict.fromkeys(CHAINS))
    if name == "model":
        return ModelChain(predict.path, variance)

    if not isinstance(predict, HasReverseKernel):
        raise ValueError(
            f"kernel='exact': {type(predict).__name__} knows no reverse kernel; take "
            "kernel='model', or a Mixture"
        )
    return ExactChain(predict)


class PopulationNoise:
    """Random numbers of populations of particles, each from its own seed.

    Args:
        seeds: one integer per population.
        count: particles of each.
        shape: of an item.
        stream: what the draws are for.
    """

    def __init__(
        self, seeds: Sequence[int], count: int, shape: Sequence[int], stream: Stream
    ) -> None:
        self._noise = Noise(seeds, (count, *shape), stream)
        self._like = (len(seeds), count)

    def normal(self, like: Tensor) -> Float[Tensor, "n *shape"]:
        """Standard-normal noise of all particles, in the precision of `like`."""
        return self._noise.draw().flatten(0, 1).to(like)

    def uniform(self, like: Tensor) -> Float[Tensor, " n"]:
        """A number in [0, 1) of every particle."""
        drawn = self._noise.draw(torch.empty(self._like)).double()
        cumulative: Tensor = torch.special.ndtr(drawn)
        return cumulative.clamp(max=1 - 2**-53).flatten().to(like.device)

    def population(self, like: Tensor) -> Float[Tensor, " b"]:
        """A number in [0, 1) of every population."""
        return self._noise.uniform().to(like.device)
