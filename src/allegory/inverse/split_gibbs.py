r"""Split Gibbs sampling with a diffusion prior (Vono et al. 2019; Wu et al. 2024, PnP-DM).

With a second copy z of the item, at distance rho = sigma/alpha,

    p(x, z | y)  ~  p(x) N(z; x, rho^2 I) p(y | z)

has two conditionals, which are drawn in turn:

    z | x, y     N(x, rho^2 I) times the likelihood: for a linear operator and Gaussian noise in
                 closed form (`linear_gaussian`), else by a Markov chain
    x | z        the posterior of a Gaussian denoising problem: the reverse process from the state
                 alpha z at the Level of rho, down to clean data

rho falls along the Levels of the grid. At a Level the law of z is p(z | y) of the noised prior
p * N(0, rho^2 I), and that of x the posterior under the noise V + rho^2 A A^T: both are the
posterior as rho -> 0. With exact draws of x | z the chain leaves p(x, z | y) of each rho as it is;
it is exact in the limit of slow annealing, or of many rounds at a Level.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from ..lookup import check_count, whole_number
from ..process.instruction import Instruction, Loop, Plan
from ..process.path import Level
from ..sampling.registry import solver_named
from ..sampling.solver import Solver
from .conditional_draws import LikelihoodDraw
from .linear_gaussian import conditional_draw
from .measurement import Measurement
from .methods import POSTERIOR_METHODS, check_batch


@dataclass(frozen=True, eq=False)
class LikelihoodStep:
    """alpha z at a Level, z drawn from N(x0, (sigma/alpha)^2 I) times p(y | z).

    Args:
        to: the Level of the new state; that of the present one is clean.
        measurement: one per item.
        draw: of z.
        stage: whether the state after it is intermediate.
    """

    to: Level
    measurement: Measurement
    draw: LikelihoodDraw
    stage: bool = False

    def apply(self, loop: Loop) -> Float[Tensor, "b *shape"]:
        """The state at `to`."""
        check_batch(self.measurement, loop.x)
        alpha, sigma = float(self.to.alpha), float(self.to.sigma)
        return alpha * self.draw(self.measurement, loop.x, sigma / alpha, loop.draw)


@dataclass(frozen=True)
class SplitGibbs:
    """The plan of split Gibbs sampling (see the module).

    Per step it takes `rounds` times `inner` evaluations, and no vector-Jacobian product.

    Args:
        inner: steps of the reverse process from a Level to clean data; near the end no more than
            there are.
        solver: of the reverse process, a stochastic one.
        rounds: draws of x and z at each Level.
        draw: of z given a mean, rho and the measurement; `conditional_draw` is exact, for linear
            operators and Gaussian noise.

    Raises:
        ValueError: for numbers below 1, and a solver that draws no noise.
    """

    inner: int = 10
    solver: str | Solver = "ddpm"
    rounds: int = 1
    draw: LikelihoodDraw = conditional_draw

    def __post_init__(self) -> None:
        check_count("inner", self.inner, 1, 100_000)
        check_count("rounds", self.rounds, 1, 100_000)
        solver = solver_named(self.solver)
        if not solver.stochastic:
            raise ValueError(
                f"solver {solver.name!r}: draws no noise, and x given z is a draw; use ddpm or "
                "sde_dpmpp2m"
            )

    def plan(self, measurement: Measurement, levels: Sequence[Level]) -> Plan:
        """The instructions along these Levels, from noise to data.

        Args:
            measurement: one per item.
            levels: of a grid.
        """
        noisy = [level for level in levels if level.sigma != 0.0]
        clean = levels[0].path.clean
        plan: list[Instruction] = []

        for k, here in enumerate(noisy):
            for again in range(self.rounds):
                plan += self._reverse([*noisy[k:], clean])
                if again + 1 < self.rounds and here.alpha != 0.0:
                    plan.append(LikelihoodStep(here, measurement, self.draw, stage=True))
            if k + 1 < len(noisy):
                plan.append(LikelihoodStep(noisy[k + 1], measurement, self.draw))

        if len(noisy) < len(levels):
            plan[-1] = replace(plan[-1], stage=False)  # type: ignore[type-var]  # a dataclass
            return plan
        return plan[: 1 + max(i for i, each in enumerate(plan) if not each.stage)]

    def _reverse(self, way: Sequence[Level]) -> list[Instruction]:
        """x given z: the reverse process by at most `inner` steps, as stages."""
        steps = min(self.inner, len(way) - 1)
        places = [round(i * (len(way) - 1) / steps) for i in range(steps + 1)]
        plan = solver_named(self.solver).plan([way[place] for place in places])
        return [replace(each, stage=True) for each in plan]  # type: ignore[type-var]  # dataclasses


POSTERIOR_METHODS.register(
    "split_gibbs",
    SplitGibbs(),
    "Gibbs sampling of an item and a noisy copy; exact as annealing is slow (Wu et al. 2024)",
    make=lambda inner: SplitGibbs(whole_number("inner", inner)),
    parameter="steps of the reverse process per round, a whole number",
)
