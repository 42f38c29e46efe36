r"""Predictor-corrector sampling: a Markov kernel at each Level (Song et al. 2021, algorithm 1).

With an exact score the kernel leaves p(x_t) as it is; a state that carries errors is moved back
towards it. Any solver is a predictor, any kernel of `mcmc` a corrector. The kernel is applied at
every Level of the grid, from the first to the last, but never on clean data; each of its steps
costs one evaluation, HMC's as many as it has leapfrogs.

**Annealed Langevin dynamics** is an identity predictor (x/alpha is kept constant between Levels)
with a Langevin corrector at each Level (Song & Ermon 2019, algorithm 1). The last step is the
posterior mean, the denoising with which Jolicoeur-Martineau et al. 2021 and NCSNv2 end; a grid with
end="min" leaves it out.
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
from .single_step import ddim_update
from .solver import Correction, Solver, Update

_SNR = 0.16
"""r of Song et al. 2021 on CIFAR-10, for VE and VP alike."""


def predictor_corrector(predictor: Solver, corrector: Kernel, name: str | None = None) -> Solver:
    """A solver with a Markov kernel before each step, and at the end of a noisy grid.

    Args:
        predictor: any solver.
        corrector: any kernel.
        name: of the result; None for "predictor+corrector".

    Returns:
        A stochastic solver whose grid ends with "denoise" if nothing else is chosen.
    """

    def plan(levels: Sequence[Level]) -> Plan:
        instructions: list[Instruction] = []
        here = levels[0]
        step_begins = True
        for instruction in predictor.plan(levels):
            if step_begins and here.sigma != 0.0:
                instructions.append(Correction(here, corrector))
            instructions.append(instruction)
            here = instruction.to
            step_begins = not instruction.stage

        if here.sigma != 0.0:
            last = replace(instructions[-1], stage=True)  # type: ignore[type-var]  # a dataclass
            instructions[-1:] = [last, Correction(here, corrector, stage=False)]
        return instructions

    name = name or f"{predictor.name}+{corrector}"
    return replace(predictor, name=name, plan=plan, stochastic=True, order=1, end="denoise")


def _constant_signal(levels: Sequence[Level]) -> list[Update]:
    """Identity predictor: x/alpha is constant; on clean data, the posterior mean."""
    return [
        ddim_update(to) if to.sigma == 0.0 else Update(to, state=to.alpha / here.alpha)
        for here, to in pairwise(levels)
    ]


def annealed(kernel: Kernel, name: str = "annealed") -> Solver:
    """Annealed Langevin dynamics: a kernel at every Level (Song & Ermon 2019, algorithm 1).

    `annealed(Langevin(step, count))` is the sampler of NCSN and NCSNv2; see `mcmc.langevin` for the
    step in terms of their epsilon.

    Args:
        kernel: any kernel.
        name: of the solver.

    Returns:
        A solver whose plan raises ValueError on a path with sigma/alpha = inf at t = 1.
    """
    unchecked = predictor_corrector(Solver("constant_signal", _constant_signal), kernel, name)

    def plan(levels: Sequence[Level]) -> Plan:
        if levels[0].alpha == 0.0 or math.isinf(levels[0].log_snr):
            raise ValueError(
                f"solver {name!r}: this path ends in pure noise, sigma/alpha = inf at t = 1, "
                "where no Langevin step has a size; give a schedule with a finite end, "
                "e.g. Geometric(0.01, 50)"
            )
        return unchecked.plan(levels)

    return replace(unchecked, plan=plan)


CORRECTORS: Registry[Kernel] = Registry("corrector")
"""The kernels that can follow a predictor, by name; a number may follow, as in "langevin:0.2"."""

CORRECTORS.register(
    "langevin",
    Langevin(2 * _SNR * _SNR),
    "Langevin dynamics, one evaluation (Song et al. 2021, algorithm 4)",
    make=lambda snr: Langevin(2 * snr * abs(snr)),
    parameter="snr, a finite number above 0",
)
CORRECTORS.register(
    "langevin_batch",
    BatchLangevin(_SNR),
    "the same with norms over the batch, as published; items depend on their batch",
    make=BatchLangevin,
    parameter="snr, a finite number above 0",
)
CORRECTORS.register(
    "mala",
    mala(2 * _SNR * _SNR),
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
"""100 steps per level, epsilon = 2e-5 at sigma_L = 0.01, no denoising (Song & Ermon 2019)."""

NCSN2 = annealed(Langevin(0.062, 5), "ncsn2")
"""5 steps per level, epsilon = 6.2e-6 at sigma_L = 0.01, denoising (Song & Ermon 2020, CIFAR-10);
`mcmc.ncsn.step_size` finds the step for other levels."""
