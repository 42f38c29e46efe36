r"""Where to put the levels of a chain of T steps, so that it costs least.

A step from z_t to the cleaner z_s pays KL(q(z_s | z_t, x) || p(z_s | z_t)). Let x0 be predicted
with mean m and variance v, number by number, and let p be the Gaussian with the moments of q
averaged over that prediction. With D = SNR_s - SNR_t it costs

    1/2 sum_i [ log(1 + D v_i) + (1 + D (x_i - m_i)^2) / (1 + D v_i) - 1 ]

nats, which is 1/2 D |x - m|^2 for v = 0 (VDM, eq. 14; Luo 2022, eq. 58 and 99). The prediction is
that of the noisy end of the step, so the steps cost more than the integral that they become in
continuous time, and the excess depends on where the levels are. Where the chain begins and ends
matters as well: the cleanest level must pay for p(x | z_0), the noisiest for the prior. All three
are measured on some items, and the levels are chosen among many nodes by dynamic programming,
exactly:

    best_k(t) = min_s best_{k-1}(s) + cost(s, t),   best_0 = cost of p(x | z_0),   plus the prior's at the end.
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

from ..process.coefficients import Coefficient, expm1
from ..process.decoder import Decoder, Observation
from ..process.kernel import Gaussian, added_noise_std, marginal, posterior
from ..process.noise import Noise, Stream, item_seeds
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction

Floats = NDArray[np.float64]
NODES = 129


@dataclass(frozen=True, eq=False)
class Moments:
    """What is predicted of x0 at a level: a mean, a variance for each number (0 where a model has
    none), and p(x | z_t).
    """

    prediction: Prediction
    variance: Coefficient
    observe: Callable[[], Observation]

    def posterior(self, s: Level) -> Gaussian:
        """q(z_s | z_t, x0) averaged over the prediction: the Gaussian of its mean and variance.

        The mean of q moves with x0 by alpha_s (1 - SNR_t/SNR_s).
        """
        q = posterior(self.prediction, s)
        if isinstance(self.variance, float) and self.variance == 0.0:
            return q
        t = self.prediction.level
        moved = s.alpha * expm1(t.log_snr_minus(s))
        fresh = added_noise_std(s.sigma, s, t)
        return Gaussian(
            q.mean, (fresh * fresh + moved * moved * torch.as_tensor(self.variance)).sqrt()
        )

    def costs(
        self, x0: Float[Tensor, "b *shape"], gains: Float[Tensor, " k"]
    ) -> Float[Tensor, "k b"]:
        """The formula of the module in nats, for steps that gain D = SNR_s - SNR_t."""
        gain = gains.to(x0).reshape(-1, *(1,) * x0.ndim)
        widened = gain * torch.as_tensor(self.variance, dtype=x0.dtype)
        missed = gain * (x0 - self.prediction.x0).square()
        return 0.5 * (torch.log1p(widened) + (missed - widened) / (1 + widened)).flatten(2).sum(2)


@runtime_checkable
class PredictMoments(Protocol):
    """(z_t, level) -> the moments that a model predicts of x0, with the path that it is for."""

    @property
    def path(self) -> Path:
        """The forward process of z_t."""
        ...

    def __call__(self, z: Tensor, level: Level) -> Moments:
        """The moments of x0 given z_t at this Level."""
        ...


@dataclass(frozen=True, eq=False)
class MeanOnly:
    """The moments of a Predict, which has no variance, with the decoder of VDM."""

    predict: Predict
    decoder: Decoder

    @property
    def path(self) -> Path:
        """The forward process of z_t."""
        return self.predict.path

    def __call__(self, z: Tensor, level: Level) -> Moments:
        """The prediction as a mean with variance 0, and p(x | z_t)."""
        return Moments(self.predict(z, level), 0.0, lambda: self.decoder.observe(z, level))


def node_levels(path: Path, nodes: Sequence[int]) -> tuple[Level, ...]:
    """The Levels at these nodes, which divide the path's log-SNR evenly from 0, the cleanest, to
    NODES - 1.

    ValueError unless they rise, and there are two or more.
    """
    if (
        len(nodes) < 2
        or nodes[0] < 0
        or nodes[-1] >= NODES
        or any(b <= a for a, b in pairwise(nodes))
    ):
        raise ValueError(
            f"nodes {tuple(nodes)[:6]}: give two or more, rising, from 0 to {NODES - 1}"
        )
    start, end = path.schedule.ends
    places = torch.tensor(nodes, dtype=torch.float64) / (NODES - 1)
    times = path.schedule.inverse(start + (end - start) * places).detach().clamp(0, 1)
    times[places == 0], times[places == 1] = 0.0, 1.0  # where an inverse has rounded them
    return path.levels(times)


@dataclass(frozen=True, eq=False)
class Profile:
    """What an item costs in nats: to be decoded at a node, to step from t to s (row s, column t),
    to stop at a node.
    """

    decoded: Floats
    steps: Floats
    stopped: Floats

    def place(self, most: int) -> list[tuple[float, tuple[int, ...]]]:
        """For exactly 1 to `most` steps, the least cost in nats and its nodes, of which there is
        one more than steps.

        ValueError for more steps than there are nodes.
        """
        if not 1 <= most < len(self.decoded):
            raise ValueError(f"steps={most}; give 1 to {len(self.decoded) - 1}")
        best, before, found = (
            self.decoded,
            list[NDArray[np.int64]](),
            list[tuple[float, tuple[int, ...]]](),
        )
        for _ in range(most):
            total = best[:, None] + self.steps
            before.append(total.argmin(0))
            best = total.min(0)
            last = int((best + self.stopped).argmin())
            found.append((float(best[last] + self.stopped[last]), _trace(last, before)))
        return found


def _trace(last: int, before: Sequence[NDArray[np.int64]]) -> tuple[int, ...]:
    nodes = [last]
    for came_from in reversed(before):
        nodes.append(int(came_from[nodes[-1]]))
    return tuple(reversed(nodes))


@torch.no_grad()
def profile(
    predict: PredictMoments,
    x0: Float[Tensor, "b *shape"],
    *,
    seeds: Sequence[int] | None = None,
) -> Profile:
    """The mean costs of a model on some items, at every node with the same noise: NODES evaluations
    per item.

    Args:
        predict: the moments that the model predicts, with its path.
        x0: data in model space, shape (batch, *shape).
        seeds: one integer per item; 0, 1, 2, ... for None.
    """
    path = predict.path
    eps = Noise(item_seeds(seeds, len(x0)), x0.shape[1:], Stream.BOUND).draw(x0)
    levels = node_levels(path, range(NODES))
    snr = torch.tensor([level.log_snr for level in levels], dtype=torch.float64).exp()
    decoded, stopped, steps = np.zeros(NODES), np.zeros(NODES), np.full((NODES, NODES), np.inf)
    for j, level in enumerate(levels):
        prediction = predict(level.mix(x0, eps), level)
        decoded[j] = -prediction.observe().log_prob(x0).mean().item()
        stopped[j] = (
            marginal(x0, level).kl(Gaussian(torch.zeros_like(x0), path.prior_std)).mean().item()
        )
        steps[:j, j] = prediction.costs(x0, snr[:j] - snr[j]).double().mean(1).numpy()
    return Profile(decoded, steps, stopped)
