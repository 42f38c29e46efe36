r"""Exact likelihood by the probability-flow ODE, for any Predict and data of any shape.

The flow carries the data, noised at t = 0, to the prior at t = 1, and their density with them (Song
et al. 2021, section 4.3 and appendix D.2). In the coordinates of `numerics.local_gaussian`,

    log p(x0) = log N(x_T; 0, prior_std^2 I) + d log alpha_T + int d/u c du,
    x_T = alpha_T y(u_T),        y(u_0) = x0.

It is the density of x_{t=0}/alpha_0 = x0 + (sigma_0/alpha_0) eps, the data with the noise of t = 0,
taken at x0: a density that integrates to one, as in Song et al. The density without that noise
differs, by the heat equation, by

    log p_clean(x0) = log p(x0) + (u div eps - |eps|^2)/2 + O(u^4),        u = sigma_0/alpha_0,

which the first evaluation already holds: `clean_log_prob`. It means something only where the data
have a density, and where u is small next to their finest detail.

A run costs evaluations of the network, each with vector-Jacobian products for the divergence
(`numerics.trace`) on the same forward pass. Each item has its own steps (`numerics.adaptive_ode`),
so it comes out the same alone and in any batch.
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
from ..process.prediction import Predict, check_predict

_MAX_EXACT_DIMS = 128
"""Up to so many dimensions the trace is exact by default."""


@dataclass(frozen=True)
class FlowSolver:
    """How the probability-flow ODE is solved.

    Args:
        tolerance: the error of one step, in nats per dimension of log p and in local standard
            deviations of x (root mean square). The error of the whole is some two to three times
            it in the mean, ten times for an outlier.
        probes: 0 for the exact trace, k for k Rademacher probes per item; None for exact up to 128
            dimensions and one probe beyond.
        log_snr_range: log-SNR at which the ODE starts and stops; None for the ends of the path.
        data_std: standard deviation of the data. It affects step placement only, not the result.
        max_evaluations: evaluations that an item may take.
        grad: whether the result can be differentiated, by x0 and by the parameters of the
            predictor, through the steps that were taken. The ends of the path are constants.

    Raises:
        ValueError: for numbers that are not positive, or infinite.
    """

    tolerance: float = 1e-4
    probes: int | None = None
    log_snr_range: tuple[float, float] | None = None
    data_std: float = 1.0
    max_evaluations: int = 2000
    grad: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be solved."""
        numbers = (self.tolerance, self.data_std)
        if not all(0 < number < math.inf for number in numbers) or self.max_evaluations < 1:
            raise ValueError(
                f"tolerance={self.tolerance}, data_std={self.data_std}, "
                f"max_evaluations={self.max_evaluations}; give positive, finite numbers"
            )
        if self.probes is not None and self.probes < 0:
            raise ValueError(
                f"probes={self.probes}; give 0 for the exact trace, or a number of probes"
            )

    @property
    def history(self) -> int:
        """How many past slopes a step uses: more pay where steps are short."""
        return 3 if self.tolerance >= 1e-4 else 4

    def ends(self, path: Path) -> tuple[float, float]:
        """log-SNR at the start and the end. ValueError where it is infinite or beyond the path."""
        first, last = path.schedule.ends
        start, end = self.log_snr_range or (first, last)
        if not (math.isfinite(start) and math.isfinite(end)):
            raise ValueError(
                f"path: log-SNR from {start:g} to {end:g}; the ODE needs finite ends, "
                "give log_snr_range=(12.0, -12.0) or alike"
            )
        if not first >= start > end >= last:
            raise ValueError(
                f"log_snr_range=({start:g}, {end:g}); "
                f"give two falling numbers within {first:g} to {last:g}"
            )

        return start, end

    def uses_exact_trace(self, dims: int) -> bool:
        """Whether the trace is exact for items of `dims` dimensions."""
        return self.probes == 0 or (self.probes is None and dims <= _MAX_EXACT_DIMS)


