r"""The forward process, and the process at one time.

A **Path** is q(x_t | x0) = N(alpha x0, sigma^2 I): a schedule (log-SNR of t) and a scaling (how
alpha and sigma share it). A **Level** is the Path at one time, shaped to broadcast against the
data. It stores log-SNR, never alpha-bar, and computes the rest when first asked for:

    dx = f x dt + g dw                        the SDE with these marginals (Song et al. 2021)
    f  = d log alpha / dt                     `drift`
    g2 = d sigma^2/dt - 2 f sigma^2 = -sigma^2 log_snr'        `diffusion`

The second form of g2 follows from log_snr' = 2 (alpha'/alpha - sigma'/sigma) and holds for every
scaling; the VP process of DDPM has f = -beta/2 and g2 = beta.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_type
from ..numerics.broadcast import expand_like
from .coefficients import Coefficient, larger, weighted_sum
from .known_paths import KnownPaths


class Path(KnownPaths):
    """q(x_t | x0) = N(alpha(t) x0, sigma(t)^2 I): a schedule and a scaling (Luo 2022, eq. 70).

    Args:
        schedule: log-SNR as a function of t.
        scaling: how alpha and sigma share it: "vp", "sub_vp", "flow", "ve", or a Scaling.

    Raises:
        ValueError: for what is no schedule, and an unknown scaling.
    """

    def at(self, t: Tensor | float | Level, like: Tensor | None = None) -> Level:
        """The Level at t, in the precision of `like` and shaped to broadcast against it.

        Args:
            t: one time, or one per item, shape () or (batch,), from 0 to 1; or a Level, of this
                path or of another with the same times. A Level of this very path that already fits
                is returned as it is.
            like: the data, (batch, *shape); None keeps the shape of t.

        Raises:
            ValueError: for times outside [0, 1], or neither one nor one per item.
        """
        if isinstance(t, Level):
            return self._at_level(t, like)

        time = _checked_time(t, like)
        if like is not None and time.ndim > 0:
            if time.shape != like.shape[:1]:
                raise ValueError(
                    f"t: shape {tuple(time.shape)} for a batch of {len(like)}; "
                    "give one time, or one per item"
                )
            time = expand_like(time, like)

        return Level(self, time, self.schedule(time), _dtype(t if like is None else like))

    def _at_level(self, level: Level, like: Tensor | None) -> Level:
        """The Level of this path at the time of another Level; clean data are clean data on every
        path.
        """
        time = level.t
        if not isinstance(time, Tensor) and level.precise_log_snr == math.inf:
            return level if level.path is self else self.clean

        fits = like is None or not isinstance(time, Tensor) or time.ndim in (0, like.ndim)
        if level.path is self and fits:
            return level

        return self.at(time.flatten() if isinstance(time, Tensor) and time.ndim else time, like)

    def at_log_snr(self, log_snr: Float[Tensor, " b"], like: Tensor | None = None) -> Level:
        """The Level with this log-SNR, one per item, clamped to the ends of the path; it carries no
        gradient to t.

        Args:
            log_snr: one per item, or one.
            like: the data that the Level shall broadcast against.
        """
        with torch.no_grad():
            return self.at(self.schedule.inverse(log_snr).clamp(0, 1), like=like)

    @property
    def clean(self) -> Level:
        """The Level of clean data: alpha = 1, sigma = 0, infinite log-SNR, on every path."""
        return Level(self, 0.0, math.inf, torch.float64)

    def levels(self, times: Sequence[float] | Float[Tensor, " n"]) -> tuple[Level, ...]:
        """One Level per entry of `times`, whose scales are Python floats, for a sampling loop."""
        return self.at(torch.as_tensor(times, dtype=torch.float64).cpu()).unbind()

    @property
    def prior_std(self) -> float:
        """Standard deviation of the prior p(x_1) = N(0, prior_std^2 I): that of x_1 for
        unit-variance data.

        It is 1 on a variance-preserving path (Luo 2022, eq. 33).
        """
        with torch.no_grad():
            return float(self.at(1.0).marginal_std)

    def extra_repr(self) -> str:
        return f"scaling={self.scaling.name!r}"


@dataclass(frozen=True, eq=False)
class Level:
    """A Path at one time, or at one time per item.

    Args:
        path: the forward process.
        t: the time; a tensor that broadcasts against the data, or a float.
        precise_log_snr: log-SNR in float64.
        dtype: that of the scales, where they are tensors.
    """

    path: Path
    t: Coefficient
    precise_log_snr: Coefficient
    dtype: torch.dtype

    def _cast(self, value: Tensor) -> Coefficient:
        return value.to(self.dtype) if isinstance(self.t, Tensor) else float(value)

    @cached_property
    def log_snr(self) -> Coefficient:
        """log(alpha^2 / sigma^2)."""
        return self._cast(_number(self.precise_log_snr))

    @cached_property
    def _scales(self) -> tuple[Coefficient, Coefficient]:
        alpha, sigma = self.path.scaling.scales(_number(self.precise_log_snr))
        return self._cast(alpha), self._cast(sigma)

    @cached_property
    def alpha(self) -> Coefficient:
        """What multiplies the data."""
        return self._scales[0]

    @cached_property
    def sigma(self) -> Coefficient:
        """What multiplies the noise: a standard deviation."""
        return self._scales[1]

    @cached_property
    def marginal_std(self) -> Coefficient:
        """sqrt(alpha^2 + sigma^2): the standard deviation of x_t for data of unit variance."""
        return self._cast(torch.hypot(*self.path.scaling.scales(_number(self.precise_log_snr))))

    @cached_property
    def dlog_snr(self) -> Coefficient:
        """d log-SNR / dt."""
        return self._cast(self.path.schedule.slope(_number(self.t)))

    @cached_property
    def alpha_sigma_dlog_snr(self) -> Coefficient:
        """R = alpha sigma d log-SNR/dt = 2 (alpha' sigma - alpha sigma'), finite at both ends."""
        scaled = self._cast(self.path.schedule.scaled_slope(_number(self.t)))
        scale = larger(self.alpha, self.sigma)  # alpha sigma = scale^2 exp(-|log_snr| / 2)
        return scale * scale * scaled

    @cached_property
    def dalpha(self) -> Coefficient:
        """d alpha / dt."""
        q, _ = self.path.scaling.slope_factors(self.alpha, self.sigma)
        return q * self.alpha_sigma_dlog_snr / 2

    @cached_property
    def dsigma(self) -> Coefficient:
        """d sigma / dt."""
        _, w = self.path.scaling.slope_factors(self.alpha, self.sigma)
        return -w * self.alpha_sigma_dlog_snr / 2

    @cached_property
    def drift(self) -> Coefficient:
        """f = d log alpha / dt of dx = f x dt + g dw (Song et al. 2021); infinite at alpha = 0."""
        q, _ = self.path.scaling.slope_factors(self.alpha, self.sigma)
        return q * self.alpha_sigma_dlog_snr / (2 * self.alpha)

    @cached_property
    def diffusion(self) -> Coefficient:
        """g^2 = -sigma^2 d log-SNR/dt in dx = f x dt + g dw (Song et al. 2021; VDM, Kingma et al.
        2021).
        """
        return -self.sigma * self.alpha_sigma_dlog_snr / self.alpha

    def log_snr_minus(self, other: Level) -> Coefficient:
        """log_snr - other.log_snr, subtracted before it is rounded: neighbouring times keep their
        digits.
        """
        difference = self.precise_log_snr - other.precise_log_snr
        return difference.to(self.dtype) if isinstance(difference, Tensor) else difference

    def mix(
        self, x0: Float[Tensor, "b *shape"], eps: Float[Tensor, "b *shape"]
    ) -> Float[Tensor, "b *shape"]:
        """x_t = alpha x0 + sigma eps (Luo 2022, eq. 69): noising, a DDIM step, an inversion."""
        if isinstance(self.alpha, Tensor) and self.alpha.ndim not in (0, x0.ndim):
            shape = tuple(self.alpha.shape)
            raise ValueError(
                f"level: scales of shape {shape} for data {tuple(x0.shape)}; "
                "use path.at(t, like=x0)"
            )
        return weighted_sum((self.alpha, x0), (self.sigma, eps))

    def log_snr_per_item(self, like: Float[Tensor, "b *shape"]) -> Float[Tensor, " b"]:
        """log-SNR as one number per item of `like`, for the conditioning of a network."""
        if isinstance(self.log_snr, Tensor):
            return self.log_snr.reshape(-1).to(like.device, _dtype(like)).expand(len(like))
        return torch.full((len(like),), self.log_snr, dtype=_dtype(like), device=like.device)

    def unbind(self) -> tuple[Level, ...]:
        """A Level of n times as n Levels of floats, read from the device once."""
        times = torch.as_tensor(self.t)
        columns = [
            torch.as_tensor(getattr(self, name)).expand(times.shape).tolist() for name in _VALUES
        ]

        levels = []
        for t, *values in zip(times.tolist(), *columns, strict=True):
            level = Level(self.path, t, values[0], torch.float64)
            # Fill the cached properties, so that none is computed again.
            level.__dict__.update(zip(_VALUES, values, strict=True))
            levels.append(level)

        return tuple(levels)


_VALUES = (
    "log_snr",
    "alpha",
    "sigma",
    "dlog_snr",
    "alpha_sigma_dlog_snr",
    "dalpha",
    "dsigma",
    "drift",
    "diffusion",
)
"""The values of a Level that `unbind` reads."""


def _checked_time(t: Tensor | float, like: Tensor | None) -> Tensor:
    """t as a tensor on the device of the data, in `precise`. ValueError outside [0, 1]."""
    device = like.device if like is not None else t.device if isinstance(t, Tensor) else None
    time = torch.as_tensor(t, dtype=precise(device), device=device)

    # On an accelerator the check would wait for it.
    if time.device.type == "cpu" and not bool(((time >= 0) & (time <= 1)).all()):
        raise ValueError(
            f"t: {time.flatten()[:4].tolist()}; t must be in [0, 1]: "
            "for step k of T discrete steps pass k / T"
        )

    return time


def precise(device: torch.device | None) -> torch.dtype:
    """float64, which keeps every digit of log-SNR; float32 on a `device` without it (mps)."""
    return torch.float32 if device is not None and device.type == "mps" else torch.float64


def _number(scale: Coefficient) -> Tensor:
    """A float as a float64 tensor; a tensor as it is."""
    return scale if isinstance(scale, Tensor) else torch.tensor(scale, dtype=torch.float64)


def _dtype(like: object) -> torch.dtype:
    """At least float32: half precision rounds a small alpha-bar to zero."""
    if isinstance(like, Tensor) and like.dtype == torch.float64:
        return torch.float64
    return torch.float32 if isinstance(like, Tensor) else torch.float64


def check_path(path: object) -> None:
    """ValueError for a `path` that is none."""
    check_type("path", path, Path, "a Path, e.g. Path.cosine()")
