r"""Schedules: the log signal-to-noise ratio as a strictly decreasing function of time.

    log_snr(t) = log(alpha(t)^2 / sigma(t)^2),        t from 0 (clean) to 1 (noise).

Everything that a diffusion process does at time t follows from this number and a rule that shares
it between alpha and sigma (`scaling.py`). A schedule is that function with its slope and its
inverse, all in closed form. Where an end is infinite (no noise at t = 0, no signal at t = 1) the
slope is infinite as well, but the *scaled* slope

    log_snr'(t) * exp(-|log_snr(t)| / 2)

is not: it is twice the slope of alpha/sigma near t = 1 and of -sigma/alpha near t = 0. The slopes
of alpha and sigma are built from it (`path.py`), so they hold at both ends of every schedule.

The schedules of beta are in `betas.py`, the learned one is in `learned_schedule.py`. All compute in
the dtype of t; `Path.at` hands them float64.
"""

from __future__ import annotations

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..lookup import Registry

Arguments: TypeAlias = dict[str, float | int | bool | tuple[float, ...]]
"""The arguments of a constructor by name, plain numbers all."""


class Schedule(nn.Module, ABC):
    """A strictly decreasing log-SNR of t in [0, 1]."""

    @abstractmethod
    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """log-SNR at t."""

    @abstractmethod
    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """d log-SNR / dt, negative; infinite where log-SNR is."""

    @abstractmethod
    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """The t at which the schedule has this `log_snr`."""

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        """slope * exp(-|log_snr| / 2), finite at infinite ends too."""
        return self.slope(t) * torch.exp(-self(t).abs() / 2)

    def arguments(self) -> Arguments:
        """The arguments with which `type(self)(**arguments)` is this schedule; of a learned one, as
        it began.

        They are read from the attributes that have the names of the constructor's parameters.
        """
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    @property
    def ends(self) -> tuple[float, float]:
        """log-SNR at t = 0 and t = 1."""
        with torch.no_grad():
            start, end = self(torch.tensor([0.0, 1.0], dtype=torch.float64)).tolist()
        return start, end


SCHEDULES: Registry[Callable[..., Schedule]] = Registry(
    "schedule",
    modules=(
        "allegory.process.schedule",
        "allegory.process.betas",
        "allegory.process.learned_schedule",
    ),
)
"""The schedules by name: constructors whose arguments are plain numbers."""


_LARGEST = 1000.0
"""Of a finite log-SNR: exp(log_snr / 2) is a double up to 1419."""


def check_ends(start: float, end: float, finite: bool) -> None:
    """ValueError unless start > end, and both are numbers that alpha and sigma can be had from."""
    for name, log_snr in (("start", start), ("end", end)):
        if _LARGEST < abs(log_snr) < math.inf:
            raise ValueError(
                f"{name}={log_snr:g}: exp(log-SNR / 2) overflows; give {-_LARGEST:g} to "
                f"{_LARGEST:g}"
            )
    if not start > end:
        raise ValueError(f"start={start}, end={end}: log-SNR falls with t; give start > end")
    if finite and not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"start={start}, end={end}: both ends must be finite; "
            "Cosine and RectifiedFlow allow infinite ones"
        )


