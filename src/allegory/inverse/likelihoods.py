"""What the noise of a measurement is: the density of y given A(x0)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..process.noise import Noise, Stream
from .operators.base import Index


@runtime_checkable
class Likelihood(Protocol):
    """p(y | A(x0)) of a measurement."""

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

    def rows(self, index: Index, ndim: int, /) -> Likelihood:
        """The likelihood of these items of a batch; itself where all have the same.

        Args:
            index: which items.
            ndim: the number of axes of a batch of measurements.
        """
        ...


@dataclass(frozen=True, eq=False)
class Gaussian:
    """y = A(x0) + std eps.

    Args:
        std: one number, one per number of a measurement (*measured), or (b, *measured); 0 for no
            noise.

    Raises:
        ValueError: for a standard deviation that is negative or not finite.
    """

    std: float | Tensor

    def __post_init__(self) -> None:
        std = torch.as_tensor(self.std)
        if not bool((std.isfinite() & (std >= 0)).all()):
            raise ValueError(f"noise={self.std!r:.60}: give a standard deviation of 0 or more")

    def variance(self, y: Float[Tensor, "b *measured"]) -> Float[Tensor, "*any"]:
        """std^2, in the precision of y; it broadcasts against y."""
        return torch.as_tensor(self.std, dtype=y.dtype, device=y.device).square()

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
        variance = self.variance(y)
        if not bool((variance > 0).all()):
            raise ValueError("noise=0: there is no density of y; give a standard deviation above 0")

        terms = -0.5 * ((y - clean).square() / variance + (2 * math.pi * variance).log())
        if observed is not None:
            terms = terms * observed.to(terms)
        return terms.flatten(1).sum(1)

    def draw(
        self, clean: Float[Tensor, "b *measured"], seeds: Sequence[int]
    ) -> Float[Tensor, "b *measured"]:
        """clean + std eps, item i from seeds[i] alone."""
        eps = Noise(seeds, clean.shape[1:], Stream.DATA).draw(clean)
        return clean + torch.as_tensor(self.std).to(clean) * eps

    def rows(self, index: Index, ndim: int) -> Gaussian:
        """The likelihood of these items; itself where all have the same standard deviations.

        Args:
            index: which items.
            ndim: the number of axes of a batch of measurements.
        """
        if not isinstance(self.std, Tensor) or self.std.ndim < ndim:
            return self
        return replace(self, std=self.std[index])
