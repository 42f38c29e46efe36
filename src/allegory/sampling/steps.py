r"""Steps: what is believed now, and the Level to reach, give the state there.

A step is told both Levels and never guesses a "previous timestep". It is written on the pair (x0, eps) of the
Prediction, so it serves every row and every split. All of them land on clean data (sigma = 0) by the posterior mean,
which is the limit of each.

    ddim      x_s = alpha_s x0 + sqrt(sigma_s^2 - c^2) eps + c z,   c = eta sigma_s sqrt(1 - SNR_t/SNR_s)
    ddpm      a draw of q(x_s | x_t, x0): ddim with eta = 1
    euler     x_s = x_t + (s - t) dx/dt
    heun      trapezoidal rule in u = sigma/alpha, where d(x/alpha)/du = eps
    dpmpp2m   exponential integrator in half log-SNR with x0 extrapolated from the last two beliefs
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor

from ..names import pick
from ..process.kernel import fresh_std
from ..process.path import Level
from ..process.prediction import Prediction
from ..process.scale import sqrt, weighted_sum

Ask = Callable[[Tensor, Level], Prediction]
"""A Predict whose condition is already bound."""

Draw = Callable[[Tensor], Tensor]
"""The next standard-normal draw of every item, like the given tensor."""


@runtime_checkable
class Step(Protocol):
    """The state at `to`, from what is believed `now`, what was believed before (newest last), and fresh noise."""

    def __call__(self, now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
        """x at `to`, like x_t."""
        ...


@dataclass(frozen=True)
class Solver:
    """A step, with what the driver has to keep for it."""

    name: str
    step: Step
    history: int = 0
    stochastic: bool = False


def _ddim(now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
    return now.at(to)


def _noisy_ddim(eta: float) -> Step:
    def step(now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
        if to.sigma == 0.0:
            return now.at(to)
        assert draw is not None, "the driver gives draws to a stochastic solver"
        fresh = eta * fresh_std(to.sigma, to, now.level)
        kept = sqrt(to.sigma * to.sigma - fresh * fresh)
        return weighted_sum(*now.terms(to.alpha, kept), (fresh, draw(now.y)))

    return step


def ddim(eta: float = 0.0) -> Solver:
    """DDIM: eta = 0 steps along the probability-flow ODE, eta = 1 is DDPM (Song et al. 2020, eq. 12, 16)."""
    if not 0 <= eta <= 1:
        raise ValueError(f"eta={eta}; give a number from 0 (deterministic) to 1 (DDPM)")
    if eta == 0:
        return Solver("ddim", _ddim)
    return Solver(f"ddim:{eta:g}", _noisy_ddim(eta), stochastic=True)


def _euler(now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
    if to.sigma == 0.0:
        return now.at(to)
    stride = to.t - now.level.t
    return now.combine(now.level.alpha + stride * now.level.dalpha, now.level.sigma + stride * now.level.dsigma)


def _heun(now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
    ahead = now.at(to)
    if to.sigma == 0.0 or now.level.alpha == 0.0:  # u is infinite at one end and eps unknown at the other
        return ahead
    half = (to.sigma - to.alpha * now.level.sigma / now.level.alpha) / 2  # alpha_s (u_s - u_t) / 2
    there = ask(ahead, to)
    return weighted_sum(*now.terms(to.alpha, to.sigma - half), *there.terms(0.0, half))


def _dpmpp2m(now: Prediction, to: Level, past: Sequence[Prediction], ask: Ask, draw: Draw | None) -> Tensor:
    if not past or to.sigma == 0.0:
        return now.at(to)
    before = past[-1]
    share = (to.log_snr - now.level.log_snr) / (now.level.log_snr - before.level.log_snr)  # this step over the last
    gain = to.alpha - now.level.alpha * to.sigma / now.level.sigma  # alpha_s (1 - e^-h)
    slope = gain * share / 2
    return weighted_sum(*now.terms(to.alpha + slope, to.sigma), *before.terms(-slope, 0.0))


SOLVERS: dict[str, Solver] = {
    "ddim": ddim(),
    "ddpm": Solver("ddpm", _noisy_ddim(1.0), stochastic=True),
    "euler": Solver("euler", _euler),
    "heun": Solver("heun", _heun),
    "dpmpp2m": Solver("dpmpp2m", _dpmpp2m, history=1),
}
"""ddpm: Ho et al. 2020, eq. 7 (variance beta-tilde). heun: Karras et al. 2022, algorithm 1 (two evaluations a step).
dpmpp2m: Lu et al. 2022, DPM-Solver++(2M)."""


def solver_named(name: str | Solver) -> Solver:
    """The solver of this name; "ddim:0.5" is DDIM with eta = 0.5. ValueError with the closest name otherwise."""
    if isinstance(name, Solver):
        return name
    if name.startswith("ddim:"):
        try:
            return ddim(float(name.removeprefix("ddim:")))
        except ValueError as error:
            raise ValueError(f"solver {name!r}: after 'ddim:' comes eta, a number from 0 to 1") from error
    return pick("solver", name, SOLVERS)
