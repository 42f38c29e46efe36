r"""Spherical interpolation of two latents x_T, which keeps their norm.

A straight line between two draws of N(0, I) passes nearer to the origin than any draw does. The
great circle does not:

    slerp(a, b, w) = sin((1 - w) theta)/sin(theta) a + sin(w theta)/sin(theta) b,
    cos(theta) = <a, b>/(|a| |b|),

for each item by itself (Song et al. 2020, DDIM, appendix on interpolation). `invert` both items,
interpolate their latents, and `sample` from each point.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

_SMALL_SINE = 1e-6
_SMALL_NORM = 1e-300


def slerp(a: Float[Tensor, "b *shape"], b: Tensor, weight: float) -> Float[Tensor, "b *shape"]:
    """Spherical interpolation from a to b, item by item; linear where the two are parallel.

    Args:
        a: latents, shape (b, *shape).
        b: latents of the same shape.
        weight: fraction of the way, 0 for a and 1 for b.

    Returns:
        Shape (b, *shape).

    Raises:
        ValueError: when the shapes differ, or for a weight outside [0, 1].
    """
    if a.shape != b.shape:
        raise ValueError(
            f"a, b: shapes {tuple(a.shape)} and {tuple(b.shape)}; give two latents of one shape"
        )
    if not 0 <= weight <= 1:
        raise ValueError(f"weight={weight}; give a fraction of the way, from 0 to 1")

    flat_a = a.reshape(len(a), -1).double()
    flat_b = b.reshape(len(b), -1).double()
    norms = flat_a.norm(dim=1) * flat_b.norm(dim=1)
    cosine = (flat_a * flat_b).sum(1) / norms.clamp(min=_SMALL_NORM)
    theta = cosine.clamp(-1, 1).acos()[:, None]

    sine = theta.sin()
    parallel = sine < _SMALL_SINE
    divisor = torch.where(parallel, 1.0, sine)
    of_a = torch.where(parallel, 1 - weight, ((1 - weight) * theta).sin() / divisor)
    of_b = torch.where(parallel, weight, (weight * theta).sin() / divisor)

    return (of_a * flat_a + of_b * flat_b).to(a.dtype).reshape(a.shape)
