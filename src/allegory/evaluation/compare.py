r"""One model, many bounds: how much of its likelihood each way of measuring it sees.

All on the same items, so that differences are paired: the terms of the spread between items cancel.

    T steps              -log p <= L_T, falls with T                              (Kingma et al. 2021, eq. 13 to 15)
    continuous time      its limit, L_inf                                                                    (eq. 17)
    k importance weights -E log (1/k) sum_j w_j, falls with k                               (Burda et al. 2016, eq. 8)
    the flow             -log p of the probability-flow ODE, another model with the same denoiser (Song et al. 2021);
                         for discrete data a bound by one draw within the bins (Zheng et al. 2023)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Items
from ..likelihood.dequantized_flow import flow_bound
from ..likelihood.flow_ode import FlowSolver, flow_log_prob
from ..likelihood.importance import iwae_bound
from ..models.diffusion import VDM
from ..process.bound import Estimate, bits_per_dim, estimate
from .likelihood import BATCH, Model, bounds
from .mode import evaluating

STEPS = (10, 100, 1000)
CHAIN = 100
"""Steps of the chain whose importance weights are drawn, for a diffusion model."""
EXACT_TRACE = 8
"""Numbers an item up to which the flow's divergence is exact; beyond, it is one Rademacher probe."""


@dataclass(frozen=True)
class BoundEstimate:
    """A negative log-likelihood by name: per item in nats, in bits/dim, and less the reference; `evaluations` an item."""

    name: str
    nats: Estimate
    bits: Estimate
    difference: Estimate
    evaluations: float


def compare_bounds(
    model: Model,
    arrays: Items,
    *,
    seed: int,
    draws: int,
    weights: int = 0,
    steps: Sequence[int] = STEPS,
) -> tuple[BoundEstimate, ...]:
    """Every bound that the model has, on these items; the reference is the bound in continuous time, or the ELBO.

    `draws` evaluations an item for each bound, `weights` = k importance weights an item (none for 0).
    """
    own = -bounds(model, arrays, seed=seed, draws=draws).total
    found: list[tuple[str, Tensor, float]] = []
    if isinstance(model, VDM):
        for T in steps:
            some = min(draws, T)
            found.append(
                (
                    f"VLB, T = {T}",
                    -bounds(model, arrays, seed=seed, draws=some, steps=T).total,
                    some,
                )
            )
        found.append(("VLB, continuous time", own, draws))
        found.append(("ODE", *_flow(model, arrays.x, seed)))
    else:
        found.append(("ELBO", own, draws))
    if weights > 0:
        cost = weights * (CHAIN if isinstance(model, VDM) else 1)
        name = f"IWAE, k = {weights}" + (f", T = {CHAIN}" if isinstance(model, VDM) else "")
        found.append((name, -_weighted(model, arrays.x, weights, seed), cost))
    return tuple(bound_estimate(model, *one, own) for one in found)


def bound_estimate(
    model: Model, name: str, nats: Float[Tensor, " n"], evaluations: float, reference: Tensor
) -> BoundEstimate:
    """The Reading of negative log-likelihoods in nats, beside those of the reference."""
    data = model.spec
    return BoundEstimate(
        name,
        estimate(nats),
        estimate(bits_per_dim(nats, data)),
        estimate(bits_per_dim(nats - reference, data)),
        evaluations,
    )


def _flow(model: VDM, raw: Tensor, seed: int) -> tuple[Float[Tensor, " n"], float]:
    """-log p by the flow in nats, and its evaluations an item. Levels are spread by the noise of t = 0, truncated."""
    data, denoiser = model.spec, model.denoiser
    solver = FlowSolver(probes=0 if data.dims <= EXACT_TRACE else 1, data_std=denoiser.data_std)
    device, nats, cost = next(model.parameters()).device, [], []
    with evaluating(model):
        for i, x in enumerate(raw.to(device).split(BATCH)):
            seeds = range(seed + i * BATCH, seed + i * BATCH + len(x))
            if data.levels is None:
                flow = flow_log_prob(denoiser, data.encode(x), solver, seeds=seeds)
                nats.append(-flow.log_prob - data.log_scale)
                cost.append(flow.evaluations)
            else:
                bound = flow_bound(denoiser, x, data, solver, kind="normal", seeds=seeds)
                nats.append(-bound.total)
                cost.append(bound.evaluations)
    return torch.cat(nats).double().cpu(), torch.cat(cost).double().mean().item()


def _weighted(model: Model, raw: Tensor, k: int, seed: int) -> Float[Tensor, " n"]:
    device = next(model.parameters()).device
    with evaluating(model):
        parts = [
            iwae_bound(
                model, x.to(device), k, seeds=range(seed + i * BATCH, seed + i * BATCH + len(x))
            )
            .double()
            .cpu()
            for i, x in enumerate(raw.split(BATCH))
        ]
    return torch.cat(parts)
