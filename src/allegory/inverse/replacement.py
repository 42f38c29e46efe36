r"""Replacement: the measured part of a state is that of the noised measurement.

After each step of ancestral sampling, at the Level s that it reached, the part of the state that A
sees is replaced by a draw of the noised measurement with fresh noise,

    x_s <- x_s + A^+ (alpha_s y + sigma_s A eps - A x_s)

(Song et al. 2021, section 5 and appendix I.2, for a mask). The new eps is that of the level s:
the measured part has mean alpha_s A^+ y and standard deviation sigma_s at every level. On clean
data A x = y.

The part that is not measured is predicted from a state whose measured part knows nothing of it, so
the two do not fit together, and the result is not a draw of the posterior on any prior but one
whose parts are independent. RePaint lets them mix: the state goes back to the Level before by the
forward process q(x_t | x_s), and the step is taken again (Lugmayr et al. 2022, algorithm 1).

**The measurement is taken to be exact**: its noise is reproduced in the sample, whatever the
measurement says of its standard deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count, option_whole, whole_number
from ..process.instruction import Instruction, Loop, Plan
from ..process.kernel import added_noise_std
from ..process.path import Level
from ..sampling.single_step import ddim
from ..sampling.solver import Update
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, check_batch

_LARGEST = 1000


@dataclass(frozen=True, eq=False)
class ReplaceMeasured:
    """x + A^+ (alpha y + sigma A eps - A x) at a Level, with fresh eps.

    Args:
        to: the Level of the state, before and after.
        measurement: of a linear operator, one per item.
        stage: whether the state after it is intermediate, and not one of the trajectory.
    """

    to: Level
    measurement: Measurement
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state of the loop with the measured part replaced."""
        x = loop.x
        check_batch(self.measurement, x)
        operator = self.measurement.linear

        noised = self.to.alpha * self.measurement.y.to(x)
        if self.to.sigma != 0.0:
            noised = noised + self.to.sigma * operator(loop.draw(x))

        return x + operator.pseudo_inverse(noised - operator(x))


@dataclass(frozen=True)
class Replacement:
    """The plan of replacement, and of RePaint where steps are repeated (see the module).

    It costs `resamplings` evaluations per step and no vector-Jacobian product. It is biased on
    every prior but one whose measured and other parts are independent.

    Args:
        resamplings: how many times each step is taken; 1 is replacement, more is RePaint.
        jump: over how many steps the state goes back at a time.
        eta: of the steps, as in DDIM: 1 is ancestral sampling, 0 the probability flow.

    Raises:
        ValueError: for numbers that do not fit.
    """

    resamplings: int = 1
    jump: int = 1
    eta: float = 1.0

    def __post_init__(self) -> None:
        check_count("resamplings", self.resamplings, 1, _LARGEST)
        check_count("jump", self.jump, 1, _LARGEST)
        ddim(self.eta)

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """The instructions along these Levels, from noise to data.

        Args:
            measurement: of a linear operator, one per item.
            levels: of a grid.

        Raises:
            ValueError: for an operator that is not linear.
        """
        measurement.check(gaussian=False)
        noisy = [level for level in levels if level.sigma != 0.0]
        plan: list[Instruction] = [ReplaceMeasured(levels[0], measurement, stage=True)]

        for first in range(0, len(noisy) - 1, self.jump):
            way = noisy[first : first + self.jump + 1]
            for again in range(self.resamplings):
                last = again == self.resamplings - 1
                plan += self._down(way, measurement, stage=not last)
                if not last:
                    plan.append(back(way[-1], way[0]))

        return [*plan, *self._down(levels[len(noisy) - 1 :], measurement)]

    def _down(
        self, way: Sequence[Level], measurement: Measurement, stage: bool = False
    ) -> list[Instruction]:
        """The steps along these Levels, each with the measured part replaced after it."""
        plan: list[Instruction] = []
        for here, to in pairwise(way):
            plan += [replace(update, stage=True) for update in ddim(self.eta).updates((here, to))]
            plan.append(ReplaceMeasured(to, measurement, stage))
        return plan


def back(here: Level, to: Level) -> Update:
    """A draw of q(x_t | x_s) from one Level `here` to a noisier one, as a stage."""
    noise = added_noise_std(to.sigma, here, to)
    return Update(to, state=to.alpha / here.alpha, noise=(noise,), stage=True)


def repaint(resamplings: float, jump: str = "1") -> Replacement:
    """RePaint with so many `resamplings`, over `jump` steps at a time (Lugmayr et al. 2022)."""
    steps = option_whole("jump", jump, "how many steps the state goes back at a time")
    return Replacement(whole_number("resamplings", resamplings), steps)


POSTERIOR_METHODS.register(
    "replacement",
    Replacement(),
    "the measured part of each state is the noised measurement; biased (Song et al. 2021)",
)
POSTERIOR_METHODS.register(
    "repaint",
    Replacement(10),
    "replacement, each step taken again after forward noise; biased (Lugmayr et al. 2022)",
    make=repaint,
    parameter="resamplings, how often each step is taken, a whole number",
    options={"jump": "how many steps the state goes back at a time, a whole number"},
)
