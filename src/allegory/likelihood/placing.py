r"""Where to put the levels of a chain of T steps, so that it costs least.

With m(l) = 1/2 E|eps - eps_hat|^2 at log-SNR l, in nats per unit of log-SNR, the step from t to the cleaner s costs

    E KL = (e^{l_s - l_t} - 1) m(l_t)                                                    (VDM, eq. 14; Luo 2022, eq. 58)

and in continuous time the same stretch costs the integral of m over [l_t, l_s]. The difference is that of a sum of
rectangles from its integral: in SNR, the height 1/2 E|x0 - x0_hat|^2 = m e^{-l} is taken at the noisy end of every step,
where it is largest. So the excess depends on where the levels are, and where the chain begins and ends matters as
well: the cleanest level must pay for p(x | z_0), the noisiest for the prior. All three are measured on some
items and the levels are chosen among many nodes by dynamic programming, exactly:

    best_k(j) = min_i best_{k-1}(i) + (e^{l_i - l_j} - 1) m(l_j),   best_0 = cost of p(x | z_0),   plus the prior's at the end.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from ..process.kernel import Gaussian, marginal
from ..process.noise import BOUND, Noise
from ..process.path import Level, Path
from ..process.prediction import Predict, Prediction
from .decoder import Decoder

Floats = NDArray[np.float64]
NODES = 257
MEASURED = 65


def node_levels(path: Path, nodes: tuple[int, ...]) -> tuple[Level, ...]:
    """The Levels at these nodes, which divide the path's log-SNR evenly from 0, the cleanest, to NODES - 1.

    ValueError unless they rise, from 0 on at the least.
    """
    if (
        len(nodes) < 2
        or nodes[0] < 0
        or nodes[-1] >= NODES
        or any(b <= a for a, b in zip(nodes, nodes[1:], strict=False))
    ):
        raise ValueError(f"nodes {nodes[:6]}...: give two or more, rising from 0 or more to at most {NODES - 1}")
    times = path.schedule.inverse(_log_snr(path, NODES)[list(nodes)]).clamp(0, 1)
    times[torch.tensor(nodes) == 0] = 0.0
    times[torch.tensor(nodes) == NODES - 1] = 1.0
    return path.levels(times)


def _log_snr(path: Path, count: int) -> Float[Tensor, " count"]:
    start, end = path.schedule.ends
    return start + (end - start) * torch.arange(count, dtype=torch.float64) / (count - 1)


@dataclass(frozen=True, eq=False)
class Profile:
    """What items cost at every node, from the cleanest on, in nats: to decode there, to pass by (a unit of log-SNR), to stop."""

    log_snr: Floats
    decoded: Floats
    missed: Floats
    stopped: Floats

    def continuous(self) -> float:
        """The bound in continuous time, between the ends of the path, in nats."""
        passed = float(np.trapezoid(self.missed, -self.log_snr))
        return float(self.decoded[0] + passed + self.stopped[-1])

    def place(self, most: int) -> list[tuple[float, tuple[int, ...]]]:
        """For 1 to `most` steps, the least cost in nats and its nodes, of which there is one more than steps.

        ValueError for more steps than there are nodes.
        """
        if not 1 <= most < len(self.log_snr):
            raise ValueError(f"steps={most}; give 1 to {len(self.log_snr) - 1}")
        gap = self.log_snr[:, None] - self.log_snr
        step = np.where(gap > 0, np.expm1(np.maximum(gap, 0)) * self.missed, np.inf)
        best, before, found = self.decoded, list[NDArray[np.int64]](), list[tuple[float, tuple[int, ...]]]()
        for _ in range(most):
            total = best[:, None] + step
            before.append(total.argmin(0))
            best = total.min(0)
            last = int((best + self.stopped).argmin())
            found.append((float(best[last] + self.stopped[last]), _path_to(last, before)))
        return found


def _path_to(last: int, before: list[NDArray[np.int64]]) -> tuple[int, ...]:
    nodes = [last]
    for came_from in reversed(before):
        nodes.append(int(came_from[nodes[-1]]))
    return tuple(reversed(nodes))


@torch.no_grad()
def profile(predict: Predict, path: Path, x0: Float[Tensor, "b *shape"], decoder: Decoder, *, seed: int = 0) -> Profile:
    """Measure a model on some items, in model space: MEASURED noise levels, each with the same noise, and between them lines."""
    eps = Noise(range(seed, seed + len(x0)), x0.shape[1:], BOUND).draw(x0)
    coarse = _log_snr(path, MEASURED)
    each = (NODES - 1) // (MEASURED - 1)
    rows = [_costs(predict, path, x0, eps, decoder, level) for level in node_levels(path, tuple(range(0, NODES, each)))]
    decoded, missed, stopped = np.array(rows).T
    nodes = _log_snr(path, NODES).numpy()

    def between(values: Floats) -> Floats:
        line: Floats = np.interp(-nodes, -coarse.numpy(), values)
        return line

    return Profile(nodes, between(decoded), np.exp(between(np.log(missed + 1e-30))), between(stopped))


def _costs(
    predict: Predict, path: Path, x0: Tensor, eps: Tensor, decoder: Decoder, level: Level
) -> tuple[float, float, float]:
    """Decoded, missed and stopped at one level: means over the items, in nats."""
    truth = Prediction.of(x0, eps, level)
    missed = 0.5 * predict(truth.x_t, level).squared_error(truth, "eps").flatten(1).sum(1)
    decoded = -decoder.observe(truth.x_t, level).log_prob(x0)
    stopped = marginal(x0, level).kl(Gaussian(torch.zeros_like(x0), path.prior_std))
    return decoded.mean().item(), missed.mean().item(), stopped.mean().item()