@dataclass(frozen=True, eq=False)
class FlowLikelihood:
    """log p of each item by the probability flow, in nats, and what it took.

    Args:
        prior: log N(x_T; 0, prior_std^2 I).
        volume: log |d x_T / d x0|, one column per probe.
        clean: the change of log p, to first order, when the noise of t = 0 is taken away.
        latent: x_T, the end of the flow. Sampling from it by any ODE solver gives alpha_0 x0 back.
        evaluations: evaluations of the network.
        products: vector-Jacobian products.
        tolerance: that of the solver.
        exact: whether the trace is exact.
    """

    prior: Float[Tensor, " b"]
    volume: Float[Tensor, "b k"]
    clean: Float[Tensor, " b"]
    latent: Float[Tensor, "b *shape"]
    evaluations: Int64[Tensor, " b"]
    products: Int64[Tensor, " b"]
    tolerance: float
    exact: bool

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
        """Standard error of log_prob over the probes: 0 for an exact trace, NaN for one probe."""
        count = self.volume.shape[1]
        if self.exact or count == 1:
            return torch.full_like(self.prior, 0.0 if self.exact else math.nan)
        return self.volume.std(1) / math.sqrt(count)

    def bits_per_dim(
        self, spec: DataSpec, log_q: Tensor | float | None = None
    ) -> Float[Tensor, " b"]:
        """(log q - log p) / (dims log 2) of discrete data.

        In the mean over q it is at least the bits of the value itself.

        Args:
            spec: what the data are; it must have levels.
            log_q: log density of the dequantization that made x0, in nats per item; None for the
                uniform one, -dims log(step).

        Raises:
            ValueError: for continuous data, whose density has no bits.
        """
        if spec.levels is None:
            raise ValueError(
                "levels=None: a density of continuous data has no bits/dim, as it changes with "
                "their unit; report nats (log_prob + spec.log_scale in the data's own unit), or "
                "set levels"
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
) -> FlowLikelihood:
    """log p(x0) by the probability-flow ODE, with its latent, its cost and its standard error.

    Args:
        predict: the predictor, with its path. It must be a function: put a network with dropout in
            eval mode.
        x0: data in model space, shape (batch, *shape), floating point.
        solver: how the ODE is solved; None for the defaults.
        condition: one row per item, or None.
        seeds: one integer per item, for its probes; 0, 1, 2, ... for None. The exact trace uses
            none.

    Raises:
        ValueError: for infinite ends, or x0 without items or of whole numbers.
        RuntimeError: when an item needs more evaluations than the solver's limit.
    """
    check_predict(predict)
    solver = solver or FlowSolver()
    path = predict.path
    start, end = solver.ends(path)
    if len(x0) == 0 or not x0.is_floating_point():
        raise ValueError(
            f"x0: {len(x0)} items of {x0.dtype}; give at least one, of floating-point numbers"
        )

    exact = solver.uses_exact_trace(x0[0].numel())
    noise = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.PROBES)
    probes = None if exact else rademacher_probes(noise.draw, solver.probes or 1, x0)
    field = _Field(FlowSlope(predict, x0.dtype, condition), probes, solver.grad)
    integrator = AdaptiveIntegrator(
        field,
        end=math.exp(-end / 2),
        angle=Angle(solver.data_std),
        history=solver.history,
        tolerance=solver.tolerance,
        max_evaluations=solver.max_evaluations,
    )

    with torch.set_grad_enabled(solver.grad):
        first = _first_point(field, x0, math.exp(-start / 2))
        return _collect(solver, integrator.run(first), first, _scales_at(path, end), exact)


def log_prob(
    predict: Predict,
    x0: Float[Tensor, "b *shape"],
    *,
    condition: Tensor | None = None,
    seeds: Sequence[int] | None = None,
) -> Float[Tensor, " b"]:
    """log p(x0) in nats per item, by the probability-flow ODE.

    `flow_log_prob` gives its error and cost as well.

    Args:
        predict: the predictor, with its path.
        x0: data in model space, shape (batch, *shape), floating point.
        condition: one row per item, or None.
        seeds: one integer per item, for the probes beyond 128 dimensions; 0, 1, 2, ... for None.

    Raises:
        ValueError: for a path with an infinite end, or x0 without items or of whole numbers.
    """
    return flow_log_prob(predict, x0, condition=condition, seeds=seeds).log_prob


def _first_point(field: _Field, x0: Tensor, u: float) -> Point:
    """The slopes at x0. ValueError where they are not finite."""
    y = x0.to(precise(x0.device))
    point = field(y.new_full((len(y),), u), y, torch.arange(len(y), device=y.device))
    if not (bool(point.eps.isfinite().all()) and bool(point.c.isfinite().all())):
        raise ValueError(
            "x0: predict is not finite there; look for NaN in x0, or take other weights (best, ema,"
            " last)"
        )
    return point


def _scales_at(path: Path, log_snr: float) -> tuple[float, float]:
    """alpha and sigma at this log-SNR."""
    alpha, sigma = path.scaling.scales(torch.tensor(log_snr, dtype=torch.float64))
    return float(alpha), float(sigma)


def _collect(
    solver: FlowSolver, solution: Solution, first: Point, scales: tuple[float, float], exact: bool
) -> FlowLikelihood:
    """The density at x0 from the end of the flow."""
    alpha, sigma = scales
    latent = alpha * solution.y
    dims = solution.y[0].numel()
    prior = Gaussian(torch.zeros_like(latent), math.hypot(alpha, sigma)).log_prob(latent)
    clean = 0.5 * (dims * first.c.mean(1) - first.eps.square().flatten(1).sum(1))

    return FlowLikelihood(
        prior=prior,
        volume=dims * (solution.growth + math.log(alpha)),
        clean=clean,
        latent=latent,
        evaluations=solution.evaluations,
        products=solution.evaluations * (dims if exact else first.c.shape[1]),
        tolerance=solver.tolerance,
        exact=exact,
    )


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
