r"""Several bounds of one model on the same items: how far each is from the others.

All on the same items, so that differences are paired: the variance between items cancels.

    T steps              -log p <= L_T, falls with T          (Kingma et al. 2021, eq. 13 to 15)
    continuous time      its limit, L_inf                                                (eq. 17)
    k importance weights -E log (1/k) sum_j w_j, falls with k           (Burda et al. 2016, eq. 8)
    the flow             -log p of the probability-flow ODE, another model with the same denoiser
                         (Song et al. 2021); for discrete data a bound by one draw within the
                         bins (Zheng et al. 2023)

Which of them are computed depends on what the model can do (`models.base`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..data.dataset import Items
from ..likelihood.flow_ode import FlowSolver
from ..likelihood.importance import iwae_bound
from ..models.base import (
    HasFlow,
    HasLogProb,
    HasLogWeights,
    HasStepBound,
    Model,
    device_of,
    evaluating,
    has_bound,
)
from ..models.conditional import WEIGHT_STEPS, StepModel
from ..process.bound import Estimate, bits_per_dim, estimate
from ..progress import OnProgress
from ..sampling.driver import OnStep
from .config import BoundConfig, EvaluationConfig, stage
from .likelihood import BATCH, bounds

STEPS = (10, 100, 1000)
"""Numbers of steps whose bounds are computed, for a model in continuous time."""
_EXACT_TRACE_DIMS = 8
"""Numbers per item up to which the flow's divergence is exact; beyond, it is one Rademacher probe.
"""


@dataclass(frozen=True)
class BoundEstimate:
    """A negative log-likelihood, or a bound of it, over a set of items.

    Args:
        name: which bound it is.
        nats: nats per item.
        bits: bits/dim.
        difference: bits/dim more than the reference, item by item.
        evaluations: evaluations of the network per item; NaN where the model does not say.
    """

    name: str
    nats: Estimate
    bits: Estimate
    difference: Estimate
    evaluations: float


@dataclass(frozen=True)
class _Named:
    """Negative log-likelihoods of all items by one bound, in nats."""

    name: str
    nats: Float[Tensor, " n"]
    evaluations: float


def compare_bounds(
    model: Model,
    items: Items,
    config: EvaluationConfig | None = None,
    *,
    steps: Sequence[int] = STEPS,
    on_progress: OnProgress | None = None,
) -> tuple[BoundEstimate, ...]:
    """Every bound that the model has, on these items.

    Args:
        model: any model; without a bound, a log-probability or importance weights there is nothing
            to compare.
        items: raw items; all are evaluated.
        config: seed, draws per bound, and importance weights per item; None for
            `EvaluationConfig()`.
        steps: numbers of steps, for a model in continuous time.
        on_progress: called as on_progress(bound, items done, items).

    Returns:
        The estimates. The reference of the differences is the bound in continuous time, the ELBO,
        or else the first.
    """
    config = config or EvaluationConfig()
    found = [
        *_elbos(model, items, config, steps, on_progress),
        *_flows(model, items, config, on_progress),
        *_weighted(model, items, config, on_progress),
    ]
    reference = next(
        (one.nats for one in found if one.name in ("VLB, continuous time", "ELBO")),
        found[0].nats if found else torch.zeros(0),
    )

    return tuple(_estimated(model, one, reference) for one in found)


def _estimated(model: Model, one: _Named, reference: Float[Tensor, " n"]) -> BoundEstimate:
    """Means and standard errors, and those of the difference from the reference."""
    spec = model.spec
    return BoundEstimate(
        one.name,
        estimate(one.nats),
        estimate(bits_per_dim(one.nats, spec)),
        estimate(bits_per_dim(one.nats - reference, spec)),
        one.evaluations,
    )


def importance_weights(model: Model, config: EvaluationConfig) -> int:
    """Importance weights per item that are drawn of this `model`.

    As chosen in the `config`; for None 50, and 0 where a weight takes many evaluations. 0 for a
    model without them.
    """
    if not isinstance(model, HasLogWeights):
        return 0
    if config.importance is not None:
        return config.importance
    return 0 if isinstance(model, HasStepBound) else 50


def _elbos(
    model: Model,
    items: Items,
    config: EvaluationConfig,
    steps: Sequence[int],
    on_progress: OnProgress | None,
) -> Iterator[_Named]:
    """The bounds at finite numbers of steps, where there are any, and the model's own."""
    if not has_bound(model):
        return
    in_steps = isinstance(model, HasStepBound)
    for T in dict.fromkeys(_whole(model, T) for T in steps) if in_steps else ():
        name, draws = f"VLB, T = {T}", min(config.draws, T)
        chosen = BoundConfig(config.seed, draws, T)
        bound = bounds(model, items, chosen, on_step=stage(on_progress, name))
        yield _Named(name, -bound.total, draws)

    name = "VLB, continuous time" if in_steps else "ELBO"
    own = BoundConfig(config.seed, config.draws)
    bound = bounds(model, items, own, on_step=stage(on_progress, name))
    yield _Named(name, -bound.total, config.draws)


