r"""Dequantization: discrete data as continuous ones (Theis et al. 2016).

A density could be infinite at the levels, so each level is made continuous over its bin by noise of
a density q,

    x ~ q(x | raw),        |x_i - encode(raw_i)| < step/2,

and a density p of x bounds the probability of the levels by Jensen's inequality,

    log P(raw) >= E_q[log p(x) - log q(x | raw)]        in nats.

The uniform q has log q = -dims log(step). The bound is tightest where q is p within the bin. A
density of data plus Gaussian noise of standard deviation s has a peak of that width at each level,
so q is that noise, truncated to the bin (Zheng et al. 2023, i-DODE):

    q(x_i | raw_i) = N(x_i; encode(raw_i), s^2) / erf(step / (2 sqrt(2) s)).

The bins of the first and the last level reach step/2 beyond [-1, 1].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .spec import DataSpec


@dataclass(frozen=True, eq=False)
class Dequantized:
    """Dequantized items.

    Args:
        x: levels with noise over their bins, in model space, (n, *shape).
        log_q: log q(x | raw) in nats per item, (n,).
    """

    x: Float[Tensor, "n *shape"]
    log_q: Float[Tensor, " n"]


def dequantize(
    raw: Shaped[Tensor, "n *shape"],
    spec: DataSpec,
    noise: Float[Tensor, "n *shape"],
    std: float | None = None,
) -> Dequantized:
    """Continuous items: levels plus noise of q, by its inverse distribution function at Phi(noise).

    Args:
        raw: items in the units of the data.
        spec: their levels.
        noise: standard-normal; that of an item fixes its place in the bin.
        std: standard deviation s of the truncated normal, in model space; None means uniform.

    Raises:
        ValueError: for continuous data, or an std that is not positive.
    """
    half = spec.step / 2
    centre = spec.encode(raw).to(noise)
    uniform = torch.erf(noise / math.sqrt(2))  # in (-1, 1)
    if std is None:
        log_q = noise.new_full((len(noise),), -spec.dims * math.log(spec.step))
        return Dequantized(centre + half * uniform, log_q)
    if not std > 0:
        raise ValueError(
            f"std={std}; give the positive standard deviation of the noise in model space"
        )

    inside = math.erf(half / (math.sqrt(2) * std))
    z = (math.sqrt(2) * torch.erfinv(inside * uniform)).clamp(-half / std, half / std)
    log_q = -0.5 * z.square() - math.log(math.sqrt(2 * math.pi) * std * inside)
    return Dequantized(centre + std * z, log_q.flatten(1).sum(1))
