r"""Importance-weighted bounds (IWAE), for any model whose latents can be drawn.

    log p(x)  >=  E log (1/k) sum_j w_j,        w_j = p(x, z_j) / q(z_j | x),  z_j ~ q(z | x)

(Burda et al. 2016, eq. 8). k = 1 is the ELBO; the bound never falls with k and tends to log p(x).
It is what eq. 7 and 8 of Luo 2022 do before and after Jensen's inequality.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class HasLogWeights(Protocol):
    """A model whose latents can be drawn: a VAE, a hierarchy, a diffusion model in T steps."""

    def log_weights(
        self,
        raw: Tensor,
        condition: Tensor | None = None,
        *,
        seeds: Sequence[int] | None = None,
        draws: int = 1,
    ) -> Tensor:
        """log p(x, z) - log q(z | x) in nats, shape (draws, batch).

        Args:
            raw: data as they are stored.
            condition: one row per item, or None.
            seeds: one integer per item; 0, 1, 2, ... for None.
            draws: how many draws of the latents per item.
        """
        ...


def log_mean_weight(log_weights: Float[Tensor, "k b"]) -> Float[Tensor, " b"]:
    """log (1/k) sum_j w_j in nats per item, from `log_weights` (k, batch)."""
    return log_weights.logsumexp(0) - math.log(len(log_weights))


@torch.no_grad()
def iwae_bound(
    model: HasLogWeights,
    raw: Tensor,
    k: int,
    *,
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> Float[Tensor, " b"]:
    """The importance-weighted bound of log p(raw), in nats per item (Burda et al. 2016, eq. 8).

    Args:
        model: a model whose latents can be drawn.
        raw: data as they are stored, shape (batch, *shape).
        k: how many draws of the latents per item.
        condition: one row per item, or None.
        seeds: one integer per item; 0, 1, 2, ... for None.

    Raises:
        ValueError: for k below 1.
    """
    if k < 1:
        raise ValueError(f"k={k}; give at least 1 draw per item")
    return log_mean_weight(model.log_weights(raw, condition, seeds=seeds, draws=k))