def _flows(
    model: Model, items: Items, config: EvaluationConfig, on_progress: OnProgress | None
) -> Iterator[_Named]:
    """The log-probability, by the probability-flow ODE where the model has one."""
    if isinstance(model, HasFlow) and bool(getattr(model, "bounded", True)):
        yield _flow(model, items, config, stage(on_progress, "ODE"))
    elif isinstance(model, HasLogProb) and not isinstance(model, HasFlow):

        def log_prob(x: Tensor, seeds: range) -> Tensor:
            return model.log_prob(x, seeds=seeds)

        nats = -_in_batches(model, items, config.seed, log_prob, stage(on_progress, "log p"))
        yield _Named("log p", nats, math.nan)


def _flow(model: HasFlow, items: Items, config: EvaluationConfig, on_step: OnStep | None) -> _Named:
    """-log p by the flow in nats, and its evaluations per item."""
    dims = items.x[0].numel()
    data_std = getattr(getattr(model, "denoiser", None), "data_std", 1.0)
    solver = FlowSolver(probes=0 if dims <= _EXACT_TRACE_DIMS else 1, data_std=data_std)
    evaluations: list[Tensor] = []

    def log_prob(x: Tensor, seeds: range) -> Tensor:
        try:
            found = model.flow_bound(x, seeds=seeds, solver=solver)
        except RuntimeError as error:
            raise ValueError(f"ODE: {error}; or compare nothing (compared=0)") from error
        evaluations.append(found.evaluations)
        return found.total

    nats = -_in_batches(model, items, config.seed, log_prob, on_step)
    return _Named("ODE", nats, torch.cat(evaluations).double().mean().item())


def _weighted(
    model: Model, items: Items, config: EvaluationConfig, on_progress: OnProgress | None
) -> Iterator[_Named]:
    """The importance-weighted bound."""
    k = importance_weights(model, config)
    if k == 0 or not isinstance(model, HasLogWeights):
        return
    T = _whole(model, WEIGHT_STEPS) if isinstance(model, HasStepBound) else None
    name = f"IWAE, k = {k}" + (f", T = {T}" if T else "")

    def log_prob(x: Tensor, seeds: range) -> Tensor:
        return iwae_bound(model, x, k, seeds=seeds)

    nats = -_in_batches(model, items, config.seed, log_prob, stage(on_progress, name))
    yield _Named(name, nats, k * (T or 1))


def _whole(model: Model, steps: int) -> int:
    """The number of steps that the model can have which is the nearest to this one."""
    return model.whole_steps(steps) if isinstance(model, StepModel) else steps


def _in_batches(
    model: object,
    items: Items,
    seed: int,
    log_prob: Callable[[Tensor, range], Tensor],
    on_step: OnStep | None,
) -> Float[Tensor, " n"]:
    """log_prob(x, seeds) of all items, `BATCH` at a time, in float64 on the CPU."""
    device = device_of(model)
    parts: list[Tensor] = []
    done = 0

    with evaluating(model), torch.no_grad():
        for x in items.x.split(BATCH):
            seeds = range(seed + done, seed + done + len(x))
            parts.append(log_prob(x.to(device), seeds).double().cpu())
            done += len(x)
            if on_step is not None:
                on_step(done, len(items))

    return torch.cat(parts)
