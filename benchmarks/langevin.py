"""Markov chains on densities that are known.

Song & Ermon's two modes, exact moments at any step, products of mixtures.

    python -m benchmarks.langevin            tables
    python -m benchmarks.langevin --json     one JSON object

Two modes: 0.8 N((5, 5), I) + 0.2 N((-5, -5), I). Langevin dynamics does not find their weights;
annealed Langevin dynamics does (Song & Ermon 2019, section 3.2.2, figure 3): 10 and 30 levels of
100 steps, largest noise and step by `sampling.ncsn`.

Moments: unadjusted Langevin, MALA and HMC at steps from short to those that are mostly refused;
z = (found - exact) over the standard error between 2,000 independent chains of 400 steps from exact
draws, each one number, its mean over the last 200. A kernel that leaves the density invariant has
z of order 1; an unadjusted one converges to another density.

Product: two mixtures in two dimensions, whose product at the last level, sigma = 0.15, is a mixture
in closed form; total variation between 50,000 samples and the exact probabilities of the 6 x 6
squares with side 0.5 around it.
"""

import argparse
import json
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count

import torch
from torch import Tensor

from allegory import Path, Prediction, grid
from allegory.guidance import Product
from allegory.process import Geometric, Level
from allegory.sampling import (
    SOLVERS,
    EnergyDensity,
    Hamiltonian,
    Langevin,
    NoisedDensity,
    Solver,
    annealed,
    mala,
    run_chain,
)
from allegory.sampling import predictor_corrector as corrected
from allegory.sampling.driver import SamplingLoop
from allegory.sampling.mcmc.ncsn import largest_distance, step_size
from allegory.sampling.mcmc.target import Kernel

from .sde import Blend

Table = dict[str, dict[str, float]]


def walk(
    solver: Solver, predict: Blend | Product, levels: tuple[Level, ...], x: Tensor
) -> tuple[Tensor, int]:
    """The last state, with torch's own seeded generator for the noise, and the evaluations."""
    asked = count()

    def counted(x_t: Tensor, t: Level, condition: Tensor | None = None) -> Prediction:
        next(asked)
        return predict(x_t, t)

    counted.energy = predict.energy
    loop = SamplingLoop(counted, x, levels[0], draw=torch.randn_like)
    return loop.run(solver.plan(levels)), next(asked)


def two_modes(number: int, items: int = 5000, repeats: int = 100) -> Table:
    """The share of samples in the mode of weight 0.8, after so many levels of 100 steps."""
    torch.manual_seed(0)
    centres, weights = torch.tensor([[5.0, 5.0], [-5.0, -5.0]]), torch.tensor([0.8, 0.2])
    predict = Blend(centres, torch.ones(2), weights)
    data = centres[torch.multinomial(weights, 2000, replacement=True)] + torch.randn(2000, 2)
    low, high = 0.1, largest_distance(data)
    path = Path(Geometric(low, high), "ve")
    levels = grid(path, number, "log_snr", "min").levels
    step = step_size(repeats, levels[0].sigma / levels[1].sigma)
    uniform, noise = 16 * torch.rand(2, items).T - 8, path.prior_std * torch.randn(2, items).T
    solvers = {
        "annealed Langevin": annealed(Langevin(step, repeats)),
        "annealed MALA": annealed(mala(step, repeats)),
        "ddim and Langevin": corrected(SOLVERS["ddim"], Langevin(step, repeats)),
        "reverse diffusion and Langevin": corrected(
            SOLVERS["reverse_diffusion"], Langevin(step, repeats)
        ),
    }
    rows = {name: walk(s, predict, levels, noise) for name, s in solvers.items()}
    plain = Langevin(
        0.05 / low**2, number * repeats
    )  # c = 0.05: the epsilon of 0.1 of their figure
    for name, start in {"Langevin from uniform": uniform, "Langevin from noise": noise}.items():
        rows[name] = (
            plain(NoisedDensity(predict, levels[-1]), start, torch.randn_like).x,
            number * repeats,
        )
    table = {}
    for name, (x, asked) in rows.items():
        weight = (x.sum(1) > 0).double().mean().item()
        error = math.sqrt(weight * (1 - weight) / items)
        table[name] = {"weight": weight, "error": error, "evaluations": asked, "step": step}
    return table


@dataclass(frozen=True)
class Target:
    """An energy; a line on which moments 1, 2 and 4 are known; steps.

    Unadjusted Langevin's moment 2 by c; exact draws.
    """

    energy: Callable[[Tensor], Tensor]
    line: tuple[float, ...]
    moments: tuple[float, float, float]
    steps: tuple[float, ...]
    leaps: tuple[float, ...]
    unadjusted: Callable[[float], float]
    draws: Callable[[int], Tensor]


