r"""Between two encodings: a path through noise that stays as far out as noise is.

A straight line between two draws of N(0, I) passes nearer to the origin than any draw does. The great circle does not:

    slerp(a, b, w) = sin((1 - w) theta)/sin(theta) a + sin(w theta)/sin(theta) b,      cos(theta) = <a, b>/(|a| |b|),

for each item by itself (Song et al. 2020, DDIM, appendix on interpolation). `invert` both items, walk between their
encodings, `sample` from each point.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def slerp(a: Float[Tensor, "b *shape"], b: Tensor, weight: float) -> Float[Tensor, "b *shape"]:
    """The point at this share of the way from a (0) to b (1), item by item; on a straight line where both lie on one.

    ValueError when the shapes differ or a weight is outside [0, 1].
    """
    if a.shape != b.shape:
        raise ValueError(
            f"a, b: shapes {tuple(a.shape)} and {tuple(b.shape)}; give two encodings of one shape"
        )
    if not 0 <= weight <= 1:
        raise ValueError(f"weight={weight}; give a share of the way, from 0 to 1")
    flat_a, flat_b = a.reshape(len(a), -1).double(), b.reshape(len(b), -1).double()
    cosine = (flat_a * flat_b).sum(1) / (flat_a.norm(dim=1) * flat_b.norm(dim=1)).clamp(min=1e-300)
    theta = cosine.clamp(-1, 1).acos()[:, None]
    sine = theta.sin()
    near = sine < 1e-6
    safe = torch.where(near, 1.0, sine)
    first = torch.where(near, 1 - weight, ((1 - weight) * theta).sin() / safe)
    last = torch.where(near, weight, (weight * theta).sin() / safe)
    return (first * flat_a + last * flat_b).to(a.dtype).reshape(a.shape)
