r"""Optimal noise levels of a chain of T steps, by dynamic programming.

A step from z_t to the cleaner z_s costs KL(q(z_s | z_t, x) || p(z_s | z_t)). Let x0 be predicted
with mean m and variance v, number by number, and let p be the Gaussian with the moments of q
averaged over that prediction. With D = SNR_s - SNR_t it costs

    1/2 sum_i [ log(1 + D v_i) + (1 + D (x_i - m_i)^2) / (1 + D v_i) - 1 ]

nats, which is 1/2 D |x - m|^2 for v = 0 (VDM, eq. 14; Luo 2022, eq. 58 and 99). The prediction is
that of the noisy end of the step, so the steps cost more than the integral that they become in
continuous time, and the excess depends on where the levels are. Where the chain begins and ends
matters as well: the cleanest level determines the cost of p(x | z_0), the noisiest that of the
prior. All three are evaluated on some items, and the levels are chosen among many nodes by dynamic
programming, exactly:

    best_k(t) = min_s best_{k-1}(s) + cost(s, t),        best_0 = cost of p(x | z_0),

plus the cost of the prior at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..numerics.broadcast import expand_like
from ..process.coefficients import Coefficient, expm1
from ..process.decoder import Decoder, Observation
from ..process.guide import check_consistent
from ..process.kernel import Gaussian, added_noise_std, marginal, posterior
from ..process.noise import Noise, Stream, item_seeds
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction

NODES = 129
"""How many levels there are to choose from."""


@dataclass(frozen=True, eq=False)
class Moments:
    """The moments of x0 as they are predicted at a level.

    Args:
        prediction: the mean.
        variance: of each number; 0 for a model without.
        observe: p(x | z_t).
    """

    prediction: Prediction
    variance: Coefficient
    observe: Callable[[], Observation]

    def posterior(self, s: Level) -> Gaussian:
        """q(z_s | z_t, x0) averaged over the prediction: the Gaussian of its mean and variance.

        The mean of q changes with x0 by the factor alpha_s (1 - SNR_t/SNR_s).

        Args:
            s: the cleaner level.
        """
        q = posterior(self.prediction, s)
        if isinstance(self.variance, float) and self.variance == 0.0:
            return q
        t = self.prediction.level
        factor = s.alpha * expm1(t.log_snr_minus(s))
        noise_std = added_noise_std(s.sigma, s, t)
        variance = noise_std * noise_std + factor * factor * torch.as_tensor(self.variance)

        return Gaussian(q.mean, variance.sqrt())

    def costs(
        self, x0: Float[Tensor, "b *shape"], gains: Float[Tensor, " k"]
    ) -> Float[Tensor, "k b"]:
        """The formula of the module in nats.

        Args:
            x0: data in model space, shape (batch, *shape).
            gains: D = SNR_s - SNR_t of k steps.
        """
        gain = expand_like(gains.to(x0), x0[None])
        d_v = gain * torch.as_tensor(self.variance, dtype=x0.dtype)
        d_error = gain * (x0 - self.prediction.x0).square()
        each = torch.log1p(d_v) + (d_error - d_v) / (1 + d_v)
        return 0.5 * each.flatten(2).sum(2)


@runtime_checkable
class PredictMoments(Protocol):
    """(z_t, level) -> the moments that a model predicts of x0, with the path that it is for."""

    @property
    def path(self) -> Path:
        """The forward process of z_t."""
        ...

    def __call__(self, z: Tensor, level: Level) -> Moments:
        """The moments of x0 given z at this level."""
        ...


@dataclass(frozen=True, eq=False)
class MeanOnly:
    """The moments of a Predict, which has no variance.

    Args:
        predict: the predictor.
        decoder: p(x | z_t).
    """

    predict: Predict
    decoder: Decoder

    def __post_init__(self) -> None:
        check_consistent(self.predict, "a code")

    @property
    def path(self) -> Path:
        """The forward process of z_t."""
        return self.predict.path

    def __call__(self, z: Tensor, level: Level) -> Moments:
        """The prediction at z and this level as a mean with variance 0, and p(x | z)."""
        return Moments(self.predict(z, level), 0.0, lambda: self.decoder.observe(z, level))


def node_levels(path: Path, nodes: Sequence[int]) -> tuple[Level, ...]:
    """The Levels at these nodes.

    Args:
        path: its log-SNR is divided into equal parts by NODES nodes.
        nodes: two or more in rising order, from 0, the cleanest, to NODES - 1.

    Raises:
        ValueError: for nodes that do not rise, or fewer than two.
    """
    rising = all(a < b for a, b in pairwise(nodes))
    if len(nodes) < 2 or nodes[0] < 0 or nodes[-1] >= NODES or not rising:
        raise ValueError(
            f"nodes {tuple(nodes)[:6]}: give two or more, rising, from 0 to {NODES - 1}"
        )

    start, end = path.schedule.ends
    places = torch.tensor(nodes, dtype=torch.float64) / (NODES - 1)
    times = path.schedule.inverse(start + (end - start) * places).detach().clamp(0, 1)
    # An inverse may have rounded the ends.
    times[places == 0] = 0.0
    times[places == 1] = 1.0

    return path.levels(times)


@dataclass(frozen=True, eq=False)
class ChainCosts:
    """The costs of all chains over the nodes, in nats per item.

    Args:
        decoding: the cost of p(x | z_0) for a chain that begins at a node, (nodes,).
        steps: the cost of the step from t to s, row s and column t.
        prior: the cost of the prior for a chain that ends at a node, (nodes,).
    """

    decoding: NDArray[np.float64]
    steps: NDArray[np.float64]
    prior: NDArray[np.float64]

    def best_nodes(self, max_steps: int) -> list[tuple[float, tuple[int, ...]]]:
        """The least cost in nats and its nodes, for each number of steps from 1 to `max_steps`.

        A chain has one more node than steps. ValueError for more steps than there are nodes.
        """
        if not 1 <= max_steps < len(self.decoding):
            raise ValueError(f"steps={max_steps}; give 1 to {len(self.decoding) - 1}")

        best = self.decoding
        predecessors: list[NDArray[np.int64]] = []
        found: list[tuple[float, tuple[int, ...]]] = []

        for _ in range(max_steps):
            total = best[:, None] + self.steps
            predecessors.append(total.argmin(0))
            best = total.min(0)
            last = int((best + self.prior).argmin())
            found.append((float(best[last] + self.prior[last]), _trace(last, predecessors)))

        return found


def _trace(last: int, predecessors: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
    """The nodes of the best chain that ends at `last`, from the cleanest on."""
    nodes = [last]
    for predecessor in reversed(predecessors):
        nodes.append(int(predecessor[nodes[-1]]))
    return tuple(reversed(nodes))


@torch.no_grad()
def chain_costs(
    predict: PredictMoments,
    x0: Float[Tensor, "b *shape"],
    *,
    seeds: Sequence[int] | None = None,
) -> ChainCosts:
    """The mean costs over some items, by one evaluation per item and node.

    Args:
        predict: the moments that the model predicts, with its path.
        x0: data in model space, shape (batch, *shape).
        seeds: one integer per item, for the noise, which is the same at all nodes; 0, 1, 2, ...
            for None.
    """
    path = predict.path
    eps = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND).draw(x0)
    levels = node_levels(path, range(NODES))
    snr = torch.tensor([level.log_snr for level in levels], dtype=torch.float64).exp()
    p_prior = Gaussian(torch.zeros_like(x0), path.prior_std)

    decoding = np.zeros(NODES)
    prior = np.zeros(NODES)
    steps = np.full((NODES, NODES), np.inf)

    for j, level in enumerate(levels):
        moments = predict(level.mix(x0, eps), level)
        decoding[j] = -moments.observe().log_prob(x0).mean().item()
        prior[j] = marginal(x0, level).kl(p_prior).mean().item()
        steps[:j, j] = moments.costs(x0, snr[:j] - snr[j]).double().mean(1).numpy()

    return ChainCosts(decoding, steps, prior)
