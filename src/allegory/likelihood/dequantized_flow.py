r"""A bound of the likelihood of discrete data by the density of the probability flow.

Each draw is dequantized by a density q within its bins (`data/dequantize.py`), and with the density
p of the flow there

    log P(raw) >= E_q[log w],        w = p(x)/q(x | raw)        (Theis et al. 2016),

and several draws give the tighter bound log mean w (Burda et al. 2016). The flow's p is the density
of the data with the noise of t = 0, of standard deviation s = sigma_0/alpha_0. Levels that are far
apart on the scale of s appear in it as P(raw) N(x; encode(raw), s^2), so with q that same Gaussian,
truncated to the bin, every draw has

    log w = log P(raw) + dims log erf(step / (2 sqrt(2) s)):

no variance, and a gap that is the mass which the noise carries out of the bin (Zheng et al. 2023,
i-DODE).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from ..data.dequantize import dequantize
from ..data.spec import DataSpec
from ..lookup import pick
from ..process.bound import bits_per_dim
from ..process.noise import Noise, Stream, item_seeds
from ..process.path import Path
from ..process.prediction import Predict
from .flow_ode import FlowSolver, flow_log_prob
from .importance import log_mean_weight

_KINDS = ("uniform", "normal")


@dataclass(frozen=True, eq=False)
class FlowBound:
    """A lower bound of log P(raw) by several draws within the bins.

    Args:
        log_weights: log w of each draw, in nats.
        evaluations: evaluations of the network per item, over all draws.
    """

    log_weights: Float[Tensor, "draws b"]
    evaluations: Int64[Tensor, " b"]

    @property
    def total(self) -> Float[Tensor, " b"]:
        """The mean over draws: a lower bound of log P(raw) in expectation, in nats per item."""
        return self.log_weights.mean(0)

    @property
    def importance(self) -> Float[Tensor, " b"]:
        """log mean w: tighter, and the same for one draw."""
        return log_mean_weight(self.log_weights)

    @property
    def error(self) -> Float[Tensor, " b"]:
        """Standard error of `total` over the draws, which holds that of the probes; NaN for one
        draw.
        """
        return self.log_weights.std(0) / math.sqrt(len(self.log_weights))

    def bits_per_dim(self, spec: DataSpec) -> Float[Tensor, " b"]:
        """-total / (dims log 2), with the dims of `spec`."""
        return bits_per_dim(-self.total, spec)


@dataclass(frozen=True)
class DequantizedFlow:
    """The density of discrete data within their bins, and the solver of the flow there.

    Args:
        spec: what the data are; it must have levels.
        solver: how the ODE is solved.
        kind: the density within a bin: "uniform", or "normal" for the noise of t = 0, truncated.
        draws: how many points within the bins per item, each with probes of its own.

    Raises:
        ValueError: for continuous data, which have no levels (`flow_log_prob` gives their density),
            an unknown kind, or draws below 1.
    """

    spec: DataSpec
    solver: FlowSolver = field(default_factory=FlowSolver)
    kind: str = "uniform"
    draws: int = 1

    def __post_init__(self) -> None:
        """Refuse what has no bins, and no draws."""
        pick("kind", self.kind, dict.fromkeys(_KINDS))
        if self.draws < 1:
            raise ValueError(f"draws={self.draws}; give at least 1")
        if self.spec.levels is None:
            raise ValueError(
                "levels=None: continuous data have no bins to dequantize; "
                "use flow_log_prob for their density"
            )

    def noise_std(self, path: Path) -> float | None:
        """The standard deviation of the density within a bin on `path`; None for a uniform one."""
        return math.exp(-self.solver.ends(path)[0] / 2) if self.kind == "normal" else None


@torch.no_grad()
def flow_bound(
    predict: Predict,
    raw: Shaped[Tensor, "b *shape"],
    flow: DequantizedFlow,
    *,
    seeds: Sequence[int] | None = None,
    condition: Tensor | None = None,
) -> FlowBound:
    """A lower bound of log P(raw) of discrete data, by dequantization and the probability-flow ODE.

    Args:
        predict: the predictor, with its path.
        raw: discrete data, shape (batch, *shape).
        flow: what the data are, how they are spread over their bins, and how the ODE is solved.
        seeds: one integer per item; 0, 1, 2, ... for None.
        condition: one row per item, or None.

    Returns:
        The log-weights of the draws, and the evaluations per item.

    Raises:
        ValueError: for a path with an infinite end, or a wrong number of seeds.
    """
    std = flow.noise_std(predict.path)
    seeds = item_seeds(seeds, len(raw))
    noise = Noise(seeds, raw.shape[1:], Stream.BINS)
    dtype = torch.float64 if raw.dtype == torch.float64 else torch.float32

    log_weights = []
    evaluations = torch.zeros(len(raw), dtype=torch.int64, device=raw.device)

    for number in range(flow.draws):
        dequantized = dequantize(raw, flow.spec, noise.draw().double(), std)
        x0 = dequantized.x.to(raw.device, dtype)
        # 2^32 apart, so that no two draws of any two items have a probe in common.
        probe_seeds = [seed + number * 2**32 for seed in seeds]
        found = flow_log_prob(predict, x0, flow.solver, seeds=probe_seeds, condition=condition)
        log_weights.append(found.log_prob - dequantized.log_q.to(found.prior))
        evaluations += found.evaluations

    return FlowBound(torch.stack(log_weights), evaluations)
