"""How near the samples of stochastic solvers come to the data, on the problems of known laws.

    python -m benchmarks stochastic               run what is missing, and print
    python -m benchmarks stochastic --table       print what there is

1,000 samples of each solver with 10, 20 and 50 evaluations of the denoiser, on the variance-
preserving path and on rectified flow, beside 8,000 exact points: sliced Wasserstein distance over
that of 1,000 other exact points (the mean of eight such sets), so that 1 is as near as exact
samples are. The end of every grid is t = 0, without denoising, for all solvers alike. `auto` is the
deterministic default.

A configuration is a solver, or a solver and a spacing of its steps. Figures are geometric means
over the problems of each half (see `benchmarks.problems`) and the paths.
"""

import argparse
import json
import math
from collections.abc import Iterable
from pathlib import Path as File
from typing import cast

import torch
from torch import Tensor

from allegory import Path, grid, sample
from allegory.evaluation import sliced_wasserstein
from allegory.process import Grid
from allegory.sampling import SOLVERS

from .problems import CHOSEN_BY, PATHS, PROBLEMS, Correlated, Data, Exact, Isotropic, data_of
from .rows import Row, Rows

ON_REQUEST = True
ROWS = Rows(File(__file__).parent / "results" / "stochastic.json")
EVALUATIONS, SAMPLES, POINTS, BATCH = (10, 20, 50), 1000, 8000, 250
SOLVER_NAMES = (
    "ddpm",
    "ddim:0.5",
    "euler_maruyama",
    "reverse_diffusion",
    "sde_dpmpp2m",
    "sde_dpmpp3m",
    "sa2",
    "sa3",
    "er_sde2",
    "er_sde3",
    "seeds2",
    "seeds3",
    "churn",
    "restart",
)
CONFIGURATIONS = {
    "auto": ("auto", "angle"),
    **{name: (name, "log_snr") for name in SOLVER_NAMES},
    **{f"{name}, angle": (name, "angle") for name in SOLVER_NAMES},
}


def exact_points(data: Data, count: int, seed: int) -> Tensor:
    """Draws from a mixture.

    Args:
        data: the mixture.
        count: how many.
        seed: of the draws.
    """
    source = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(data.weights, count, replacement=True, generator=source)
    noise = torch.randn(count, data.dims, generator=source, dtype=torch.float64)
    if isinstance(data, Isotropic):
        return data.means[chosen] + data.variances[chosen].sqrt()[:, None] * noise

    correlated = cast(Correlated, data)
    scaled = noise * correlated.variances[chosen].sqrt()
    return correlated.means[chosen] + torch.einsum("bde,be->bd", correlated.axes[chosen], scaled)


def steps_within(path: Path, solver: str, spacing: str, evaluations: int, dims: int) -> Grid:
    """The grid of the most steps that make no more than so many evaluations."""
    for steps in range(evaluations, 0, -1):
        levels = grid(path, steps, spacing, "min", dims)
        plan = SOLVERS.named(solver).plan(levels.levels)
        if sum(getattr(each, "needs_prediction", True) for each in plan) <= evaluations:
            return levels
    raise ValueError(f"{solver}: one step takes more than {evaluations} evaluations")


def drawn(exact: Exact, solver: str, spacing: str, evaluations: int) -> Tensor:
    """The samples of a configuration, (SAMPLES, d).

    Args:
        exact: the denoiser.
        solver: its name.
        spacing: of its steps.
        evaluations: the most that it may make for each sample.
    """
    levels = steps_within(exact.path, solver, spacing, evaluations, exact.data.dims)
    stochastic = SOLVERS.named(solver).stochastic
    parts = []
    for start in range(0, SAMPLES, BATCH):
        source = torch.Generator().manual_seed(start)
        noise = torch.randn(BATCH, exact.data.dims, generator=source, dtype=torch.float64)
        seeds = range(start, start + BATCH) if stochastic else None
        x = exact.path.prior_std * noise
        parts.append(sample(exact, x, levels, solver=solver, seeds=seeds))
    return torch.cat(parts)


def row(problem: str, path: str, names: Iterable[str]) -> Row:
    """The ratios of a problem on a path, by configuration and evaluations."""
    data = data_of(problem)
    points = exact_points(data, POINTS, 1)
    others = (exact_points(data, SAMPLES, seed) for seed in range(2, 10))
    floor = sum(sliced_wasserstein(x, points, seed=0) for x in others) / 8

    ratios: Row = {}
    for name in names:
        for n in EVALUATIONS:
            x = drawn(Exact(data, PATHS[path]), *CONFIGURATIONS[name], n)
            near = sliced_wasserstein(x, points, seed=0) if bool(x.isfinite().all()) else math.inf
            ratios[f"{name}, {n}"] = near / floor
    return ratios


def means(found: dict[str, dict[str, Row]], names: Iterable[str]) -> dict[str, float]:
    """Geometric means over the paths and those of these problems that there are."""
    rows = [row for by_name in found.values() for name, row in by_name.items() if name in names]
    return {
        key: math.exp(sum(math.log(row[key]) for row in rows) / len(rows))
        for key in (rows[0] if rows else {})
    }


def show(found: dict[str, dict[str, Row]]) -> None:
    """A line for each configuration, ordered by the half for choosing."""
    chosen = means(found, CHOSEN_BY)
    reported = means(found, PROBLEMS.keys() - CHOSEN_BY.keys())

    def overall(name: str) -> float:
        return sum(math.log(chosen[f"{name}, {n}"]) for n in EVALUATIONS)

    print("sliced Wasserstein distance over that of exact samples, geometric means")
    print(f"{'':28s}{'chosen by':>24s}{'reported':>24s}")
    print(f"{'evaluations':28s}" + "".join(f"{n:8d}" for n in (*EVALUATIONS, *EVALUATIONS)))
    for name in sorted(CONFIGURATIONS, key=overall):
        cells = [
            half.get(f"{name}, {n}", math.nan) for half in (chosen, reported) for n in EVALUATIONS
        ]
        print(f"{name:28s}" + "".join(f"{cell:8.2f}" for cell in cells))


def main() -> None:
    """Measure what is missing, or print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks stochastic",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--problems", nargs="*", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--paths", nargs="*", choices=PATHS, default=["vp", "flow"])
    parser.add_argument("--table", action="store_true", help="print what there is")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    if not (arguments.table or arguments.json):
        for path in arguments.paths:
            for name in arguments.problems:
                ROWS.fill(path, name, lambda n=name, p=path: row(n, p, CONFIGURATIONS))
    if arguments.json:
        print(json.dumps(ROWS.read()))
        return
    show(ROWS.read())


if __name__ == "__main__":
    main()
