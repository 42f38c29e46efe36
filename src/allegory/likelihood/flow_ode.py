r"""Exact likelihood by the probability-flow ODE, for any Predict and data of any shape.

The flow carries the spec, noised at t = 0, to the prior at t = 1, and the density with it (Song et al. 2021, section 4.3
and appendix D.2). In the coordinates of `tangent.py`,

    log p(x0) = log N(x_T; 0, prior_std^2 I) + d log alpha_T + int d/u c du,         x_T = alpha_T y(u_T),  y(u_0) = x0.

Which density is it? That of x_{t=0}/alpha_0 = x0 + (sigma_0/alpha_0) eps, the data with the noise of t = 0, taken at x0:
a density that integrates to one, as in Song et al. The density without that noise differs, by the heat equation, by

    log p_clean(x0) = log p(x0) + (u div eps - |eps|^2)/2 + O(u^4),          u = sigma_0/alpha_0,

which the first evaluation already holds: `clean_log_prob`. It means something only where the data have a density, and
where u is small beside their finest detail.

A run costs evaluations of the network. Each comes with vector-Jacobian products for the divergence (`trace.py`),
on the same forward pass. Each item has its own steps (`march.py`), so it comes out the same alone and in any batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..data.spec import DataSpec
from ..numerics.adaptive_ode import AdaptiveIntegrator, Solution
from ..numerics.local_gaussian import Angle, Point
from ..numerics.trace import rademacher_probes, traces
from ..process.bound import bits_per_dim
from ..process.flow_field import FlowSlope
from ..process.kernel import Gaussian
from ..process.noise import Noise, Stream, item_seeds
from ..process.path import Path, precise
from ..process.prediction import Predict

EXACT_DIMS = 128


@dataclass(frozen=True)
class FlowSolver:
    """How the ODE is solved.

    `tolerance` bounds the error of one step, in nats per dimension of log p and in local standard deviations of x
    (root mean square); that of the whole is some two to three times it in the mean, ten times for an outlier.
    `probes`: 0 for the exact trace, k for k Rademacher probes an item, None for exact up to 128 dimensions and one
    probe beyond. `ends`: log-SNR at which the ODE starts and stops, None for those of the path. `data_std` places the
    steps, no more. `limit`: the most evaluations an item may take.
    """

    tolerance: float = 1e-4
    probes: int | None = None
    ends: tuple[float, float] | None = None
    data_std: float = 1.0
    limit: int = 2000

    def __post_init__(self) -> None:
        """Refuse what cannot be solved."""
        if not (0 < self.tolerance < math.inf and 0 < self.data_std < math.inf and self.limit > 0):
            given = f"tolerance={self.tolerance}, data_std={self.data_std}, limit={self.limit}"
            raise ValueError(f"{given}; give positive, finite numbers")
        if self.probes is not None and self.probes < 0:
            raise ValueError(
                f"probes={self.probes}; give 0 for the exact trace, or a number of probes"
            )

    @property
    def memory(self) -> int:
        """How many slopes a step remembers: more pay where steps are short."""
        return 3 if self.tolerance >= 1e-4 else 4

    def range(self, path: Path) -> tuple[float, float]:
        """log-SNR at the start and the end. ValueError where it is infinite or beyond the path."""
        first, last = path.schedule.ends
        start, end = self.ends or (first, last)
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(
                f"path: log-SNR from {start:g} to {end:g}; the ODE needs finite ends, give ends=(12.0, -12.0) or alike"
            )
        if not first >= start > end >= last:
            raise ValueError(
                f"ends=({start:g}, {end:g}); give two falling numbers within {first:g} to {last:g}"
            )
        return start, end


@dataclass(frozen=True, eq=False)
class FlowLikelihood:
    """log p of each item by the probability flow, in nats, and what it took."""

    prior: Float[Tensor, " b"]
    """log N(x_T; 0, prior_std^2 I)."""
    volume: Float[Tensor, "b k"]
    """log |d x_T / d x0|, one column per probe."""
    clean: Float[Tensor, " b"]
    """What log p gains, to first order, when the noise of t = 0 is taken away."""
    latent: Float[Tensor, "b *shape"]
    """x_T: where the flow carries x0. Sampling from it by any ODE solver gives alpha_0 x0 back."""
    evaluations: Int64[Tensor, " b"]
    """Of the network."""
    products: Int64[Tensor, " b"]
    """Vector-Jacobian products."""
    tolerance: float
    exact: bool
    """Whether the trace is exact."""

    @property
    def log_prob(self) -> Float[Tensor, " b"]:
        """Nats per item: the density of x0 in model space, with the noise of t = 0."""
        return self.prior + self.volume.mean(1)

    @property
    def clean_log_prob(self) -> Float[Tensor, " b"]:
        """Nats per item without the noise of t = 0, to first order in its variance."""
        return self.log_prob + self.clean

    @property
    def error(self) -> Float[Tensor, " b"]:
        """Standard error of log_prob over the probes: 0 for an exact trace, NaN for one probe, which cannot tell."""
        count = self.volume.shape[1]
        if self.exact or count == 1:
            return torch.full_like(self.prior, 0.0 if self.exact else math.nan)
        return self.volume.std(1) / math.sqrt(count)

    def bits_per_dim(
        self, spec: DataSpec, log_q: Tensor | float | None = None
    ) -> Float[Tensor, " b"]:
        """(log q - log p) / (dims log 2) of discrete data: q is the density of the dequantization that made x0.

        log q is -dims log(step) for `uniform`, the default. In the mean over q it is at least the bits of the level
        itself. ValueError for continuous data, whose density has no bits.
        """
        if spec.levels is None:
            raise ValueError(
                "levels=None: a density of continuous data has no bits/dim, as it changes with their unit; "
                "report nats (log_prob + spec.log_scale in the data's own unit), or set levels"
            )
        given = -spec.dims * math.log(spec.step) if log_q is None else log_q
        return bits_per_dim(given - self.log_prob, spec)


def flow_log_prob(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    solver: FlowSolver | None = None,
    *,
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
    grad: bool = False,
) -> FlowLikelihood:
    """log p(x0) by the probability-flow ODE, with its latent, its cost and its standard error.

    Args:
        predict: the predictor, with its path. It must be a function: put a network with dropout in eval mode.
        x0: data in model space, shape (batch, *shape), floating point.
        solver: how the ODE is solved; None for the defaults.
        condition: one row per item, or None.
        seeds: one integer per item, for its probes; 0, 1, 2, ... for None. The exact trace uses none.
        grad: whether the result can be differentiated, by x0 and by the parameters of predict, through the steps that
            were taken; the ends of the path are constants.

    Raises:
        ValueError: for infinite ends, or x0 without items or of whole numbers.
        RuntimeError: when an item needs more evaluations than the solver's limit.
    """
    path = predict.path
    solver = solver or FlowSolver()
    start, end = solver.range(path)
    if len(x0) == 0 or not x0.is_floating_point():
        raise ValueError(
            f"x0: {len(x0)} items of {x0.dtype}; give at least one, of floating-point numbers"
        )
    exact = solver.probes == 0 or (solver.probes is None and x0[0].numel() <= EXACT_DIMS)
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.PROBES)
    probes = None if exact else rademacher_probes(noise.draw, solver.probes or 1, x0)
    field = _Field(FlowSlope(predict, x0.dtype, condition), probes, grad)
    y, u = x0.to(precise(x0.device)), math.exp(-end / 2)
    with torch.set_grad_enabled(grad):
        first = field(
            y.new_full((len(y),), math.exp(-start / 2)), y, torch.arange(len(y), device=y.device)
        )
        if not bool((first.eps.isfinite().flatten(1).all(1) & first.c.isfinite().all(1)).all()):
            raise ValueError(
                "x0: predict is not finite there; look for NaN in x0 or in the network"
            )
        march = AdaptiveIntegrator(
            field, u, Angle(solver.data_std), solver.memory, solver.tolerance, solver.limit
        )
        return _collect(solver, march.run(first), first, _at(path, end), exact)


def log_prob(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    *,
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> Float[Tensor, " b"]:
    """log p(x0) in nats per item, by the probability-flow ODE (`flow_log_prob` gives its error and cost as well).

    Args:
        predict: the predictor, with its path.
        x0: data in model space, shape (batch, *shape), floating point.
        condition: one row per item, or None.
        seeds: one integer per item, for the probes beyond 128 dimensions; 0, 1, 2, ... for None.

    Raises:
        ValueError: for a path with an infinite end, or x0 without items or of whole numbers.
    """
    return flow_log_prob(predict, x0, condition=condition, seeds=seeds).log_prob


def _at(path: Path, log_snr: float) -> tuple[float, float]:
    """alpha and sigma at this log-SNR."""
    alpha, sigma = path.scaling.scales(torch.tensor(log_snr, dtype=torch.float64))
    return float(alpha), float(sigma)


def _collect(
    solver: FlowSolver, arrival: Solution, first: Point, scales: tuple[float, float], exact: bool
) -> FlowLikelihood:
    """The density at x0 from where the items arrived."""
    alpha, sigma = scales
    latent, dims = alpha * arrival.y, arrival.y[0].numel()
    prior = Gaussian(torch.zeros_like(latent), math.hypot(alpha, sigma)).log_prob(latent)
    clean = 0.5 * (dims * first.c.mean(1) - first.eps.square().flatten(1).sum(1))
    products = arrival.evaluations * (dims if exact else first.c.shape[1])
    return FlowLikelihood(
        prior, dims * (arrival.growth + math.log(alpha)), clean, latent, arrival.evaluations, products,
        solver.tolerance, exact,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Field:
    """The right-hand side of the ODE: eps and its divergence."""

    slope: FlowSlope
    probes: Tensor | None
    grad: bool

    def __call__(self, u: Tensor, y: Tensor, items: Tensor) -> Point:
        probes = None if self.probes is None else self.probes[:, items]
        if not (y.requires_grad and self.grad):
            y = y.detach().requires_grad_()
        with torch.enable_grad():
            eps = self.slope(u, y, items)
            divergence = traces(eps, y, probes, create_graph=self.grad)
        c = (u / y[0].numel())[:, None] * divergence.to(y.dtype)
        point = Point(u, y, eps.to(y.dtype), c)
        return point if self.grad else point.detach()
