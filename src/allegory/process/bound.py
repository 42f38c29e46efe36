r"""One bound for the VAE, the hierarchy and diffusion.

    log p(x) >= E_q[log p(x | z_1)] - KL(q(z_T | x) || p(z_T)) - sum_i KL_i
                reconstruction        prior matching            divergences

(Luo 2022, eq. 19, 28 and 58). A VAE has no divergence but that of the prior, a hierarchy of L
levels has L - 1, diffusion in T steps T - 1, and in continuous time they become one integral.
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
    """Anything that has a number of dimensions per item."""

    @property
    def dims(self) -> int:
        """The number of dimensions of an item."""
        ...


@dataclass(frozen=True, eq=False)
class Bound:
    """The terms of an evidence lower bound, in nats per item.

    Args:
        reconstruction: E_q[log p(x | z_1)].
        prior: KL(q(z_T | x) || p(z_T)).
        divergences: the others, or their sum or integral as one.
    """

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
        if not self.divergences:
            return torch.zeros_like(self.prior)
        return torch.stack(self.divergences).sum(0)

    def bits_per_dim(self, data: HasDims) -> Float[Tensor, " b"]:
        """-total / (dims log 2), the dims those of `data`: the length of a code per number."""
        return bits_per_dim(-self.total, data)

    def terms(self, data: HasDims) -> dict[str, Float[Tensor, " b"]]:
        """The cost of each part in bits/dim of `data`; the parts add up to `bits_per_dim`."""
        parts = {
            "reconstruction": -self.reconstruction,
            "prior": self.prior,
            "diffusion": self.diffusion,
        }
        return {name: bits_per_dim(nats, data) for name, nats in parts.items()}

    def map(self, change: Callable[[Tensor], Tensor]) -> Bound:
        """The bound with `change` applied to each term."""
        return Bound(
            change(self.reconstruction),
            change(self.prior),
            tuple(change(d) for d in self.divergences),
        )


def bits_per_dim(nats: Float[Tensor, "*b"], data: HasDims) -> Float[Tensor, "*b"]:
    """Nats per item to bits per dimension: nats / (dims log 2), the dims those of `data`."""
    return nats / (data.dims * math.log(2))


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error.

    Args:
        mean: the mean.
        error: its standard error.
    """

    mean: float
    error: float

    def __str__(self) -> str:
        return f"{self.mean:.4g} ± {self.error:.2g}"


def estimate(values: Float[Tensor, " n"]) -> Estimate:
    """Mean and standard error s/sqrt(n) of independent values. ValueError for fewer than two."""
    if len(values) < 2:
        raise ValueError(f"{len(values)} values; a standard error needs at least two, give more")
    return Estimate(values.mean().item(), values.std().item() / math.sqrt(len(values)))
