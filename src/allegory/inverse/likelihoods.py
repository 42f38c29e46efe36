r"""The noise of a measurement: the density of y given clean = A(x0).

    Gaussian             log N(y; clean, std^2)
    Poisson              n log rate - rate - log n!,   n = scale y,  rate = scale clean
    FunctionNoise   any function that is differentiable in clean

Each in nats, summed over the numbers of a measurement that were observed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..lookup import check_type
from ..process.noise import Noise, Stream
from .operators.base import Index

_LEAST_STD = 1e-18
_LARGEST_STD = 1e18
"""Between which the square of a standard deviation is a number of float32."""
_LOWEST_RATE = 1e-3
"""Of a count, below which the log-density of `PoissonNoise` is continued by a straight line."""
_WHOLE = 1e-3
"""How far a count may be from a whole number, relative; measurements may be float32."""


@runtime_checkable
class NoiseModel(Protocol):
    """p(y | A(x0)) of a measurement. A method `check(y)` is optional: it refuses a y that cannot be
    measured.
    """

    def log_prob(
        self, y: Tensor, clean: Tensor, observed: Tensor | None = None, /
    ) -> Float[Tensor, " b"]:
        """log p(y | clean) in nats per item, differentiable in clean.

        Args:
            y: what was measured, (b, *measured).
            clean: A(x0), likewise.
            observed: which numbers of y were measured at all, (b, *measured) or (*measured); None
                for all.
        """
        ...

    def draw(self, clean: Tensor, seeds: Sequence[int], /) -> Tensor:
        """y given clean = A(x0), item i from seeds[i] alone."""
        ...

    def rows(self, index: Index, ndim: int, /) -> NoiseModel:
        """The likelihood of these items of a batch; itself where all have the same.

        Args:
            index: which items.
            ndim: the number of axes of a batch of measurements.
        """
        ...


@dataclass(frozen=True, eq=False)
class GaussianNoise:
    """y = A(x0) + std eps.

    Args:
        std: one number, one per number of a measurement (*measured), or per item: (b, 1, ...) or
            (b, *measured); 0 for no noise.

    Raises:
        ValueError: for a standard deviation that is negative or not finite, and one whose square
            is beyond the numbers of float32.
    """

    std: float | Tensor

    def __post_init__(self) -> None:
        check_type("noise", self.std, (Real, Tensor), "a standard deviation or a NoiseModel")
        std = torch.as_tensor(self.std)
        if std.dtype == torch.bool or std.is_complex():
            raise ValueError(f"noise={self.std!r:.60}: give a standard deviation, a real number")
        if not bool((std.isfinite() & (std >= 0)).all()):
            raise ValueError(f"noise={self.std!r:.60}: give a standard deviation of 0 or more")
        if not bool(((std == 0) | ((std >= _LEAST_STD) & (std <= _LARGEST_STD))).all()):
            raise ValueError(
                f"noise={self.std!r:.60}: its square is beyond the numbers of float32; give 0, or "
                f"a standard deviation from {_LEAST_STD:g} to {_LARGEST_STD:g}"
            )

    @property
    def noiseless(self) -> bool:
        """Whether the standard deviation is 0 for all numbers."""
        return not bool(torch.as_tensor(self.std).any())

    def variance(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "*any"]:
        """std^2, in the precision of y; it broadcasts against y."""
        return torch.as_tensor(self.std, dtype=y.dtype, device=y.device).square()

    def density_variance(
        self, y: Float[Tensor, "b *measured"], observed: Bool[Tensor, "*any"] | None = None
    ) -> Float[Tensor, "*any"]:
        """std^2 where y has a density, 1 where it was not observed; it broadcasts against y.

        Args:
            y: what was measured.
            observed: which numbers of y were measured at all; None for all.

        Raises:
            ValueError: without noise, where there is no density.
        """
        variance = self.variance(y)
        if observed is not None:
            variance = torch.where(observed.to(y.device), variance, torch.ones_like(variance))
        if not bool((variance > 0).all()):
            raise ValueError(
                "noise=0: there is no density of y, which this method needs; give a standard "
                "deviation above 0, or take a method without weights, e.g. mmps"
            )

        return variance

    def check(self, y: Float[Tensor, "b *measured"]) -> None:
        """ValueError for standard deviations of another shape than that of `y`."""
        check_broadcast("noise", torch.as_tensor(self.std), y)

    def log_prob(
        self,
        y: Float[Tensor, "b *measured"],
        clean: Float[Tensor, "b *measured"],
        observed: Bool[Tensor, "*any"] | None = None,
    ) -> Float[Tensor, " b"]:
        """log N(y; clean, std^2) in nats, summed over what was observed.

        Args:
            y: what was measured.
            clean: A(x0).
            observed: which numbers of y were measured at all; None for all.

        Raises:
            ValueError: without noise, where it is no density.
        """
        variance = self.density_variance(y, observed)
        terms = -0.5 * ((y - clean).square() / variance + (2 * math.pi * variance).log())
        return _summed(terms, observed)

    def draw(
        self, clean: Float[Tensor, "b *measured"], seeds: Sequence[int]
    ) -> Float[Tensor, "b *measured"]:
        """clean + std eps, item i from seeds[i] alone."""
        eps = Noise(seeds, clean.shape[1:], Stream.MEASUREMENT).draw(clean)
        return clean + torch.as_tensor(self.std).to(clean) * eps

    def rows(self, index: Index, ndim: int) -> GaussianNoise:
        """The likelihood of these items; itself where all have the same standard deviations.

        Args:
            index: which items.
            ndim: the number of axes of a batch of measurements.
        """
        std = _of_rows(self.std, index, ndim)
        return self if std is self.std else replace(self, std=std)


@dataclass(frozen=True, eq=False)
class PoissonNoise:
    """Counts of photons: scale y is Poisson-distributed about scale A(x0), whose mean is so A(x0).

    Below a rate of 0.001 the log-density goes on in a straight line, so that predictions below 0
    have a gradient that leads back.

    Args:
        scale: counts per unit of A(x0); one number, (*measured), (b, 1, ...) or (b, *measured).

    Raises:
        ValueError: for a scale that is not positive.
    """

    scale: float | Tensor = 1.0

    def __post_init__(self) -> None:
        check_type("scale", self.scale, (Real, Tensor), "a positive number")
        scale = torch.as_tensor(self.scale)
        if not bool((scale.isfinite() & (scale > 0)).all()):
            raise ValueError(f"scale={self.scale!r:.60}: give a positive number of counts per unit")

    def check(self, y: Float[Tensor, "b *measured"]) -> None:
        """ValueError for a `y` that is no whole number of counts, or a scale of another shape."""
        check_broadcast("scale", torch.as_tensor(self.scale), y)

        counts = self._scale(y) * y
        off = (counts - counts.round()).abs() > _WHOLE * counts.abs().clamp_min(1.0)
        is_none = off | (counts.round() < 0)
        if bool(is_none.any()):
            raise ValueError(
                f"y: {float(counts[is_none][0]):.6g} counts; give whole numbers of 0 or more, "
                "divided by the scale"
            )

    def log_prob(
        self,
        y: Float[Tensor, "b *measured"],
        clean: Float[Tensor, "b *measured"],
        observed: Bool[Tensor, "*any"] | None = None,
    ) -> Float[Tensor, " b"]:
        """n log rate - rate - log n! in nats, summed over what was observed.

        Args:
            y: what was measured.
            clean: A(x0).
            observed: which numbers of y were measured at all; None for all.
        """
        scale = self._scale(y)
        rate, counts = scale * clean, (scale * y).round()
        above = rate.clamp_min(_LOWEST_RATE)
        log_rate = above.log() + (rate - above) / _LOWEST_RATE

        return _summed(counts * log_rate - rate - (counts + 1).lgamma(), observed)

    def draw(
        self, clean: Float[Tensor, "b *measured"], seeds: Sequence[int]
    ) -> Float[Tensor, "b *measured"]:
        """Counts over scale of mean clean, item i from seeds[i] alone.

        Raises:
            ValueError: where A(x0) is negative.
        """
        if not bool((clean >= 0).all()):
            raise ValueError(
                f"A(x0): {float(clean.min()):.3g}, and a count has a mean of 0 or more; measure "
                "items that are not negative"
            )
        scale = self._scale(clean)
        return Noise(seeds, clean.shape[1:], Stream.MEASUREMENT).poisson(scale * clean) / scale

    def rows(self, index: Index, ndim: int) -> PoissonNoise:
        """The likelihood of these items; itself where all have the same scale.

        Args:
            index: which items.
            ndim: the number of axes of a batch of measurements.
        """
        scale = _of_rows(self.scale, index, ndim)
        return self if scale is self.scale else replace(self, scale=scale)

    def _scale(self, like: Tensor) -> Tensor:
        return torch.as_tensor(self.scale, dtype=like.dtype, device=like.device)


@dataclass(frozen=True, eq=False)
class FunctionNoise:
    """A log-density of the user's.

    Args:
        function: (y, clean) -> log p(y | clean) in nats, differentiable in clean: one for each
            number of a measurement, (b, *measured), or (b,) per item.
        sampler: (clean, seeds) -> y, item i from seeds[i] alone; None if it is not drawn from.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    sampler: Callable[[Tensor, Sequence[int]], Tensor] | None = None

    def log_prob(
        self,
        y: Float[Tensor, "b *measured"],
        clean: Float[Tensor, "b *measured"],
        observed: Bool[Tensor, "*any"] | None = None,
    ) -> Float[Tensor, " b"]:
        """The function, summed over what was observed.

        Args:
            y: what was measured.
            clean: A(x0).
            observed: which numbers of y were measured at all; None for all. A number per item is
                taken as it is.

        Raises:
            ValueError: for a function that returns another shape.
        """
        found: Any = self.function(y, clean)
        shape = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        if shape not in ((len(y),), tuple(y.shape)):
            raise ValueError(
                f"likelihood: its function returned {shape} for y of {tuple(y.shape)}; return one "
                "number per item, or per number of y"
            )
        return found if shape == (len(y),) else _summed(found, observed)

    def draw(
        self, clean: Float[Tensor, "b *measured"], seeds: Sequence[int]
    ) -> Float[Tensor, "b *measured"]:
        """y by the sampler.

        Raises:
            ValueError: without one.
        """
        if self.sampler is None:
            raise ValueError("likelihood: has no sampler; give FunctionNoise(function, sampler)")
        return self.sampler(clean, seeds)

    def rows(self, index: Index, ndim: int) -> FunctionNoise:
        """Itself, whatever the `index` and `ndim`."""
        return self


