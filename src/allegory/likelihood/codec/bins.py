r"""Grids: the bins in which a latent is coded.

A latent z is a real number; a file holds the number k of its bin, z = k 2^e. The width of a bin
cancels between popping z from q and pushing it under p, so it may be as small as one likes; what it
costs is the bits that the stack must hold to begin with. A bin of 1/4 to 1/2 of the narrower of q
and p adds 1/12 of its square, at most 2 %, to the variance of z, and the code of the coarser latent
is at most as long as that of the finer (data processing). Widths are powers of two, so that z is
exact in any floating-point format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...process.kernel import Gaussian
from ..inference import Latent
from .ans import Floats, Ints, Normal, Stack

FINENESS = 0.5
EXPONENTS = (-100, 100)


@dataclass(frozen=True)
class Bins:
    """Bins of width 2^e: one exponent for the whole latent, or one for each of its numbers."""

    exponents: tuple[int, ...]

    def __post_init__(self) -> None:
        """ValueError for widths that no latent has."""
        if not self.exponents or not all(EXPONENTS[0] <= e <= EXPONENTS[1] for e in self.exponents):
            raise ValueError(
                f"exponents {self.exponents[:4]}: give some, from {EXPONENTS[0]} to {EXPONENTS[1]}"
            )

    def draw(self, stack: Stack, q: Gaussian, key: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
        """A latent as the bits will have it, distributed as q says."""
        stack.scramble(key, q.mean.numel())
        return self._pop(stack, q, escapes=False)

    def push_back(
        self, stack: Stack, z: Float[Tensor, "b *shape"], q: Gaussian, key: tuple[int, ...]
    ) -> None:
        """The bits from which `draw` made the latent."""
        self._push(stack, z, q, escapes=False)
        stack.scramble(key, z.numel())

    def push(self, stack: Stack, z: Float[Tensor, "b *shape"], p: Gaussian) -> None:
        """A latent under what the model expects, onto the stack."""
        self._push(stack, z, p, escapes=True)

    def pop(self, stack: Stack, p: Gaussian) -> Float[Tensor, "b *shape"]:
        """The latent that `push` put there."""
        return self._pop(stack, p, escapes=True)

    def _pop(self, stack: Stack, gaussian: Gaussian, escapes: bool) -> Float[Tensor, "b *shape"]:
        k, mean = stack.pop(self._normal(gaussian), escapes), gaussian.mean
        z: Floats = np.ldexp(k.astype(np.float64), self._spread(mean))
        return torch.from_numpy(z.reshape(mean.shape)).to(mean)

    def _push(self, stack: Stack, z: Tensor, gaussian: Gaussian, escapes: bool) -> None:
        k = np.rint(np.ldexp(_numbers(z), -self._spread(z))).astype(np.int64)
        stack.push(k, self._normal(gaussian), escapes)

    def _normal(self, gaussian: Gaussian) -> Normal:
        mean = gaussian.mean
        std = torch.as_tensor(gaussian.std, dtype=torch.float64).expand(mean.shape)
        spread = -self._spread(mean)
        return Normal(np.ldexp(_numbers(mean), spread), np.ldexp(_numbers(std), spread))

    def _spread(self, like: Tensor) -> Ints:
        """An exponent for every number of the batch."""
        each = np.asarray(self.exponents, dtype=np.int64)
        numbers = like[0].numel()
        if len(each) not in (1, numbers):
            raise ValueError(
                f"{len(each)} exponents for a latent of {numbers} numbers; give one, or one for each"
            )
        return np.tile(np.broadcast_to(each, (numbers,)), len(like))


def choose_bins(latents: Sequence[Latent], fineness: float = FINENESS) -> tuple[Bins, ...]:
    """Bins for each latent: the power of two below `fineness` times the narrowest Gaussian that it
    was seen with.
    """
    return tuple(_grid(latent, fineness) for latent in latents)


def _grid(latent: Latent, fineness: float) -> Bins:
    stds = [torch.as_tensor(g.std, dtype=torch.float64) for g in (latent.q, latent.p)]
    if all(std.numel() == 1 for std in stds):
        width = fineness * torch.stack([std.flatten()[0] for std in stds]).min().reshape(1)
    else:
        width = (
            fineness
            * torch.minimum(*(std.expand(latent.z.shape) for std in stds)).amin(0).flatten()
        )
    exponents = np.frexp(width.detach().numpy())[1] - 1
    return Bins(
        tuple(int(e) for e in (exponents[:1] if (exponents == exponents[0]).all() else exponents))
    )


def _numbers(x: Tensor) -> Floats:
    numbers: Floats = x.detach().to(torch.float64).reshape(-1).numpy()
    return numbers
