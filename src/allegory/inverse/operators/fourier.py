"""Samples of the Fourier transform."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from ...lookup import check_type
from .base import Index, LinearOperator, fingerprint_of
from .pointwise import checked_mask


@dataclass(frozen=True, eq=False)
class Fourier(LinearOperator):
    """Samples of the discrete Fourier transform of each channel, as in magnetic resonance imaging.

    A real item has F(-k) = conj F(k), so that both parts of F(k) are in two real numbers,

        y(k) = Re F(k) - Im F(k)        y(-k) = Re F(k) + Im F(k)

    of the unitary transform over the last two axes, or the only one (Hartley 1942). It is symmetric
    and its own inverse. y has the shape of an item, with 0 at unknown frequencies.

    Args:
        known: True where F(k) is known, in the order of `torch.fft.fft2`, (h, w) for all items and
            channels, or (b, h, w); -k is known with k.
        shape: of an item.

    Raises:
        ValueError: for frequencies of another shape than that of the images.
    """

    known: Shaped[Tensor, "*any"]
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        check_type("known", self.known, Tensor, "a tensor of True and False")
        object.__setattr__(self, "shape", tuple(self.shape))

        known = checked_mask(self.known, self._space)
        axes = self._axes
        negative = known.flip(axes).roll((1,) * len(axes), axes)
        object.__setattr__(self, "known", known | negative)

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def items(self) -> int | None:
        """The number of items that have frequencies of their own."""
        return len(self.known) if self.known.ndim > len(self._space) else None

    @property
    def observed(self) -> Bool[Tensor, "*any"]:
        """Which numbers of a measurement were measured: those of known frequencies."""
        channels = self.shape[: -len(self._space)]
        if self.items is None:
            return self.known.expand(self.shape)
        one = self.known.reshape(len(self.known), *(1 for _ in channels), *self._space)
        return one.expand(-1, *self.shape)

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its frequencies."""
        return fingerprint_of("Fourier", self.shape, self.known)

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """y(k) of x0 at known frequencies, else 0."""
        return self.transform(x0) * self.observed.to(x0)

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The item of known frequencies alone."""
        return self.transform(y * self.observed.to(y))

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The item of known frequencies alone."""
        return self.adjoint(y)

    def transform(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """Re F x - Im F x, at all frequencies; its own inverse."""
        transformed: Tensor = torch.fft.fftn(x, dim=self._axes, norm="ortho")
        return transformed.real - transformed.imag

    def rows(self, index: Index) -> Fourier:
        """The operators of the items `index` of a batch."""
        return self if self.items is None else replace(self, known=self.known[index])

    @property
    def _space(self) -> tuple[int, ...]:
        return self.shape[-2:]

    @property
    def _axes(self) -> tuple[int, ...]:
        return tuple(range(-len(self._space), 0))
