r"""Plans: what a sampler will do, as numbers, before it does anything.

Along the probability flow everything that a solver may combine is linear: a state is alpha x0 + sigma eps of the belief
that was formed there, and so is every slope. So a sampler on a given grid is a list of moves, each a sum

    x  <-  sum_j (a_j x0_j + b_j eps_j) + c z        over the last beliefs j, with a fresh standard-normal draw z,

after which the network is asked again, at the Level that was reached. One such move a step is a multistep method, two
or three are a Runge-Kutta method. Coefficients are computed once, in float64, for the whole grid; the loop has nothing
left to decide.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..process.path import Level
from ..process.prediction import Prediction
from ..process.scale import Scale, weighted_sum

Draw = Callable[[Tensor], Tensor]
"""The next standard-normal draw of every item, like the given tensor."""


@dataclass(frozen=True)
class Term:
    """a x0 + b eps of the belief `back` evaluations ago (0 is the newest)."""

    back: int
    x0: Scale
    eps: Scale


@dataclass(frozen=True)
class Move:
    """How to reach `to`: terms of beliefs, and what multiplies a fresh draw.

    A `stage` lies between two Levels of the grid: it is evaluated, but is no state of the trajectory.
    """

    to: Level
    terms: tuple[Term, ...]
    noise: Scale = 0.0
    stage: bool = False

    def __call__(self, beliefs: Sequence[Prediction], draw: Draw | None) -> Tensor:
        """The state at `to`, from the beliefs so far (newest last)."""
        parts = [part for term in self.terms for part in beliefs[-1 - term.back].terms(term.x0, term.eps)]
        if isinstance(self.noise, Tensor) or self.noise != 0.0:
            assert draw is not None, "the driver gives draws to a stochastic solver"
            parts.append((self.noise, draw(beliefs[-1].y)))
        return weighted_sum(*parts)

    @property
    def memory(self) -> int:
        """How many beliefs it needs."""
        return 1 + max((term.back for term in self.terms), default=0)


Planner = Callable[[Sequence[Level]], Sequence[Move]]
"""The moves along these Levels, first to last."""


@dataclass(frozen=True)
class Solver:
    """A name, and how it plans; the order of its error on the probability flow; the spacing of a grid that suits it."""

    name: str
    plan: Planner
    order: int = 1
    stochastic: bool = False
    spacing: str = "log_snr"
