r"""Linear equations by products with the matrix alone: GMRES (Saad & Schultz 1986), for batches.

After k products v_1..v_k is an orthonormal basis of span(b, M b, ..., M^(k-1) b) and
M V_k = V_(k+1) H. The solution is V_k z with z the least-squares solution of H z = |b| e_1: the
smallest residual in that space. For a symmetric M that is singular and a b in its range it is the
solution of smallest norm, M^+ b.

Each item of the batch stops by itself: its solution does not depend on its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

MatrixProduct = Callable[[Tensor], Tensor]
"""v -> M v, for a batch of vectors of any shape; linear in each item by itself."""

_ROUNDING = 10.0
"""What is below so many units of rounding, relative, is zero."""


@dataclass(frozen=True, eq=False)
class Solved:
    """The solution of M x = b.

    Args:
        x: like b.
        residual: |b - M x| / |b| of each item; 0 where b is 0.
        products: the number of products with M that each item took.
        converged: whether the residual is at most the tolerance, or the smallest possible.
    """

    x: Float[Tensor, "b *shape"]
    residual: Float[Tensor, " b"]
    products: Int[Tensor, " b"]
    converged: Bool[Tensor, " b"]


def gmres(
    product: MatrixProduct,
    b: Float[Tensor, "b *shape"],
    *,
    tolerance: float = 1e-6,
    most: int | None = None,
    least: Float[Tensor, " b"] | None = None,
) -> Solved:
    """The solution of M x = b for each item of a batch.

    Args:
        product: v -> M v, for a batch like b.
        b: the right-hand sides.
        tolerance: the relative residual at which an item stops.
        most: the largest number of products; None for as many as an item has numbers.
        least: of each item, the smallest v . M v of a unit vector v by law, so that a v where it is
            below is an error of M; the item stops before such a direction. None for any M.

    Returns:
        The solution of each item.
    """
    right = b.flatten(1)
    count, dims = right.shape
    most = dims if most is None else min(most, dims)
    floor = _ROUNDING * torch.finfo(b.dtype).eps
    tolerance = max(tolerance, floor)

    norm = right.norm(dim=1)
    active = norm > 0
    basis = [right / norm.where(active, torch.ones_like(norm))[:, None]]
    hessenberg = right.new_zeros(count, most + 1, most)
    rest = _Residual(count, most, right)
    found = Solved(torch.zeros_like(right), active.to(right), active.long() * 0, ~active)

    for k in range(most):
        if not bool(active.any()):
            break
        w = product(basis[k].view_as(b)).flatten(1)
        w, size = _orthogonal(w, basis, hessenberg, k)

        new = w.norm(dim=1)
        ended = new <= floor * size
        new = new.where(~ended, torch.zeros_like(new))
        hessenberg[:, k + 1, k] = new
        basis.append(w / new.where(new > 0, torch.ones_like(new))[:, None])

        if least is not None:
            wrong = active & _is_below(least, hessenberg[:, : k + 1, : k + 1])
            _solve(found, wrong, basis[:k], hessenberg, norm)
            active = active & ~wrong

        reached = ended | (rest.after(hessenberg, k) <= tolerance)
        stops = active & (reached | (k + 1 == most))
        _solve(found, stops, basis[: k + 1], hessenberg, norm)
        found.converged[stops & reached] = True
        active = active & ~stops

    return Solved(found.x.view_as(b), found.residual, found.products, found.converged)


class _Residual:
    """The residual after each product, by Givens rotations of H.

    Args:
        count: the number of items.
        most: the largest number of products.
        like: gives dtype and device.
    """

    def __init__(self, count: int, most: int, like: Tensor) -> None:
        self.cosine = like.new_zeros(count, most)
        self.sine = like.new_zeros(count, most)
        self.size = like.new_ones(count)

    def after(self, hessenberg: Tensor, k: int) -> Float[Tensor, " b"]:
        """|H z - e_1| of the best z, with column k of H."""
        column = hessenberg[:, : k + 2, k].clone()
        for i in range(k):
            c, s = self.cosine[:, i], self.sine[:, i]
            above, below = column[:, i].clone(), column[:, i + 1].clone()
            column[:, i], column[:, i + 1] = c * above + s * below, c * below - s * above

        length = torch.hypot(column[:, k], column[:, k + 1])
        safe = length.where(length > 0, torch.ones_like(length))
        self.cosine[:, k] = torch.where(length > 0, column[:, k] / safe, 1.0)
        self.sine[:, k] = column[:, k + 1] / safe
        self.size = self.size * self.sine[:, k].abs()
        return self.size


def _orthogonal(
    w: Tensor, basis: list[Tensor], hessenberg: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """What is orthogonal to the basis, by Gram-Schmidt twice, and the size of the product.

    The coefficients are added to column k of `hessenberg`.
    """
    size = w.norm(dim=1)
    space = torch.stack(basis, 1)
    for _ in range(2):
        part = torch.einsum("bkd,bd->bk", space, w)
        w = w - torch.einsum("bk,bkd->bd", part, space)
        hessenberg[:, : k + 1, k] += part
    return w, size


def _is_below(least: Float[Tensor, " b"], h: Float[Tensor, "b k k"]) -> Bool[Tensor, " b"]:
    """Whether v . M v is below `least`, beyond rounding, for some unit vector v of the space."""
    values = torch.linalg.eigvalsh((h + h.mT) / 2)
    rounding = _ROUNDING * h.shape[1] * torch.finfo(h.dtype).eps
    below: Tensor = values[:, 0] < least.to(h) - rounding * values.abs().amax(1)
    return below


def _solve(
    found: Solved, rows: Tensor, basis: list[Tensor], hessenberg: Tensor, norm: Tensor
) -> None:
    """The solution of the items that stop at this product, written into `found`."""
    k = len(basis)
    if k == 0 or not bool(rows.any()):
        return
    h = hessenberg[rows][:, : k + 1, :k]
    target = torch.zeros_like(h[:, :, :1])
    target[:, 0] = 1.0

    rank = _ROUNDING * k * torch.finfo(h.dtype).eps
    z = torch.linalg.pinv(h, rtol=rank) @ target
    space = torch.stack([each[rows] for each in basis], 1)

    found.x[rows] = (space * z).sum(1) * norm[rows][:, None]
    found.residual[rows] = (h @ z - target)[..., 0].norm(dim=1)
    found.products[rows] = k
