r"""Schedules that are given by beta, the rate at which noise is added.

In discrete time (DDPM) beta_1..beta_T are the variances of the steps and alpha_bar_i = prod_{j <=
i} (1 - beta_j). In continuous time (Score SDE) dx = -beta(s)/2 x ds + ..., and with B(s) = int_0^s
beta both processes of Song et al. 2021 have alpha = exp(-B/2):

    VP      sigma^2 = 1 - exp(-B)       log_snr = -log(exp(B) - 1)
    sub-VP  sigma   = 1 - exp(-B)       log_snr = -2 log(2 sinh(B/2))

The second is another schedule than the first, not the first with another scaling: at one time the
sub-VP process has the same alpha and less noise. Both are  log_snr = -B - k log(1 - exp(-B))  with
k = 1 and 2, a form that keeps its digits at both ends, and so

    d log_snr/dB = -(1 + k / (exp(B) - 1))
    B = log(1 + exp(-log_snr))                for k = 1
    B = 2 asinh(exp(-log_snr/2) / 2)          for k = 2.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .schedule import SCHEDULES, Arguments, Schedule


class Betas(Schedule):
    """The log-SNR of a table beta_1..beta_T, linear between its entries (Ho et al. 2020).

    alpha_bar_i = prod_{j <= i} (1 - beta_j) and log_snr_i = log(alpha_bar_i / (1 - alpha_bar_i)).
    Entry i is at t = (i - 1) / (T - 1): t = 0 is the first noise level and t = 1 the last. The
    table is float64 whatever the dtype of the model.

    Args:
        betas: two or more numbers inside (0, 1).

    Raises:
        ValueError: for fewer than two, or numbers outside (0, 1).
    """

    def __init__(self, betas: Sequence[float] | Tensor) -> None:
        super().__init__()
        beta = torch.as_tensor(betas, dtype=torch.float64).detach().cpu().flatten()
        if len(beta) < 2 or not bool(((beta > 0) & (beta < 1)).all()):
            raise ValueError(
                f"betas: {len(beta)} values, {beta[:4].tolist()}...; give two or more inside (0, 1)"
            )

        self._betas = beta
        log_alpha_bar = torch.log1p(-beta).cumsum(0)
        # log(a / (1 - a)) = log a - log(-expm1(log a)) keeps every digit where a is close to 1.
        self._table = log_alpha_bar - torch.log(-torch.expm1(log_alpha_bar))
        self._on_device: dict[torch.device, Tensor] = {}

    @classmethod
    def linear(cls, first: float = 1e-4, last: float = 0.02, count: int = 1000) -> Betas:
        """beta_i linear in i (Ho et al. 2020, section 4).

        Args:
            first: beta_1.
            last: beta_T.
            count: the number T of steps.
        """
        return cls(torch.linspace(first, last, count, dtype=torch.float64))

    @classmethod
    def scaled_linear(cls, first: float = 0.00085, last: float = 0.012, count: int = 1000) -> Betas:
        """sqrt(beta_i) linear in i, as in latent diffusion (Rombach et al. 2022).

        Args:
            first: beta_1.
            last: beta_T.
            count: the number T of steps.
        """
        roots = torch.linspace(math.sqrt(first), math.sqrt(last), count, dtype=torch.float64)
        return cls(roots.square())

    @classmethod
    def cosine(cls, count: int = 1000, offset: float = 0.008, largest: float = 0.999) -> Betas:
        """alpha_bar proportional to cos^2((i/T + s)/(1 + s) pi/2) (Nichol & Dhariwal 2021, eq. 17).

        Args:
            count: the number T of steps.
            offset: s, which keeps beta_1 from being too small.
            largest: betas are cut here, where alpha_bar would reach 0.
        """
        i = torch.arange(count + 1, dtype=torch.float64) / count
        alpha_bar = torch.cos((i + offset) / (1 + offset) * math.pi / 2).square()
        return cls((1 - alpha_bar[1:] / alpha_bar[:-1]).clamp(max=largest))

    def arguments(self) -> Arguments:
        """The betas."""
        return {"betas": tuple(self._betas.tolist())}

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
        """The time at which the log-SNR is `log_snr`."""
        nodes = self._nodes(log_snr)
        i = torch.searchsorted(-nodes, -log_snr.to(nodes.dtype), right=True) - 1
        i = i.clamp(0, len(nodes) - 2)
        return (i + (log_snr - nodes[i]) / (nodes[i + 1] - nodes[i])) / (len(nodes) - 1)

    def extra_repr(self) -> str:
        return f"{len(self._table)} betas"


class _LinearBeta(Schedule):
    """log_snr = -B - k log(1 - exp(-B)), B(s) = beta_min s + (beta_max - beta_min) s^2/2, s = t_min
    + (1 - t_min) t.

    Args:
        beta_min: beta at s = 0.
        beta_max: beta at s = 1.
        t_min: the time s at which the path begins.

    Raises:
        ValueError: unless 0 <= beta_min <= beta_max, beta_max > 0 and 0 <= t_min < 1.
    """

    power: int
    """k."""

    def __init__(self, beta_min: float, beta_max: float, t_min: float) -> None:
        if not (0 <= beta_min <= beta_max < math.inf and beta_max > 0 and 0 <= t_min < 1):
            raise ValueError(
                f"beta_min={beta_min}, beta_max={beta_max}, t_min={t_min}: "
                "give 0 <= beta_min <= beta_max, beta_max > 0 and 0 <= t_min < 1"
            )

        super().__init__()
        self.beta_min, self.beta_max, self.t_min = float(beta_min), float(beta_max), float(t_min)

    @abstractmethod
    def _integral_at(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """B at this log-SNR."""

    def _beta(self, t: Float[Tensor, "*t"]) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        """beta and B at t."""
        s = self.t_min + (1 - self.t_min) * t
        rise = self.beta_max - self.beta_min
        return self.beta_min + rise * s, s * (self.beta_min + rise * s / 2)

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        _, integral = self._beta(t)
        return -integral - self.power * torch.log(-torch.expm1(-integral))

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        beta, integral = self._beta(t)
        return -(1 - self.t_min) * beta * (1 + self.power / torch.expm1(integral))

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        integral = self._integral_at(log_snr)
        rise = self.beta_max - self.beta_min
        # The root of rise/2 s^2 + beta_min s = B without a difference of near numbers.
        s = 2 * integral / (self.beta_min + (self.beta_min**2 + 2 * rise * integral).sqrt())
        return (s - self.t_min) / (1 - self.t_min)

    def extra_repr(self) -> str:
        return f"beta_min={self.beta_min}, beta_max={self.beta_max}, t_min={self.t_min}"


class LinearBeta(_LinearBeta):
    """log_snr = -log(exp(B) - 1): the VP-SDE with beta linear in time (Song et al. 2021, eq. 11,
    appendix C).

    With the scaling `vp`, alpha = exp(-B/2), B(s) = beta_min s + (beta_max - beta_min) s^2/2, s =
    t_min + (1 - t_min) t.

    Args:
        beta_min: beta at s = 0.
        beta_max: beta at s = 1.
        t_min: the time s at which the path begins, where log-SNR is finite: about -log(beta_min
            t_min).

    Raises:
        ValueError: for rates that are negative or out of order, or t_min outside (0, 1): at s = 0
            the slope of sigma is infinite.
    """

    power = 1

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-5) -> None:
        super().__init__(beta_min, beta_max, t_min)
        if self.t_min == 0:
            raise ValueError("t_min=0.0: sigma rises with infinite slope there; give e.g. 1e-5")

    def _integral_at(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.logaddexp(-log_snr, torch.zeros_like(log_snr))


class LinearBetaSubVP(_LinearBeta):
    """log_snr = -2 log(2 sinh(B/2)): the sub-VP-SDE with beta linear in time (Song et al. 2021, eq.
    12, appendix C).

    With the scaling `sub_vp`, alpha = exp(-B/2) and sigma = 1 - exp(-B): the alpha of `LinearBeta`,
    with less noise.

    Args:
        beta_min: beta at s = 0.
        beta_max: beta at s = 1.
        t_min: the time s at which the path begins; with 0 log-SNR is infinite there.

    Raises:
        ValueError: for rates that are negative or out of order, or t_min outside [0, 1).
    """

    power = 2

    def __init__(self, beta_min: float = 0.1, beta_max: float = 20.0, t_min: float = 1e-5) -> None:
        super().__init__(beta_min, beta_max, t_min)

    def _integral_at(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return 2 * torch.asinh(torch.exp(-log_snr / 2) / 2)

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        # Where log_snr > 0, exp(-log_snr/2) = 2 sinh(B/2) cancels the pole of the slope, -beta
        # coth(B/2).
        beta, integral = self._beta(t)
        clean = -2 * (1 - self.t_min) * beta * torch.cosh(integral / 2)
        return torch.where(self(t) > 0, clean, super().scaled_slope(t))


SCHEDULES.register(
    "betas", Betas, "a table beta_1..beta_T, log-SNR linear between its entries (Ho et al. 2020)"
)
SCHEDULES.register(
    "linear_beta", LinearBeta, "the VP-SDE with beta linear in time (Song et al. 2021)"
)
SCHEDULES.register(
    "linear_beta_sub_vp",
    LinearBetaSubVP,
    "the sub-VP-SDE with beta linear in time (Song et al. 2021)",
)