def inflated(variances: tuple[float, ...], shares: tuple[float, ...], c: float) -> float:
    """Second moment on a line of Langevin's own density for a Gaussian.

    S^2/(1 - c/(2 s^2)) on each axis.
    """
    if c >= 2 * min(variances):
        return math.inf
    return sum(share * v / (1 - c / (2 * v)) for v, share in zip(variances, shares, strict=True))


def correlated() -> Target:
    """Variances 1, correlation 0.9.

    1.9 and 0.1 along the diagonals, on which (1, 0.5) has 1.125 and 0.125.
    """
    precision = torch.tensor([[1.0, -0.9], [-0.9, 1.0]]) / 0.19
    axes, shares = (1.9, 0.1), (1.125, 0.125)
    second = inflated(axes, shares, 0.0)
    return Target(
        lambda x: ((x @ precision) * x).sum(1) / 2, (1.0, 0.5), (0.0, second, 3 * second**2),
        (0.03, 0.1, 0.18, 0.3), (0.1, 0.3, 0.5, 0.63), lambda c: inflated(axes, shares, c),
        lambda n: torch.randn(n, 2) @ torch.linalg.cholesky(precision.inverse()).T,
    )  # fmt: skip


def bimodal(p: float = 0.3, m: float = 1.5, s: float = 0.6) -> Target:
    """p N(-m, s^2) + (1 - p) N(m, s^2) on a line."""
    fourth = m**4 + 6 * m**2 * s**2 + 3 * s**4
    logs, means = torch.tensor([p, 1 - p]).log(), torch.tensor([-m, m])
    return Target(
        lambda x: -(logs - (x - means).square() / (2 * s * s)).logsumexp(1), (1.0,),
        ((1 - 2 * p) * m, m * m + s * s, fourth), (0.1, 0.3, 0.6, 1.5), (0.3, 0.6, 1.0, 1.25),
        lambda c: 0.0 if c < 2 * s * s else math.inf,
        lambda n: means[torch.multinomial(logs.exp(), n, replacement=True), None]
        + s * torch.randn(n, 1),
    )  # fmt: skip


