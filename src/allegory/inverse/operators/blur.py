r"""Blur: the convolution with a kernel.

A kernel is a sum of products of two lines (its singular value decomposition), so that the
convolution of an image X is

    A X = sum_r R_r X C_r^T

with a matrix for the columns and one for the rows of each term. They hold the padding, and their
transposes are the exact adjoint. A Gaussian has one term. The pseudo-inverse leaves out the
singular values of A that are below `cutoff`, relative to the largest: those of one term are the
products of the singular values of R and C; with circular padding they are |F kernel|, of its
discrete Fourier transform.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from ...lookup import pick
from ...numerics.precision import double
from .base import LinearOperator, fingerprint_of

_REACH = 4.0
"""Of a Gaussian kernel, in standard deviations."""
_DENSE = 1024
"""Numbers of an image up to which the pseudo-inverse of a kernel of several terms is a matrix."""


def _circular(at: Int[Tensor, "*any"], side: int) -> Tensor:
    return at % side


def _reflect(at: Int[Tensor, "*any"], side: int) -> Tensor:
    period = max(2 * side - 2, 1)
    folded = at % period
    return torch.minimum(folded, (period - folded) % period) if side > 1 else folded


def _zero(at: Int[Tensor, "*any"], side: int) -> Tensor:
    return at.where((at >= 0) & (at < side), torch.full_like(at, -1))


PADDINGS = {"circular": _circular, "reflect": _reflect, "zero": _zero}
"""What lies beyond the edge: the other side, the mirror image about the edge pixel, or 0."""


@dataclass(frozen=True, eq=False)
class Blur(LinearOperator):
    """The convolution of each channel with a kernel, for deblurring.

    Args:
        kernel: (kh, kw) over the last two axes, or (k,) over the last one; its centre is at size //
            2.
        shape: of an item.
        padding: "reflect", "circular" or "zero", what lies beyond the edge.
        cutoff: singular values below this, relative to the largest, are taken to be zero by the
            pseudo-inverse.

    Raises:
        ValueError: for a kernel that is none, an unknown padding, or an item with too few axes.
    """

    kernel: Float[Tensor, "*k"]
    shape: tuple[int, ...]
    padding: str = "reflect"
    cutoff: float = 1e-4

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", tuple(self.shape))
        pick("padding", self.padding, PADDINGS)

        size = tuple(self.kernel.shape)
        if len(size) not in (1, 2) or not self.kernel.numel():
            raise ValueError(f"kernel: shape {size}; give (kh, kw) or (k,)")
        if not bool(self.kernel.isfinite().all()) or not bool(self.kernel.any()):
            raise ValueError("kernel: holds NaN or infinite numbers, or only 0; give a finite one")

        if len(self.shape) < len(size):
            raise ValueError(f"kernel: shape {size} for items of shape {self.shape}; give (k,)")
        if not 0 <= self.cutoff < 1:
            raise ValueError(f"cutoff={self.cutoff}; give a number from 0 to 1")

    @classmethod
    def gaussian(cls, shape: tuple[int, ...], std: float, padding: str = "reflect") -> Blur:
        """A Gaussian kernel, which ends at 4 standard deviations and has the sum 1.

        Args:
            shape: of an item; the kernel is over its last two axes, or its only one.
            std: the standard deviation, in pixels.
            padding: "reflect", "circular" or "zero".

        Raises:
            ValueError: for a standard deviation that is not positive.
        """
        if not 0 < std < math.inf:
            raise ValueError(f"std={std}: give a positive number of pixels")

        reach = max(1, round(_REACH * std))
        at = torch.arange(-reach, reach + 1, dtype=torch.float64)
        line = (-0.5 * (at / std).square()).exp()
        line = line / line.sum()

        return cls(line if len(shape) == 1 else torch.outer(line, line), shape, padding)

    @property
    def measured_shape(self) -> tuple[int, ...]:
        """The shape of an item."""
        return self.shape

    @property
    def fingerprint(self) -> str:
        """A hash of the operator with its kernel and padding."""
        return fingerprint_of("Blur", self.shape, self.padding, self.kernel)

    @property
    def nonnegative(self) -> bool:
        """Whether the kernel is nowhere below 0."""
        return bool((self.kernel >= 0).all())

    @property
    def has_closed_inverse(self) -> bool:
        """Whether the pseudo-inverse is known without Krylov steps."""
        is_small = math.prod(self._sides) <= _DENSE
        return self.padding == "circular" or len(self._terms) == 1 or is_small

    def __call__(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The sum of R x0 C^T over the terms."""
        return self._sum(x0, [(rows, columns.mT) for rows, columns in self._terms])

    def adjoint(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The sum of R^T y C over the terms."""
        return self._sum(y, [(rows.mT, columns) for rows, columns in self._terms])

    def pseudo_inverse(self, y: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """A^+ y without the singular values below the cutoff. For a kernel that is no product of
        two lines, on large images without circular padding, it is a Krylov solution, which has no
        cutoff.
        """
        if self.padding == "circular":
            inverse = self._inverse_transfer
            return self._images(y, lambda each: self._filtered(each, inverse.to(each.device)))
        if len(self._terms) == 1:
            return self._images(y, self._separable_inverse)
        if math.prod(self._sides) <= _DENSE:
            return self._images(y, self._dense_inverse)
        return super().pseudo_inverse(y)

    @property
    def _sides(self) -> tuple[int, int]:
        """Those of the images on which the kernel acts, of one row for a kernel of one axis."""
        return (1 if self.kernel.ndim == 1 else self.shape[-2]), self.shape[-1]

    @cached_property
    def _terms(self) -> list[tuple[Tensor, Tensor]]:
        """R and C of each term."""
        kernel = self.kernel.detach().double().cpu()
        left, size, right = torch.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))
        height, width = self._sides

        return [
            (
                line_matrix(left[:, r] * size[r], height, self.padding),
                line_matrix(right[r], width, self.padding),
            )
            for r in range(int((size > 1e-14 * size[0]).sum()))
        ]

    @cached_property
    def _inverse_transfer(self) -> Tensor:
        """The pseudo-inverse of the discrete Fourier transform of the kernel."""
        response = sum(torch.outer(rows[:, 0], columns[:, 0]) for rows, columns in self._terms)
        assert isinstance(response, Tensor), "a kernel has a term"
        transfer = torch.fft.fft2(response)
        size = transfer.abs()
        is_seen = size > self.cutoff * size.max()

        return torch.where(is_seen, 1 / transfer.where(is_seen, torch.ones_like(transfer)), 0.0)

    @cached_property
    def _factors(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], Tensor]:
        """The singular value decompositions of R and C, and the inverse of their products."""
        rows, columns = (torch.linalg.svd(each) for each in self._terms[0])
        size = torch.outer(rows.S, columns.S)
        is_seen = size > self.cutoff * size.max()
        return rows, columns, torch.where(is_seen, 1 / size.where(is_seen, 1.0), 0.0)

    @cached_property
    def _dense(self) -> Tensor:
        """A^+ as a matrix over the pixels of an image."""
        matrix = sum(torch.kron(rows, columns) for rows, columns in self._terms)
        assert isinstance(matrix, Tensor), "a kernel has a term"
        inverse: Tensor = torch.linalg.pinv(matrix, rtol=self.cutoff)
        return inverse

    def _separable_inverse(self, images: Float64[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
        rows, columns, inverse = self._factors
        seen = rows[0].mT.to(images) @ images @ columns[0].to(images)
        return rows[2].mT.to(images) @ (inverse.to(images) * seen) @ columns[2].to(images)

    def _dense_inverse(self, images: Float64[Tensor, "n h w"]) -> Float64[Tensor, "n h w"]:
        return (images.flatten(1) @ self._dense.mT.to(images)).view_as(images)

    @staticmethod
    def _filtered(images: Float64[Tensor, "n h w"], transfer: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(images) * transfer)
        return filtered.real

    def _images(self, y: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """The images of y changed in float64."""
        return change(double(y).reshape(-1, *self._sides)).reshape(y.shape).to(y)

    def _sum(self, x: Tensor, terms: list[tuple[Tensor, Tensor]]) -> Tensor:
        """The sum of left X right over the terms."""
        images = x.reshape(-1, *self._sides)
        parts = [left.to(x) @ images @ right.to(x) for left, right in terms]
        return torch.stack(parts).sum(0).reshape(x.shape)


def line_matrix(
    kernel: Float64[Tensor, " k"], side: int, padding: str
) -> Float64[Tensor, "side side"]:
    """The matrix of the convolution of a line with a kernel.

    Args:
        kernel: its numbers, with the centre at size // 2.
        side: the length of the line.
        padding: "reflect", "circular" or "zero".

    Raises:
        ValueError: for an unknown padding.
    """
    out = torch.arange(side)[:, None]
    offset = torch.arange(len(kernel)) - len(kernel) // 2
    source = pick("padding", padding, PADDINGS)(out - offset, side)

    matrix = torch.zeros(side, side, dtype=torch.float64)
    taps = kernel.expand(side, -1) * (source >= 0)
    return matrix.index_put_((out.expand_as(source), source.clamp_min(0)), taps, accumulate=True)
