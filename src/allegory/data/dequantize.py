"""From levels to a density: how discrete data become continuous ones.

A density could be infinite at the points of a grid, so each level is spread over its bin (Theis et al. 2016),

    x = encode(raw) + step (u - 1/2),    u ~ U[0, 1),

and a density p of x bounds the probability of the levels by Jensen's inequality,

    log P(raw) >= E_u[log p(x)] + dims log(step)    in nats:

the expectation over the bin, plus its log-volume. The bins of the end levels reach step/2 beyond [-1, 1].
"""

import torch
from jaxtyping import Float32, Shaped
from torch import Tensor

from .spec import Data


def uniform(
    raw: Shaped[Tensor, "n *shape"], spec: Data, generator: torch.Generator | None = None
) -> Float32[Tensor, "n *shape"]:
    """x = encode(raw) + step (u - 1/2): uniform noise over each level's bin, to the rounding of float32.

    ValueError for continuous data, which have no bins.
    """
    x = spec.encode(raw)
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return x + spec.step * (noise - 0.5)


def none(
    raw: Shaped[Tensor, "n *shape"], spec: Data, generator: torch.Generator | None = None
) -> Float32[Tensor, "n *shape"]:
    """x = encode(raw): for continuous data, and for models whose decoder gives the levels probabilities."""
    return spec.encode(raw)