def noise_model(noise: object) -> NoiseModel:
    """The noise of a measurement: a standard deviation is that of Gaussian noise.

    Args:
        noise: a standard deviation, or a NoiseModel.

    Raises:
        ValueError: for what is neither.
    """
    if isinstance(noise, float | int | Tensor):
        return GaussianNoise(noise)
    if isinstance(noise, Real):  # of numpy
        return GaussianNoise(float(noise))
    check_type("noise", noise, NoiseModel, "a standard deviation or a NoiseModel")
    assert isinstance(noise, NoiseModel)
    return noise


def check_broadcast(name: str, numbers: Tensor, y: Tensor) -> None:
    """Refuse numbers that are neither one for all, nor as many as measurements or their numbers.

    Args:
        name: of the argument.
        numbers: its value.
        y: measurements, (b, *measured).

    Raises:
        ValueError: for another shape.
    """
    try:
        fits = torch.broadcast_shapes(numbers.shape, y.shape) == y.shape
    except RuntimeError:
        fits = False

    if not fits:
        items = (len(y), *(1,) * (y.ndim - 1))
        raise ValueError(
            f"{name}: shape {tuple(numbers.shape)} for y of {tuple(y.shape)}; give one number, "
            f"{tuple(y.shape[1:])}, {items} or {tuple(y.shape)}"
        )


def _of_rows(value: Any, index: Index, ndim: int) -> Any:
    """The numbers of these items; the value itself where all have the same."""
    is_shared = not isinstance(value, Tensor) or value.ndim < ndim or len(value) == 1
    return value if is_shared else value[index]


def _summed(terms: Tensor, observed: Tensor | None) -> Tensor:
    """The sum over each measurement of what was observed."""
    if observed is not None:
        terms = terms * observed.to(terms)
    return terms.flatten(1).sum(1)
