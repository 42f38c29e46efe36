r"""The bins in which a latent is coded.

A latent z is a real number; a file holds the number k of its bin, z = k 2^e. The width of a bin
cancels between decoding z with q and encoding it with p, so it may be as small as one likes; a
small one costs more bits that the stack must hold initially. A bin of 1/4 to 1/2 of the narrower
standard deviation of q and p adds 1/12 of its square, at most 2 %, to the variance of z, and the
code of the coarser latent is at most as long as that of the finer (data processing inequality).
Widths are powers of two, so that z is exact in any floating-point format.
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
"""The width of a bin is at most so many standard deviations."""
MIN_EXPONENT = -100
MAX_EXPONENT = 100


class UnfitBins(ValueError):
    """Bins of another number of latents, or of latents of another size."""


@dataclass(frozen=True)
class Bins:
    """Bins of width 2^e.

    Args:
        exponents: e, one for the whole latent or one for each of its numbers.

    Raises:
        ValueError: for no exponent, or one outside -100 to 100.
    """

    exponents: tuple[int, ...]

    def __post_init__(self) -> None:
        """ValueError for widths that no latent has."""
        fine = all(MIN_EXPONENT <= e <= MAX_EXPONENT for e in self.exponents)
        if not self.exponents or not fine:
            raise ValueError(
                f"exponents {self.exponents[:4]}: give some, from {MIN_EXPONENT} to {MAX_EXPONENT}"
            )

    def draw(self, stack: Stack, q: Gaussian, key: tuple[int, ...]) -> Float[Tensor, "b *shape"]:
        """Sample a latent from q with bits of the stack (bits-back).

        Args:
            stack: the bits, which are scrambled first.
            q: the distribution of the latent.
            key: that of the scrambling.
        """
        stack.scramble(key, q.mean.numel())
        return self._pop(stack, q, escapes=False)

    def push_back(
        self, stack: Stack, z: Float[Tensor, "b *shape"], q: Gaussian, key: tuple[int, ...]
    ) -> None:
        """Restore the bits from which `draw` sampled a latent.

        Args:
            stack: where they go.
            z: the latent.
            q: the distribution that it was sampled from.
            key: that of the scrambling.
        """
        self._push(stack, z, q, escapes=False)
        stack.scramble(key, z.numel())

    def push(self, stack: Stack, z: Float[Tensor, "b *shape"], p: Gaussian) -> None:
        """Encode a latent z with p onto the stack."""
        self._push(stack, z, p, escapes=True)

    def pop(self, stack: Stack, p: Gaussian) -> Float[Tensor, "b *shape"]:
        """Decode from the stack the latent that `push` encoded with p."""
        return self._pop(stack, p, escapes=True)

    def _pop(self, stack: Stack, gaussian: Gaussian, escapes: bool) -> Float[Tensor, "b *shape"]:
        mean = gaussian.mean
        k = stack.pop(self._normal(gaussian), escapes)
        z: Floats = np.ldexp(k.astype(np.float64), self._exponent_of_each(mean))
        return torch.from_numpy(z.reshape(mean.shape)).to(mean)

    def _push(self, stack: Stack, z: Tensor, gaussian: Gaussian, escapes: bool) -> None:
        k = np.rint(np.ldexp(_numbers(z), -self._exponent_of_each(z))).astype(np.int64)
        stack.push(k, self._normal(gaussian), escapes)

    def _normal(self, gaussian: Gaussian) -> Normal:
        """The Gaussian in units of a bin."""
        mean = gaussian.mean
        std = torch.as_tensor(gaussian.std, dtype=torch.float64).expand(mean.shape)
        shift = -self._exponent_of_each(mean)
        return Normal(np.ldexp(_numbers(mean), shift), np.ldexp(_numbers(std), shift))

    def _exponent_of_each(self, like: Tensor) -> Ints:
        """An exponent for every number of the batch."""
        exponents = np.asarray(self.exponents, dtype=np.int64)
        numbers = like[0].numel()
        if len(exponents) not in (1, numbers):
            raise UnfitBins(
                f"{len(exponents)} exponents for a latent of {numbers} numbers; "
                "give one, or one for each"
            )

        return np.tile(np.broadcast_to(exponents, (numbers,)), len(like))


def choose_bins(latents: Sequence[Latent], fineness: float = FINENESS) -> tuple[Bins, ...]:
    """Bins for each latent: the power of two below `fineness` times its narrowest Gaussian.

    Args:
        latents: draws of the latents of some items, with their q and p.
        fineness: the largest width of a bin in standard deviations.
    """
    return tuple(_bins_of(latent, fineness) for latent in latents)


def _bins_of(latent: Latent, fineness: float) -> Bins:
    stds = []
    for each in (latent.q, latent.p):
        assert isinstance(each, Gaussian), "latents with bins are Gaussian"
        stds.append(torch.as_tensor(each.std, dtype=torch.float64))

    if all(std.numel() == 1 for std in stds):
        narrowest = torch.stack([std.flatten()[0] for std in stds]).min().reshape(1)
    else:
        q_std, p_std = (std.expand(latent.z.shape) for std in stds)
        narrowest = torch.minimum(q_std, p_std).amin(0).flatten()

    exponents = np.frexp((fineness * narrowest).detach().numpy())[1] - 1
    if (exponents == exponents[0]).all():
        exponents = exponents[:1]

    return Bins(tuple(int(e) for e in exponents))


def _numbers(x: Tensor) -> Floats:
    numbers: Floats = x.detach().to(torch.float64).reshape(-1).numpy()
    return numbers
