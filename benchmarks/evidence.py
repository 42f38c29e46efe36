"""The evidence that sequential Monte Carlo estimates, against p(y) of a mixture.

    python -m benchmarks.evidence                 a table, and benchmarks/results/evidence.json
    python -m benchmarks.evidence --runs 20000    with fewer runs; nothing is written
    python -m benchmarks.evidence --json          the figures as one JSON object

Twisted sequential Monte Carlo with the exact kernels of a mixture has E[Z-hat] = p(y) for any
number of particles and steps. Here there are 3 steps, and 2 or 8 particles. `line` is a mixture of
two normals on the line, `plane` one of two full covariances on the plane of which one linear
combination is measured. The mean of Z-hat / p(y) is 1; without the weight of the last step it is
not.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path as File

import torch
from torch import Tensor

from allegory.inverse import Matrix, Measurement, TwistedSMC
from allegory.inverse.methods import ParticleProblem
from allegory.inverse.particle_filter import ParticleFilter
from allegory.process import Cosine, Mixture, Path, grid

PATH = Path(Cosine(math.inf, -math.inf), "vp")
RUNS, CHUNK, STEPS, STD_Y = 400_000, 25_000, 3, 0.5
RESULTS = File(__file__).parent / "results" / "evidence.json"


def line() -> tuple[Mixture, Measurement, float]:
    """Two normals on the line, measured with noise; with log p(y)."""
    means = torch.tensor([[-1.0], [1.0]], dtype=torch.float64)
    oracle = Mixture(means, 0.3, path=PATH, weights=torch.tensor([0.7, 0.3]))
    return _measured(oracle, torch.ones(1, 1, dtype=torch.float64), 0.4)


def plane() -> tuple[Mixture, Measurement, float]:
    """Two full covariances on the plane, one row measured with noise; with log p(y)."""
    root = torch.tensor([[[0.5, 0.0], [0.3, 0.2]], [[0.3, 0.0], [-0.2, 0.6]]], dtype=torch.float64)
    means = torch.tensor([[1.0, 0.5], [-0.8, -0.3]], dtype=torch.float64)
    weights = torch.tensor([0.4, 0.6])
    oracle = Mixture(means, None, path=PATH, covariances=root @ root.mT, weights=weights)
    return _measured(oracle, torch.tensor([[0.8, -0.5]], dtype=torch.float64), 0.3)


def _measured(oracle: Mixture, row: Tensor, y: float) -> tuple[Mixture, Measurement, float]:
    """The mixture, the measurement y of one row, and log p(y)."""
    if oracle.axes is None:
        covariances = torch.diag_embed(oracle.variances)
    else:
        covariances = oracle.axes @ torch.diag_embed(oracle.variances) @ oracle.axes.mT
    stds = (row @ covariances @ row.mT)[:, 0, 0].add(STD_Y**2).sqrt()
    densities = torch.distributions.Normal((oracle.means @ row.mT)[:, 0], stds)
    log_evidence = (oracle.log_weights + densities.log_prob(torch.tensor(y))).logsumexp(0)

    measurement = Measurement(Matrix(row), torch.tensor([[y]], dtype=torch.float64), STD_Y)
    return oracle, measurement, float(log_evidence)


def without_last_weight(run: Callable[[], Tensor]) -> Tensor:
    """What `run` returns when the last step of a particle filter leaves the weights as they are."""
    step = ParticleFilter._step

    def unweighted(self, state, to, last):  # type: ignore[no-untyped-def]
        if not last:
            return step(self, state, to, last)
        weights, sizes = self._log_weights.clone(), list(self._sizes)
        moved = step(self, state, to, last)
        self._log_weights, self._sizes = weights, sizes
        return moved

    ParticleFilter._step = unweighted  # type: ignore[method-assign]
    try:
        return run()
    finally:
        ParticleFilter._step = step  # type: ignore[method-assign]


def ratios(problem: tuple[Mixture, Measurement, float], particles: int, runs: int) -> Tensor:
    """Z-hat / p(y) of so many runs, run i from seed i."""
    oracle, measurement, log_evidence = problem
    levels, method = grid(PATH, STEPS).levels, TwistedSMC(particles, "tweedie", "exact")

    found = []
    for start in range(0, runs, CHUNK):
        seeds = range(start, min(start + CHUNK, runs))
        rows = measurement.repeat(len(seeds))
        result = method.run(ParticleProblem(oracle, rows, levels, seeds))
        found.append((result.log_evidence - log_evidence).exp())
    return torch.cat(found)


def row(name: str, particles: int, runs: int) -> dict[str, float | str]:
    """The figures of one problem and number of particles."""
    problem = {"line": line, "plane": plane}[name]()
    begin = time.perf_counter()
    whole = ratios(problem, particles, runs)
    seconds = time.perf_counter() - begin

    partial = without_last_weight(lambda: ratios(problem, particles, runs))
    error, partial_error = whole.std() / runs**0.5, partial.std() / runs**0.5
    return {
        "problem": name,
        "particles": particles,
        "steps": STEPS,
        "runs": runs,
        "p(y)": math.exp(problem[2]),
        "mean of Z/p(y)": float(whole.mean()),
        "standard error": float(error),
        "standard errors from 1": float((whole.mean() - 1) / error),
        "without the last weight": float(partial.mean()),
        "its standard errors from 1": float((partial.mean() - 1) / partial_error),
        "seconds": seconds,
    }


def main() -> None:
    """Measure, print, and write the results of a whole run."""
    parser = argparse.ArgumentParser(description="E[Z-hat] = p(y).")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--runs", type=int, default=RUNS, help="independent runs of each row")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    with torch.no_grad():
        cases = [("line", 2), ("line", 8), ("plane", 2), ("plane", 8)]
        found = [row(name, particles, arguments.runs * 2 // particles) for name, particles in cases]
    if arguments.runs == RUNS:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")

    if arguments.json:
        print(json.dumps(found))
        return
    for each in found:
        print(
            f"{each['problem']:6s} K {each['particles']}  Z/p(y) {each['mean of Z/p(y)']:.4f} "
            f"± {each['standard error']:.4f} ({each['standard errors from 1']:+.1f})   "
            f"without the last weight {each['without the last weight']:.4f} "
            f"({each['its standard errors from 1']:+.1f})   {each['seconds']:.0f} s"
        )


if __name__ == "__main__":
    main()
