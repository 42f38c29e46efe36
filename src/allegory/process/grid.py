r"""Grids: the Levels that a sampler visits, from t = 1 down.

A spacing places N + 1 nodes between the two ends of the path; the *end* says, by name, what the
last of them is. All three cost N evaluations:

    zero      the last node is replaced by clean data (sigma = 0)
    denoise   N nodes down to t = 0, then the posterior mean of that last state (the grid of EDM,
              the final denoising of NCSN)
    min       the nodes as they are: the result still has the noise of t = 0

Where t = 0 is clean data already, as in flow matching, the three are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..lookup import Registry, check_count, pick
from .path import Level, Path, check_path

Spacing = Callable[[Path, int], Tensor]
"""(path, count) -> count times from 1 down to 0, float64."""


@dataclass(frozen=True, eq=False)
class Grid:
    """The Levels of a sampler, in order.

    Args:
        levels: N + 1 of them, for N steps.

    Raises:
        ValueError: unless log-SNR rises at every step, or falls at every step.
    """

    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        """ValueError unless log-SNR is strictly monotone: a multistep solver divides by steps."""
        log_snr = torch.tensor([level.log_snr for level in self.levels], dtype=torch.float64)
        rises = bool((log_snr[1:] > log_snr[:-1]).all())
        falls = bool((log_snr[1:] < log_snr[:-1]).all())
        if len(log_snr) < 2 or not (rises or falls):
            raise ValueError(
                f"grid: log-SNR {log_snr.tolist()[:6]} must go one way at every step, from one "
                "Level to another; use fewer steps, or other times"
            )

    @property
    def steps(self) -> int:
        """Number of steps, and of Levels minus one."""
        return len(self.levels) - 1

    @property
    def times(self) -> Tensor:
        """The times, shape (steps + 1,), float64."""
        return torch.tensor([level.t for level in self.levels], dtype=torch.float64)

    def reversed(self) -> Grid:
        """The reverse grid, from data to noise. ValueError for one that ends in clean data."""
        if self.levels[-1].sigma == 0.0:
            raise ValueError(
                "a grid that ends in clean data has no way back; make it with end='min', "
                "on a path with finite log-SNR at t = 0"
            )
        return Grid(self.levels[::-1])


def _time(path: Path, count: int) -> Tensor:
    return torch.linspace(1, 0, count, dtype=torch.float64)


def _quadratic(path: Path, count: int) -> Tensor:
    return _time(path, count).square()


def _log_snr(path: Path, count: int) -> Tensor:
    start, end = _finite_ends(path, "log_snr")
    return path.schedule.inverse(torch.linspace(end, start, count, dtype=torch.float64))


def _karras(path: Path, count: int, rho: float = 7.0) -> Tensor:
    start, end = _finite_ends(path, "karras")
    root = torch.linspace(
        math.exp(-end / 2 / rho), math.exp(-start / 2 / rho), count, dtype=torch.float64
    )
    return path.schedule.inverse(-2 * rho * root.log())


def turn_of(dims: int, steps: int) -> float:
    r"""The turn of the spacing `angle`: 1.5 d^(1/5) for items of d numbers, 1.5 d^(1/4) in fewer
    than 8 steps.

    Data of standard deviation 1 in each of d numbers lie some sqrt(2 d) apart. The flow decides
    between them from sigma/alpha of that size on, and within them at 1 and below: the turn lies
    between the two. Factor and powers were chosen on one half of the problems of
    `benchmarks.problems`: a higher turn decides better, a lower one is nearer once it is decided.

    Args:
        dims: the numbers of an item.
        steps: of the grid.
    """
    return 1.5 * math.exp(math.log(dims) * (_POWER if steps >= _MANY_STEPS else _POWER_OF_FEW))


def _angle(path: Path, count: int, turn: float) -> Tensor:
    """Uniform in the angle of tan(angle) = sigma / (alpha turn), in log sigma at low noise."""
    ends = torch.tensor(path.schedule.ends, dtype=torch.float64)
    noise_to_signal = torch.exp(-ends / 2)
    first, last = ((noise_to_signal / turn).atan() / _SMALL_ANGLE).asinh().tolist()
    angle = _SMALL_ANGLE * torch.linspace(last, first, count, dtype=torch.float64).sinh()

    return path.schedule.inverse(-2 * (turn * angle.tan()).log())


def _angle_with(turn: float) -> Spacing:
    if not 1e-3 <= turn <= 1e6:
        raise ValueError(f"spacing 'angle:{turn:g}': give a sigma/alpha from 0.001 to 1e6")
    return partial(_angle, turn=turn)


def _finite_ends(path: Path, spacing: str) -> tuple[float, float]:
    start, end = path.schedule.ends
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ValueError(
            f"spacing={spacing!r} needs finite log-SNR at both ends, not {start:g} to {end:g}; "
            "use 'angle'"
        )
    return start, end


_DEFAULT_TURN = 3.0
"""Of the spacing `angle` where the numbers of an item are not known."""
_POWER, _POWER_OF_FEW, _MANY_STEPS = 1 / 5, 1 / 4, 8
_SMALL_ANGLE = 0.02
"""Of the spacing `angle`: below about this angle, steps have equal ratios, not differences."""

SPACINGS: Registry[Spacing] = Registry("spacing")
"""The spacings by name."""

SPACINGS.register("time", _time, "uniform in t")
SPACINGS.register("log_snr", _log_snr, "uniform in log-SNR (Lu et al. 2022)")
SPACINGS.register(
    "karras",
    _karras,
    "uniform in (sigma/alpha)^(1/7), denser at low noise (Karras et al. 2022, eq. 5)",
)
SPACINGS.register(
    "quadratic",
    _quadratic,
    "uniform in sqrt(t), denser at low noise (Song et al. 2020, DDIM, on CIFAR-10)",
)
SPACINGS.register(
    "angle",
    _angle_with(_DEFAULT_TURN),
    "uniform in an angle at high noise and in log sigma at low noise; any path",
    make=_angle_with,
    parameter="the sigma/alpha at 45 degrees; by default 1.5 d^(1/5) for items of d numbers",
)

ENDS = ("zero", "denoise", "min")


MAX_STEPS = 100_000
"""The largest number of steps."""


def grid(
    path: Path,
    steps: int,
    spacing: str | Spacing = "time",
    end: str = "zero",
    dims: int | None = None,
) -> Grid:
    """The Levels of a sampler with so many steps, one evaluation each.

    Args:
        path: the forward process.
        steps: how many.
        spacing: where the steps lie: a name of `SPACINGS`, or (path, count) -> times from 1 to 0.
        end: what the last Level is: "zero", "denoise" or "min" (see the module).
        dims: the numbers of an item, for the spacing "angle"; None for a turn of 3.

    Raises:
        ValueError: for steps below 1, an unknown name, or a spacing that the ends of this path do
            not allow.
    """
    check_path(path)
    check_count("steps", steps, 1, MAX_STEPS)

    pick("end", end, dict.fromkeys(ENDS))
    if spacing == "angle" and dims is not None:
        spacing = f"angle:{turn_of(dims, steps):.6g}"
    place = _named(spacing) if isinstance(spacing, str) else spacing
    if math.isinf(path.schedule.ends[0]):
        end = "zero"  # t = 0 is clean data: all three ends are one

    count = steps if end == "denoise" else steps + 1
    times = place(path, count) if count > 1 else torch.ones(1, dtype=torch.float64)
    levels = path.levels(times)
    if end == "zero":
        levels = (*levels[:-1], path.clean)
    elif end == "denoise":
        levels = (*levels, path.clean)

    return Grid(levels)


def _named(name: str) -> Spacing:
    """The spacing of this name, with exactly 1 and 0 at the ends, which an inverse may round."""
    place = SPACINGS.named(name)

    def pinned(path: Path, count: int) -> Tensor:
        times = place(path, count)
        return torch.cat([times.new_ones(1), times[1:-1], times.new_zeros(1)])

    return pinned
