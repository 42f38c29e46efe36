r"""Predictor and corrector: at each Level a Markov kernel, then a solver's step (Song et al. 2021, algorithm 1).

With an exact score the kernel leaves p(x_t) as it is; with errors made so far it draws the state back towards it. Any
solver is a predictor, any kernel of `langevin.py` a corrector. The kernel works at every Level of the grid, from the first
to the last, but never on clean data; each of its steps costs one evaluation, HMC's as many as it has leapfrogs.

**Annealed Langevin dynamics** is the pair whose predictor does nothing: it holds x/alpha, which at alpha = 1 is x itself,
while the noise level falls (Song & Ermon 2019, algorithm 1). All that happens is Langevin's doing. The last step is the
posterior mean, the denoising that Jolicoeur-Martineau et al. 2021 and NCSNv2 end with; a grid with end="min" leaves it out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

from ..lookup import Registry
from ..process.instruction import Instruction, Plan
from ..process.path import Level
from .mcmc.langevin import BatchLangevin, Hamiltonian, Langevin, mala
from .mcmc.target import Kernel
from .single_step import plain
from .solver import Correction, Solver, Update

SNR = 0.16
"""r of Song et al. 2021 on CIFAR-10, for VE and VP alike."""


def predictor_corrector(predictor: Solver, corrector: Kernel, name: str | None = None) -> Solver:
    """Each step of the predictor after the corrector at its Level; a grid that ends with noise ends with the corrector."""

    def plan(levels: Sequence[Level]) -> Plan:
        moves: list[Instruction] = []
        here, begins = levels[0], True
        for move in predictor.plan(levels):
            if begins and here.sigma != 0.0:
                moves.append(Correction(here, corrector))
            moves.append(move)
            here, begins = move.to, not move.stage
        if here.sigma != 0.0:
            last = replace(moves[-1], stage=True)  # type: ignore[type-var]  # an instruction is a dataclass
            moves[-1:] = [last, Correction(here, corrector, stage=False)]
        return moves

    name = name or f"{predictor.name}+{corrector}"
    return replace(predictor, name=name, plan=plan, stochastic=True, order=1, end="denoise")


def _hold(levels: Sequence[Level]) -> list[Update]:
    """x/alpha stays; on clean data the posterior mean."""
    return [
        plain(to) if to.sigma == 0.0 else Update(to, state=to.alpha / here.alpha)
        for here, to in pairwise(levels)
    ]


def annealed(kernel: Kernel, name: str = "annealed") -> Solver:
    """A kernel at every Level from noise to data, and nothing else (Song & Ermon 2019, algorithm 1).

    `annealed(Langevin(step, count))` is NCSN's and NCSNv2's sampler; see `langevin.py` for step in terms of their epsilon.
    Its grid needs a finite sigma/alpha at t = 1: ValueError for a path that ends in pure noise.
    """
    whole = predictor_corrector(Solver("hold", _hold), kernel, name)

    def plan(levels: Sequence[Level]) -> Plan:
        if levels[0].alpha == 0.0 or math.isinf(levels[0].log_snr):
            raise ValueError(
                f"solver {name!r}: this path ends in pure noise, sigma/alpha = inf at t = 1, where no Langevin step has a "
                "size; give a schedule with a finite end, e.g. Geometric(0.01, 50)"
            )
        return whole.plan(levels)

    return replace(whole, plan=plan)


CORRECTORS: Registry[Kernel] = Registry("corrector")
"""The kernels that can follow a predictor, by name; a step may follow a colon, as in "langevin:0.2"."""

CORRECTORS.register(
    "langevin",
    Langevin(2 * SNR * SNR),
    "Langevin dynamics, one evaluation (Song et al. 2021, algorithm 4)",
    make=lambda snr: Langevin(2 * snr * abs(snr)),
    parameter="snr, a finite number above 0",
)
CORRECTORS.register(
    "langevin_batch",
    BatchLangevin(SNR),
    "the same with norms over the batch, as published; items depend on their batch",
    make=BatchLangevin,
    parameter="snr, a finite number above 0",
)
CORRECTORS.register(
    "mala",
    mala(2 * SNR * SNR),
    "Metropolis-adjusted Langevin dynamics, needs an energy (Roberts & Tweedie 1996)",
    make=lambda snr: mala(2 * snr * abs(snr)),
    parameter="snr, a finite number above 0",
)
CORRECTORS.register(
    "hmc",
    Hamiltonian(1.0),
    "Hamiltonian Monte Carlo with five leapfrog steps, needs an energy (Neal 2011)",
    make=Hamiltonian,
    parameter="step, a finite number above 0",
)

NCSN = replace(annealed(Langevin(0.1, 100), "ncsn"), end="min")
"""100 steps per level with epsilon = 2e-5 at sigma_L = 0.01, and no denoising (Song & Ermon 2019, section 5)."""

NCSN2 = annealed(Langevin(0.062, 5), "ncsn2")
"""5 steps per level with epsilon = 6.2e-6 at sigma_L = 0.01, and denoising (Song & Ermon 2020, CIFAR-10);
`mcmc.ncsn.step_size` finds the step for other levels."""
