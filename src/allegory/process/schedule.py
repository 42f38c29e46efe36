r"""Schedules: the log signal-to-noise ratio as a strictly decreasing function of time.

Everything that a diffusion process does at time t follows from one number,

    log_snr(t) = log(alpha(t)^2 / sigma(t)^2),        t from 0 (clean) to 1 (noise),

and a rule that scalings it into alpha and sigma (`scaling.py`). A schedule is that function with its slope and its
inverse, all in closed form. Where an end is infinite (no noise at t = 0, no signal at t = 1) the slope is infinite
as well, but the *tempered* slope

    log_snr'(t) * exp(-|log_snr(t)| / 2)

is not: it is twice the slope of alpha/sigma near t = 1 and of -sigma/alpha near t = 0. The slopes of alpha and sigma
are built from it (`path.py`), so they hold at both ends of every schedule.

The fixed schedules are here and hold Python floats; the learned one is in `learned.py`. All compute in the dtype of t;
`Path.at` hands them float64.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .curve import Schedule, check_ends
from .learned_schedule import LearnedSchedule

__all__ = [
    "Betas",
    "Cosine",
    "Geometric",
    "LearnedSchedule",
    "LinearLogSNR",
    "RectifiedFlow",
    "Schedule",
]


class LinearLogSNR(Schedule):
    """log_snr(t) = start + (end - start) t, straight in log-SNR (Kingma et al. 2021, appendix)."""

    def __init__(self, start: float = 10.0, end: float = -10.0) -> None:
        super().__init__()
        check_ends(start, end, finite=True)
        self.start, self.end = float(start), float(end)

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return self.start + (self.end - self.start) * t

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.full_like(t, self.end - self.start)

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return (log_snr - self.start) / (self.end - self.start)

    def extra_repr(self) -> str:
        return f"start={self.start}, end={self.end}"


class Geometric(Schedule):
    """sigma/alpha = sigma_min (sigma_max / sigma_min)^t, the schedule of variance-exploding paths.

    A geometric sequence of noise levels is a straight line in log-SNR = -2 log(sigma/alpha)
    (Song & Ermon 2019; Song et al. 2021, appendix C).
    """

    def __init__(self, sigma_min: float = 0.01, sigma_max: float = 50.0) -> None:
        if not 0 < sigma_min < sigma_max:
            raise ValueError(
                f"sigma_min={sigma_min}, sigma_max={sigma_max}: give 0 < sigma_min < sigma_max"
            )
        super().__init__()
        self.sigma_min, self.sigma_max = float(sigma_min), float(sigma_max)
        self.line = LinearLogSNR(-2 * math.log(sigma_min), -2 * math.log(sigma_max))

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        log_snr: Tensor = self.line(t)
        return log_snr

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return self.line.slope(t)

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return self.line.inverse(log_snr)

    def extra_repr(self) -> str:
        return f"sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"


class Cosine(Schedule):
    r"""log_snr(t) = -2 log tan(theta(t)) with an angle theta that is straight in t.

    theta runs from atan(exp(-start/2)) to atan(exp(-end/2)). With infinite ends it is pi t / 2 and, on a
    variance-preserving path, alpha = cos(pi t / 2) (Nichol & Dhariwal 2021, eq. 17, without its offset); finite ends
    cut the same curve (Hoogeboom et al. 2023, "simple diffusion"). `end=-inf` gives zero terminal SNR.
    """

    def __init__(self, start: float = 15.0, end: float = -15.0) -> None:
        super().__init__()
        check_ends(start, end, finite=False)
        self.start, self.end = float(start), float(end)
        self.theta0, self.theta1 = self._angle(start), self._angle(end)
        # The complement pi/2 - theta has its own end points: near t = 1 the difference would cancel.
        self.phi0, self.phi1 = self._angle(-start), self._angle(-end)

    @staticmethod
    def _angle(log_snr: float) -> float:
        return math.pi / 2 if log_snr == -math.inf else math.atan(math.exp(-log_snr / 2))

    def _angles(self, t: Float[Tensor, "*t"]) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        return self.theta0 * (1 - t) + self.theta1 * t, self.phi0 * (1 - t) + self.phi1 * t

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        theta, phi = self._angles(t)
        return 2 * (torch.sin(phi).log() - torch.sin(theta).log())

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        theta, phi = self._angles(t)
        return -2 * (self.theta1 - self.theta0) / (torch.sin(theta) * torch.sin(phi))

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        # exp(-|log_snr|/2) is the smaller of tan and cotangent, which cancels the smaller of the two sines.
        theta, phi = self._angles(t)
        return (
            -2
            * (self.theta1 - self.theta0)
            / torch.maximum(torch.sin(theta), torch.sin(phi)).square()
        )

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return (torch.atan(torch.exp(-log_snr / 2)) - self.theta0) / (self.theta1 - self.theta0)

    def extra_repr(self) -> str:
        return f"start={self.start}, end={self.end}"


class RectifiedFlow(Schedule):
    """log_snr(t) = 2 log((1 - t) / t): with the `flow` scaling, alpha = 1 - t and sigma = t.

    The path of flow matching and rectified flow (Lipman et al. 2023; Liu et al. 2023). Both ends are infinite.
    """

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return 2 * (torch.log1p(-t) - torch.log(t))

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return -2 / (t * (1 - t))

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return -2 / torch.maximum(t, 1 - t).square()

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.sigmoid(-log_snr / 2)


class Betas(Schedule):
    """The schedule of a DDPM array beta_1..beta_T, joined by straight lines in log-SNR.

    alpha_bar_i = prod_{j <= i} (1 - beta_j) and log_snr_i = log(alpha_bar_i / (1 - alpha_bar_i)) (Ho et al. 2020).
    Entry i sits at t = (i - 1) / (T - 1): t = 0 is the first noise level and t = 1 the last. The table is float64
    whatever the dtype of the model. A solver that steps in log-SNR does not see the corners.
    """

    def __init__(self, betas: Sequence[float] | Tensor) -> None:
        super().__init__()
        beta = torch.as_tensor(betas, dtype=torch.float64).detach().cpu().flatten()
        if len(beta) < 2 or not bool(((beta > 0) & (beta < 1)).all()):
            raise ValueError(
                f"betas: {len(beta)} values, {beta[:4].tolist()}...; give two or more inside (0, 1)"
            )
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        # log(a / (1 - a)) = log a - log(-expm1(log a)) keeps every digit where alpha_bar is close to 1.
        self._table = log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))
        self._on_device: dict[torch.device, Tensor] = {}

    def _nodes(self, like: Tensor) -> Tensor:
        # Not a buffer: `.half()` on a model would round it.
        if like.device not in self._on_device:
            self._on_device[like.device] = self._table.to(like.device)
        return self._on_device[like.device]

    def _segment(self, t: Float[Tensor, "*t"]) -> tuple[Tensor, Tensor, Tensor]:
        nodes = self._nodes(t)
        i = (t * (len(nodes) - 1)).long().clamp(0, len(nodes) - 2)
        return i, nodes[i], nodes[i + 1]

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        i, left, right = self._segment(t)
        return left + (right - left) * (t * (len(self._table) - 1) - i)

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        _, left, right = self._segment(t)
        return (right - left) * (len(self._table) - 1)

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        nodes = self._nodes(log_snr)
        i = (torch.searchsorted(-nodes, -log_snr.to(nodes.dtype), right=True) - 1).clamp(
            0, len(nodes) - 2
        )
        return (i + (log_snr - nodes[i]) / (nodes[i + 1] - nodes[i])) / (len(nodes) - 1)

    def extra_repr(self) -> str:
        return f"{len(self._table)} betas"