class LinearLogSNR(Schedule):
    """log_snr(t) = start + (end - start) t (Kingma et al. 2021, appendix).

    Args:
        start: log-SNR at t = 0.
        end: log-SNR at t = 1.

    Raises:
        ValueError: for infinite ends, or ends in the wrong order.
    """

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
    """sigma/alpha = sigma_min (sigma_max/sigma_min)^t of the VE path (Song & Ermon 2019).

    A geometric sequence of noise levels is a straight line in log-SNR = -2 log(sigma/alpha)
    (Song et al. 2021, appendix C).

    Args:
        sigma_min: sigma/alpha at t = 0.
        sigma_max: sigma/alpha at t = 1.

    Raises:
        ValueError: unless 0 < sigma_min < sigma_max.
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
        """The time at which the log-SNR is `log_snr`."""
        return self.line.inverse(log_snr)

    def extra_repr(self) -> str:
        return f"sigma_min={self.sigma_min}, sigma_max={self.sigma_max}"


class Cosine(Schedule):
    r"""log_snr(t) = -2 log tan(theta(t)) with an angle theta linear in t.

    theta runs from atan(exp(-start/2)) to atan(exp(-end/2)). With infinite ends it is pi t / 2 and,
    on a variance-preserving path, alpha = cos(pi t / 2) (Nichol & Dhariwal 2021, eq. 17, without
    its offset); finite ends cut the same curve (Hoogeboom et al. 2023, "simple diffusion").
    `end=-inf` gives zero terminal SNR.

    Args:
        start: log-SNR at t = 0; may be infinite.
        end: log-SNR at t = 1; may be -infinite.

    Raises:
        ValueError: for ends in the wrong order.
    """

    def __init__(self, start: float = 15.0, end: float = -15.0) -> None:
        super().__init__()
        check_ends(start, end, finite=False)
        self.start, self.end = float(start), float(end)
        self.theta0 = self._angle(start)
        self.theta1 = self._angle(end)
        # The complement pi/2 - theta has its own ends: near t = 1 the difference would cancel.
        self.phi0 = self._angle(-start)
        self.phi1 = self._angle(-end)

    @staticmethod
    def _angle(log_snr: float) -> float:
        return math.pi / 2 if log_snr == -math.inf else math.atan(math.exp(-log_snr / 2))

    def _angles(self, t: Float[Tensor, "*t"]) -> tuple[Float[Tensor, "*t"], Float[Tensor, "*t"]]:
        theta = self.theta0 * (1 - t) + self.theta1 * t
        phi = self.phi0 * (1 - t) + self.phi1 * t
        return theta, phi

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        theta, phi = self._angles(t)
        return 2 * (torch.sin(phi).log() - torch.sin(theta).log())

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        theta, phi = self._angles(t)
        return -2 * (self.theta1 - self.theta0) / (torch.sin(theta) * torch.sin(phi))

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        # exp(-|log_snr|/2) is the smaller of tan and cotangent, which cancels the smaller of the
        # two sines.
        theta, phi = self._angles(t)
        larger = torch.maximum(torch.sin(theta), torch.sin(phi))
        return -2 * (self.theta1 - self.theta0) / larger.square()

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return (torch.atan(torch.exp(-log_snr / 2)) - self.theta0) / (self.theta1 - self.theta0)

    def extra_repr(self) -> str:
        return f"start={self.start}, end={self.end}"


class RectifiedFlow(Schedule):
    """log_snr(t) = 2 log((1 - t) / t): with the `flow` scaling, alpha = 1 - t and sigma = t.

    The path of flow matching and rectified flow (Lipman et al. 2023; Liu et al. 2023). Both ends
    are infinite.
    """

    def __init__(self) -> None:
        super().__init__()

    def forward(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return 2 * (torch.log1p(-t) - torch.log(t))

    def slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return -2 / (t * (1 - t))

    def scaled_slope(self, t: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return -2 / torch.maximum(t, 1 - t).square()

    def inverse(self, log_snr: Float[Tensor, "*t"]) -> Float[Tensor, "*t"]:
        return torch.sigmoid(-log_snr / 2)


SCHEDULES.register("linear", LinearLogSNR, "log-SNR linear in t (Kingma et al. 2021)")
SCHEDULES.register(
    "cosine", Cosine, "alpha = cos(pi t/2) for vp, cut to finite ends (Nichol & Dhariwal 2021)"
)
SCHEDULES.register(
    "geometric",
    Geometric,
    "sigma/alpha geometric in t, for variance-exploding paths (Song & Ermon 2019)",
)
SCHEDULES.register(
    "rectified_flow",
    RectifiedFlow,
    "alpha = 1 - t and sigma = t for flow (Liu et al. 2023; Lipman et al. 2023)",
)
