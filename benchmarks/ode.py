"""Log-likelihood by the probability-flow ODE: how many evaluations an accuracy costs.

    python -m benchmarks.ode            tables
    python -m benchmarks.ode --json     the same as one JSON object

Two exact Predicts of 64 dimensions, whose log p is known: a mixture of 32 Gaussians (standard
deviations 0.1 to 0.3, means even in [-1, 1]) and the digits data set of scikit-learn, each image
widened by 0.1. Two variance-preserving paths: the linear betas of DDPM, and log-SNR straight from
13.3 to -5. The divergence is exact for all. The error of an item is that of log p at t = 0, in
bits/dim, with the exact density at t = 1 for the prior, so that nothing but the solver errs.

    RK45 in t          scipy's, on (x_t, log p) jointly, item by item (Song et al. 2021)
    RK45 in log-SNR    on (x_t/alpha, log p)
    RK45, one Gaussian on the flow less that of N(0, s^2 I), in the angle atan(sigma/(s alpha))
    allegory           on the flow less that of a local Gaussian, refitted per step; Adams

For each, the loosest of its tolerances at which every item is within 1e-3 bits/dim, and the
evaluations an item there.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from allegory import Empirical, Mixture, Path
from allegory.data import load
from allegory.likelihood import FlowSolver, flow_log_prob
from allegory.process import Betas, ExactDensity, LinearLogSNR

Table = dict[str, dict[str, float]]
DIMS, ITEMS, TARGET = 64, 8, 1e-3
PATHS = {
    "DDPM betas": Path(Betas(torch.linspace(1e-4, 0.02, 1000))),
    "log-SNR 13.3 to -5": Path(LinearLogSNR(13.3, -5)),
}


def mixture(path: Path) -> ExactDensity:
    generator = torch.Generator().manual_seed(0)
    means = torch.rand(32, DIMS, generator=generator, dtype=torch.float64) * 2 - 1
    return Mixture(means, torch.linspace(0.1, 0.3, 32, dtype=torch.float64), path=path)


def digits(path: Path) -> ExactDensity:
    data = load("digits")
    x = torch.cat([part.x for part in (data.train, data.validation, data.test)])
    return Empirical(data.spec.encode(x).flatten(1).double(), path, std=0.1)


ORACLES: dict[str, Callable[[Path], ExactDensity]] = {"mixture": mixture, "digits": digits}


@dataclass(frozen=True)
class Variables:
    """The flow as a generic solver sees it.

    `of` and `back` between u = sigma/alpha and its time, du/dtime, and the Gaussian's s.
    """

    of: Callable[[float], float]
    back: Callable[[float], float]
    slope: Callable[[float], float]
    std: float = 0.0


@dataclass(frozen=True)
class Problem:
    """Items with their log p, and the flow as a plain function."""

    oracle: ExactDensity
    x0: Tensor
    truth: Tensor

    @classmethod
    def of(cls, name: str, path: Path) -> "Problem":
        oracle = ORACLES[name](path)
        x0 = oracle.sample(range(ITEMS))
        (start,) = path.levels([0.0])
        return cls(
            oracle, x0, oracle.log_prob(start.alpha * x0, 0.0) + DIMS * math.log(start.alpha)
        )

    def predict(self, y: Tensor, u: float) -> tuple[Tensor, float]:
        """eps and its divergence by y = x_t/alpha, from the covariance.

        Div eps = (d - tr Cov[x0 | x_t]/u^2)/u.
        """
        path = self.oracle.path
        level = path.at(
            path.schedule.inverse(torch.tensor([-2 * math.log(u)]).double()).clamp(0, 1), like=y
        )
        x_t = level.alpha * y
        spread = float(self.oracle.covariance(x_t, level)[0].trace())
        return self.oracle(x_t, level).eps, (DIMS - spread / u**2) / u

    def errors(self, latent: Tensor, volume: Tensor) -> Tensor:
        """|log p - truth| in bits/dim."""
        return (self.oracle.log_prob(latent, 1.0) + volume - self.truth).abs() / (
            DIMS * math.log(2)
        )


def rk45_in_t(problem: Problem, item: int, tolerance: float) -> tuple[Tensor, float, int]:
    """dx/dt = f x + g^2/(2 sigma) eps and d log p/dt = -div, by scipy."""
    path = problem.oracle.path

    def flow(t: float, state: np.ndarray) -> np.ndarray:
        x = torch.from_numpy(state[None, :-1])
        (level,) = path.levels([t])
        eps, divergence = problem.predict(x / level.alpha, level.sigma / level.alpha)
        push = level.diffusion / (2 * level.sigma)
        growth = level.drift * DIMS + push / level.alpha * divergence
        return np.append((level.drift * x + push * eps).numpy(), growth)

    (start,) = path.levels([0.0])
    begin = np.append((start.alpha * problem.x0[item]).numpy(), 0.0)
    done = solve_ivp(flow, (0.0, 1.0), begin, "RK45", rtol=tolerance, atol=tolerance)
    return (
        torch.from_numpy(done.y[:-1, -1]),
        done.y[-1, -1] + DIMS * math.log(start.alpha),
        done.nfev,
    )


def rk45_in(variables: Variables) -> Callable[[Problem, int, float], tuple[Tensor, float, int]]:
    """The same on z = y/sqrt(s^2 + u^2), or on y for s = 0."""
    s = variables.std

    def radius(u: float) -> float:
        return math.hypot(s, u) if s else 1.0

    def run(problem: Problem, item: int, tolerance: float) -> tuple[Tensor, float, int]:
        first, last = problem.oracle.path.levels([0.0, 1.0])
        u0, u1 = first.sigma / first.alpha, last.sigma / last.alpha

        def flow(time: float, state: np.ndarray) -> np.ndarray:
            u = min(max(variables.back(time), u0), u1)
            y, pull = (
                torch.from_numpy(state[None, :-1]) * radius(u),
                u / radius(u) ** 2 if s else 0.0,
            )
            eps, divergence = problem.predict(y, u)
            slope = variables.slope(u)
            return np.append(
                (slope / radius(u) * (eps - pull * y)).numpy(), slope * (divergence - DIMS * pull)
            )

        begin = np.append(problem.x0[item].numpy() / radius(u0), 0.0)
        ends = (variables.of(u0), variables.of(u1))
        done = solve_ivp(flow, ends, begin, "RK45", rtol=tolerance, atol=tolerance)
        latent = last.alpha * radius(u1) * torch.from_numpy(done.y[:-1, -1])
        growth = done.y[-1, -1] + DIMS * math.log(last.alpha * radius(u1) / radius(u0))
        return latent, growth, done.nfev

    return run


Row = Callable[[Problem, float], dict[str, float]]


def generic(run: Callable[[Problem, int, float], tuple[Tensor, float, int]]) -> Row:
    """A row of figures from a solver of one item."""

    def row(problem: Problem, tolerance: float) -> dict[str, float]:
        latents, volumes, counts = zip(
            *(run(problem, i, tolerance) for i in range(ITEMS)), strict=True
        )
        off = problem.errors(torch.stack(latents), torch.tensor(volumes, dtype=torch.float64))
        return figures(torch.tensor(counts), off)

    return row


def own(problem: Problem, tolerance: float) -> dict[str, float]:
    """A row of figures from the library."""
    found = flow_log_prob(problem.oracle, problem.x0, FlowSolver(tolerance))
    return figures(found.evaluations, problem.errors(found.latent, found.volume[:, 0]))


def figures(counts: Tensor, off: Tensor) -> dict[str, float]:
    return {
        "evaluations": counts.double().mean().item(),
        "mean error": off.mean().item(),
        "largest error": off.max().item(),
    }


def solvers(std: float) -> dict[str, Row]:
    angle = Variables(
        lambda u: math.atan(u / std),
        lambda w: std * math.tan(w),
        lambda u: (std**2 + u * u) / std,
        std,
    )
    log_snr = Variables(math.log, math.exp, lambda u: u)
    return {
        "RK45 in t": generic(rk45_in_t),
        "RK45 in log-SNR": generic(rk45_in(log_snr)),
        "RK45, one Gaussian": generic(rk45_in(angle)),
        "allegory": own,
    }


def compare(problem: Problem) -> tuple[Table, dict[str, float]]:
    """Every solver at falling tolerances; and the evaluations of each at the target accuracy."""
    table, reached = {}, {}
    for name, row in solvers(problem.x0.std().item()).items():
        for tolerance in (1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6):
            found = table[f"{name}, {tolerance:g}"] = row(problem, tolerance)
            if name not in reached and found["largest error"] <= TARGET:
                reached[name] = found["evaluations"]
            if name in reached and tolerance <= 1e-5:
                break
    literature = table["RK45 in t, 1e-05"]["evaluations"]
    reached["ratio"] = reached["RK45 in t"] / reached["allegory"]
    reached["RK45 at 1e-5: ratio"] = literature / reached["allegory"]
    return table, reached


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Evaluations of the probability-flow ODE at an accuracy."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables: dict[str, Table] = {}
    summary: Table = {}
    for path_name, path in PATHS.items():
        for name in ORACLES:
            tables[f"{name}, {path_name}"], summary[f"{name}, {path_name}"] = compare(
                Problem.of(name, path)
            )
    if arguments.json:
        print(json.dumps({"evaluations at 1e-3 bits/dim": summary, **tables}))
        return
    for title, table in tables.items():
        print(
            f"\n{title}\n{'solver, tolerance':28s}{'evaluations':>14s}"
            f"{'mean error':>14s}{'largest error':>16s}"
        )
        for name, row in table.items():
            print(
                f"{name:28s}{row['evaluations']:14.1f}"
                f"{row['mean error']:14.1e}{row['largest error']:16.1e}"
            )
    print(
        f"\nEvaluations per item for every item within {TARGET:g} bits/dim, "
        "and RK45 in t over allegory"
    )
    print(f"{'':30s}" + "".join(f"{name:>20s}" for name in next(iter(summary.values()))))
    for title, row in summary.items():
        print(f"{title:30s}" + "".join(f"{value:20.1f}" for value in row.values()))


if __name__ == "__main__":
    main()
