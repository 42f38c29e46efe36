r"""One bound for the VAE, the hierarchy and diffusion.

    log p(x) >= E_q[log p(x | z_1)] - KL(q(z_T | x) || p(z_T)) - sum_i KL_i
                reconstruction        prior matching            divergences

(Luo 2022, eq. 19, 28 and 58). A VAE has no divergence beside the prior's, a hierarchy of L levels
has L - 1, diffusion in T steps T - 1, and in continuous time they become one integral.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class HasDims(Protocol):
    """Anything that knows how many numbers an item has."""

    @property
    def dims(self) -> int:
        """Numbers an item."""
        ...


@dataclass(frozen=True, eq=False)
class Bound:
    """The terms of an evidence lower bound, in nats per item."""

    reconstruction: Float[Tensor, " b"]
    prior: Float[Tensor, " b"]
    divergences: tuple[Float[Tensor, " b"], ...]

    @property
    def total(self) -> Float[Tensor, " b"]:
        """The lower bound of log p(x), in nats per item."""
        return self.reconstruction - self.prior - self.diffusion

    @property
    def diffusion(self) -> Float[Tensor, " b"]:
        """The sum of the divergences, in nats per item."""
        return (
            torch.stack(self.divergences).sum(0)
            if self.divergences
            else torch.zeros_like(self.prior)
        )

    def bits_per_dim(self, data: HasDims) -> Float[Tensor, " b"]:
        """-total / (dims log 2): the bits that a code needs per number. Lower is better."""
        return bits_per_dim(-self.total, data)

    def terms(self, data: HasDims) -> dict[str, Float[Tensor, " b"]]:
        """What each part costs, in bits/dim; the parts add up to `bits_per_dim`."""
        parts = {
            "reconstruction": -self.reconstruction,
            "prior": self.prior,
            "diffusion": self.diffusion,
        }
        return {name: bits_per_dim(nats, data) for name, nats in parts.items()}

    def map(self, change: Callable[[Tensor], Tensor]) -> Bound:
        """The same change on each term."""
        return Bound(
            change(self.reconstruction),
            change(self.prior),
            tuple(change(d) for d in self.divergences),
        )


def bits_per_dim(nats: Float[Tensor, "*b"], data: HasDims) -> Float[Tensor, "*b"]:
    """Nats per item to bits per dimension: nats / (dims log 2)."""
    return nats / (data.dims * math.log(2))


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error."""

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.error:.2g}"


def estimate(values: Float[Tensor, " n"]) -> Estimate:
    """Mean and standard error s/sqrt(n) of independent values. ValueError for fewer than two."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} values; a standard error needs at least two")
    return Estimate(values.mean().item(), values.std().item() / math.sqrt(len(values)))
