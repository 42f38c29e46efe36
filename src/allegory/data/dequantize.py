"""From levels to a density: how discrete data become continuous ones.

A density could be infinite at the points of a grid, so each level is spread over its bin (Theis et
al. 2016),

    x = encode(raw) + step (u - 1/2),    u ~ U[0, 1),

and a density p of x bounds the probability of the levels by Jensen's inequality,

    log P(raw) >= E_u[log p(x)] + dims log(step)    in nats:

the expectation over the bin, plus its log-volume. The bins of the end levels reach step/2 beyond
[-1, 1].

Any density q within the bin does in place of the uniform one,

    log P(raw) >= E_q[log p(x) - log q(x | raw)],        log q = -dims log(step) for the uniform,

best where q is p within the bin. A density of data plus Gaussian noise of standard deviation s has
a peak of that width at each level, so q is that noise, truncated to the bin (Zheng et al. 2023,
i-DODE):

    q(x_i | raw_i) = N(x_i; encode(raw_i), s^2) / erf(step / (2 sqrt(2) s)),        |x_i - encode(raw_i)| < step/2.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, Shaped
from torch import Tensor

from .spec import DataSpec


def uniform(
    raw: Shaped[Tensor, "n *shape"], spec: DataSpec, generator: torch.Generator | None = None
) -> Float32[Tensor, "n *shape"]:
    """x = encode(raw) + step (u - 1/2): uniform noise over each level's bin, to the rounding of float32.

    ValueError for continuous data, which have no bins.
    """
    x = spec.encode(raw)
    noise = torch.rand(x.shape, generator=generator, dtype=x.dtype, device=x.device)
    return x + spec.step * (noise - 0.5)


def none(
    raw: Shaped[Tensor, "n *shape"], spec: DataSpec, generator: torch.Generator | None = None
) -> Float32[Tensor, "n *shape"]:
    """x = encode(raw): for continuous data, and for models whose decoder gives the levels probabilities."""
    return spec.encode(raw)


@dataclass(frozen=True, eq=False)
class Spread:
    """Levels spread over their bins, and log q(x | raw) in nats per item."""

    x: Float[Tensor, "n *shape"]
    log_q: Float[Tensor, " n"]


def spread(
    raw: Shaped[Tensor, "n *shape"],
    spec: DataSpec,
    noise: Float[Tensor, "n *shape"],
    std: float | None = None,
) -> Spread:
    """Standard-normal noise turned into a place in the bin: even for std=None, else N(0, std^2) truncated to the bin.

    By the inverse of the distribution function, so the noise of an item fixes its place. ValueError
    for continuous data or for an std that is not positive.
    """
    half, centre = spec.step / 2, spec.encode(raw).to(noise)
    even = torch.erf(noise / math.sqrt(2))  # even in (-1, 1)
    if std is None:
        return Spread(
            centre + half * even, noise.new_full((len(noise),), -spec.dims * math.log(spec.step))
        )
    if not std > 0:
        raise ValueError(
            f"std={std}; give the positive standard deviation of the noise in model space"
        )
    inside = math.erf(half / (math.sqrt(2) * std))
    z = (math.sqrt(2) * torch.erfinv(inside * even)).clamp(-half / std, half / std)
    log_q = -0.5 * z.square() - math.log(math.sqrt(2 * math.pi) * std * inside)
    return Spread(centre + std * z, log_q.flatten(1).sum(1))


def truncated_normal(
    raw: Shaped[Tensor, "n *shape"],
    spec: DataSpec,
    std: float,
    generator: torch.Generator | None = None,
) -> Spread:
    """x = encode(raw) + noise ~ N(0, std^2) truncated to the level's bin, with its log-density, in float64."""
    noise = torch.randn(raw.shape, generator=generator, dtype=torch.float64, device=raw.device)
    return spread(raw, spec, noise, std)