def moments(
    kernel: Kernel, target: Target, chains: int = 2000, steps: int = 400
) -> dict[str, float]:
    """The share accepted, the second moment over the exact one, and the z of moments 1, 2 and 4."""
    torch.manual_seed(0)
    line, density = torch.tensor(target.line), EnergyDensity(target.energy)
    x, sums, accepted = target.draws(chains), torch.zeros(chains, 3).double(), 0.0
    for i in range(steps):
        moved = kernel(density, x, torch.randn_like)
        x = moved.x
        accepted += 0.0 if moved.accepted is None else moved.accepted.mean().item() / steps
        if i >= steps // 2:
            y = (x @ line).double()
            sums += torch.stack([y, y**2, y**4], 1) / (steps - steps // 2)
    z = (sums.mean(0) - torch.tensor(target.moments)) / (sums.std(0) / math.sqrt(chains))
    ratio, error = (
        sums.mean(0)[1] / target.moments[1],
        sums.std(0)[1] / math.sqrt(chains) / target.moments[1],
    )
    scores = {f"z of x^{k}": v for k, v in zip((1, 2, 4), z.tolist(), strict=True)}
    return {"accepted": accepted, "x^2 / exact": ratio.item(), "error": error.item(), **scores}


def exactness() -> dict[str, Table]:
    """Every target, kernel and step."""
    normal = Target(
        lambda x: x.square().sum(1) / 2, (1.0,), (0.0, 1.0, 3.0), (0.1, 0.5, 1.0, 1.8, 3.5),
        (0.3, 1.0, 1.6, 2.02),
        lambda c: inflated((1.0,), (1.0,), c), lambda n: torch.randn(n, 1),
    )  # fmt: skip
    found: dict[str, Table] = {}
    for name, target in {
        "N(0, 1)": normal,
        "correlation .9": correlated(),
        "two modes": bimodal(),
    }.items():
        rows: Table = {}
        for c in target.steps:
            predicted = target.unadjusted(c)
            if predicted != math.inf:
                rows[f"Langevin {c:g}"] = moments(Langevin(c), target)
                rows[f"Langevin {c:g}"] |= (
                    {"predicted": predicted / target.moments[1]} if predicted else {}
                )
            rows[f"MALA {c:g}"] = moments(mala(c), target)
        rows |= {f"HMC {h:g} x 5": moments(Hamiltonian(h, 5), target) for h in target.leaps}
        found[f"moments, {name}"] = rows
    return found


def pair() -> tuple[Blend, Blend]:
    """Two mixtures of two modes each, of which one pair overlaps well and the other badly."""
    stds, weights, left = (
        torch.full((2,), 0.4),
        torch.full((2,), 0.5),
        torch.tensor([[-0.7, 0.0], [0.7, 0.0]]),
    )
    return Blend(left, stds, weights), Blend(torch.tensor([[-0.7, 0.9], [0.7, 0.3]]), stds, weights)


def multiplied(a: Blend, b: Blend, level: Level) -> tuple[Tensor, Tensor, Tensor]:
    """Weights, means and stds of the normalised product of two noised mixtures, per pair."""
    v, w = (
        level.alpha**2 * torch.stack([a.variances, b.variances]).double() + level.sigma**2
    ).split(1)
    v, m, n = v.T, level.alpha * a.means[:, None].double(), level.alpha * b.means[None].double()
    logits = (
        (a.weights[:, None] * b.weights).log()
        - (m - n).square().sum(2) / (2 * (v + w))
        - (v + w).log()
    )
    means = (m * w[..., None] + n * v[..., None]) / (v + w)[..., None]
    return logits.flatten().softmax(0), means.flatten(0, 1), (v * w / (v + w)).flatten().sqrt()


def variation(
    x: Tensor, product: tuple[Tensor, Tensor, Tensor], side: float = 0.5, cells: int = 6
) -> float:
    """Total variation between the histogram of samples and the exact probabilities.

    The cells are squares around the exact mean, and all that is outside.
    """
    weights, means, stds = product
    corner = weights @ means - side * cells / 2
    edges = corner[:, None] + side * torch.arange(cells + 1).double()
    rows, columns = (
        torch.special.ndtr((edges[i] - means[:, i : i + 1]) / stds[:, None]).diff() for i in (0, 1)
    )
    inside = torch.einsum("k,ki,kj->ij", weights, rows, columns).flatten()
    exact = torch.cat([inside, 1 - inside.sum()[None]])
    cell = ((x - corner) / side).floor().long()
    number = torch.where(
        ((cell >= 0) & (cell < cells)).all(1), cell[:, 0] * cells + cell[:, 1], cells * cells
    )
    return (torch.bincount(number, minlength=len(exact)) / len(x) - exact).abs().sum().item() / 2


def composed(items: int = 50_000) -> Table:
    """Total variation of samplers of a product, beside that of exact draws."""
    predict, hmc, ddim = Product(pair()), Hamiltonian(1.0, 5), SOLVERS["ddim"]
    rows: dict[str, tuple[Solver, int, float]] = {
        "summed scores, ddim": (ddim, 1000, 0.15),
        "summed scores, ddpm": (SOLVERS["ddpm"], 1000, 0.15),
        "annealed HMC": (annealed(hmc), 100, 0.15),
        "annealed HMC, twice the levels": (annealed(hmc), 200, 0.15),
        "annealed HMC, to sigma = .01": (annealed(hmc), 200, 0.01),
        "annealed HMC at hmc's step of .16": (annealed(Hamiltonian(0.16, 5)), 200, 0.15),
        "ddim and HMC": (corrected(ddim, hmc), 100, 0.15),
        "ddim and MALA .5 x 5": (corrected(ddim, mala(0.5, 5)), 100, 0.15),
        "ddim and Langevin .05 x 5": (corrected(ddim, Langevin(0.05, 5)), 200, 0.15),
    }
    table: Table = {}
    for name, (solver, steps, low) in rows.items():
        torch.manual_seed(0)
        path = Path(Geometric(low, 8.0), "ve")
        levels = grid(path, steps, "log_snr", "min").levels
        weights, means, stds = product = multiplied(*pair(), levels[-1])
        x, asked = walk(solver, predict, levels, path.prior_std * torch.randn(2, items).T)
        chosen = torch.multinomial(weights, items, replacement=True)
        exact = means[chosen] + stds[chosen, None] * torch.randn(items, 2, dtype=torch.float64)
        table[name] = {
            "TV": variation(x, product),
            "of exact draws": variation(exact, product),
            "evaluations": asked,
        }
    return table


def show(found: dict[str, Table]) -> None:
    """Print."""
    for title, table in found.items():
        columns = list(dict.fromkeys(key for row in table.values() for key in row))
        print(f"\n{title}\n{'':36s}" + "".join(f"{key:>16s}" for key in columns))
        for name, row in table.items():
            print(
                f"{name:36s}"
                + "".join(f"{row[key]:16.4f}" if key in row else " " * 16 for key in columns)
            )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Markov chains on densities that are known.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {f"two modes, {number} levels": two_modes(number) for number in (10, 30)}
    found |= exactness() | {"product": composed()}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run_chain(
            mala(1e4),
            EnergyDensity(lambda x: x.square().sum(1) / 2),
            torch.randn(8, 1),
            50,
            seeds=range(8),
        )
    refused = [f"{each.category.__name__}: {each.message}" for each in said]
    if arguments.json:
        print(json.dumps({**found, "a step of 10,000": refused}))
        return
    show(found)
    print(f"\nMALA with a step of 10,000: {refused}")


if __name__ == "__main__":
    main()
