r"""x0 given x_t and y by importance sampling and resampling (Rubin 1987), for decoupled annealing.

Candidates x_u ~ p(x_u | x_t) come from the reverse process, down to a cleaner Level u, and one of
them is chosen with a probability in proportion to its weight, an estimate of p(y | x_u):

    on clean data     p(y | x0)          for any operator and likelihood
    at a noisy u      a twist (`twists`), such as N(y; A x0hat, V + A C A^T) with the covariance C
                      of Tweedie's formula, for a linear operator and Gaussian noise

In the second case x0 is then drawn from N(x0hat, C) given y. The Gaussian has to hold at u alone,
where x0 given x_u has one mode, and not at x_t, where it has several: the candidates find them. The
draws are exact as their number grows, where the reverse process and the Gaussian at u are. What
one step leaves out the next one can mend, since it starts from better states.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count, option_number, option_whole, whole_number
from ..process.instruction import Loop
from ..process.path import Level
from ..sampling.loop import SamplingLoop
from ..sampling.registry import solver_named
from .conditional_draws import TweedieGaussian
from .daps import DAPS
from .derivatives import linearised
from .measurement import Measurement
from .methods import POSTERIOR_METHODS
from .resampling import systematic
from .twists import Twist, twist_named


@dataclass(frozen=True)
class ImportanceDraw:
    """x0 given x_t and y: one of several draws of p(x_u | x_t), chosen by p(y | x_u).

    It takes `count` times `inner` evaluations, and at a noisy u the vector-Jacobian products of the
    twist for each candidate, and those of `TweedieGaussian` for the one that is chosen.

    Args:
        count: candidates per item.
        inner: steps of the reverse process from x_t to x_u.
        log_snr: of the Level u; None for clean data. A state that is cleaner is drawn from
            N(x0hat, C) given y at once.
        solver: of the reverse process, a stochastic one.
        twist: the estimate of p(y | x_u) at a noisy u, for noise above 0.

    Raises:
        ValueError: for numbers below 1, and a solver that draws no noise.
    """

    count: int = 32
    inner: int = 10
    log_snr: float | None = 2.0
    solver: str = "sde_dpmpp2m"
    twist: str | Twist = "tweedie"

    def __post_init__(self) -> None:
        check_count("count", self.count, 1, 1_000_000)
        check_count("inner", self.inner, 1, 100_000)
        if not solver_named(self.solver).stochastic:
            raise ValueError(
                f"solver {self.solver!r}: draws no noise, and candidates are draws; use ddpm or "
                "sde_dpmpp2m"
            )

    def __call__(self, loop: Loop, measurement: Measurement) -> Float[Tensor, "b *shape"]:
        """The draw.

        Args:
            loop: the state, and the noise.
            measurement: one per item; at a noisy u of a linear operator, with Gaussian noise.

        Raises:
            ValueError: for another operator or noise, and what the twist refuses.
        """
        gaussian = TweedieGaussian(1e-6)
        if self.log_snr is not None and float(loop.level.log_snr) >= self.log_snr:
            return gaussian(loop, measurement)

        candidates = self._candidates(loop)
        log_weights = self._log_weights(candidates, measurement.repeat(self.count))
        log_weights = log_weights.view(len(loop.x), self.count)
        uniform = torch.special.ndtr(loop.draw(loop.x).flatten(1)[:, 0].double())
        number = systematic(log_weights, uniform, count=1)[:, 0]
        chosen = candidates.x[self.count * torch.arange(len(loop.x)).to(number) + number]
        if self.log_snr is None:
            return chosen

        at_u = SamplingLoop(loop.predict, chosen, candidates.level, loop.condition, loop.draw)
        return gaussian(at_u, measurement)

    def _candidates(self, loop: Loop) -> SamplingLoop:
        """The loop of the candidates at u, `count` of each item in a row."""
        items = len(loop.x)

        def draw(like: Tensor) -> Tensor:
            apart = like.view(items, self.count, *like.shape[1:])
            return loop.draw(apart).view_as(like)

        rows = loop.condition
        if rows is not None:
            rows = rows.repeat_interleave(self.count, 0)
        x = loop.x.repeat_interleave(self.count, 0)
        inside = SamplingLoop(loop.predict, x, loop.level, rows, draw)
        inside.run(solver_named(self.solver).plan(self._levels(loop.level)))
        return inside

    def _levels(self, level: Level) -> tuple[Level, ...]:
        """From a `level` to u, uniform in t."""
        path, end = level.path, 0.0
        if self.log_snr is not None:
            place = torch.tensor(self.log_snr, dtype=torch.float64)
            end = float(path.schedule.inverse(place).clamp(0.0, 1.0))

        way = path.levels(torch.linspace(float(level.t), end, self.inner + 1, dtype=torch.float64))
        last = path.clean if self.log_snr is None else way[-1]
        return (level, *way[1:-1], last)

    def _log_weights(self, candidates: SamplingLoop, measurement: Measurement) -> Tensor:
        """log p(y | x_u) of each candidate."""
        if self.log_snr is None:
            return measurement.log_likelihood(candidates.x)

        found = linearised(candidates.predict, candidates.x, candidates.level, candidates.condition)
        return twist_named(self.twist, measurement)(measurement, found)[0]


_PLACE = "a log-SNR or 'clean'"


def _named(count: float, inner: str = "10", log_snr: str = "2") -> DAPS:
    """daps with so many candidates, by the texts of its options."""
    steps = option_whole("inner", inner, "steps of the reverse process")
    place = None if log_snr == "clean" else option_number("log_snr", log_snr, _PLACE)
    return DAPS(ImportanceDraw(whole_number("count", count), steps, place))


POSTERIOR_METHODS.register(
    "daps_importance",
    DAPS(ImportanceDraw()),
    "daps with x0 chosen among several draws by p(y | x0); exact as these grow (Rubin 1987)",
    make=_named,
    parameter="candidates per item, a whole number",
    options={
        "inner": "steps of the reverse process to a candidate",
        "log_snr": "where candidates are weighed: a log-SNR, or 'clean'",
    },
)
