"""Calibration of posterior samplers: which methods are rejected, on mixtures and on a model.

    python -m benchmarks calibration             mixtures, whose posterior is known
    python -m benchmarks calibration --run RUN   and a trained model of digits, with two tasks

Items are measured at two of five numbers. "exact" draws from the posterior of the mixture in closed
form, given exact items; all other items are those of the model's own chain, with the steps of the
method. Writes benchmarks/results/calibration.json; a part that is not run keeps its figures.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch

from allegory.evaluation.calibration import Calibration, CalibrationConfig, calibrate
from allegory.inverse import Mask, Operator
from allegory.inverse.measurement import Measurement
from allegory.inverse.operators import operator_named
from allegory.process import Mixture
from allegory.process import Path as ForwardProcess
from allegory.process.noise import Noise, Stream
from allegory.recipes import RunFolder
from allegory.sampling import Sampler

ON_REQUEST = True

FILE = Path(__file__).parent / "results" / "calibration.json"
NOISE = 0.5
DIMS, KNOWN = 5, (0, 1)
CLAIMS = {
    "Gaussian": ("exact", "mmps", "daps_tweedie", "tds:16"),
    "isotropic Gaussian": ("exact", "mmps", "pigdm", "daps:1", "tds:16"),
    "mixture": ("exact", "tds:16", "tds:64"),
}
"""The methods that are exact for each prior, with many steps or particles."""
METHODS = {
    "Gaussian": ("exact", "mmps", "daps_tweedie", "tds:16", "pigdm", "dps", "replacement"),
    "isotropic Gaussian": ("exact", "mmps", "pigdm", "daps:1", "tds:16", "dps", "replacement"),
    "mixture": (
        "exact",
        "tds:16",
        "mmps",
        "pigdm",
        "daps_tweedie",
        "repaint:2",
        "ddnm_plus",
        "diffpir",
        "dps",
        "replacement",
    ),
}
STEPS = {"tds": 25}
"""Of the chain and the method by the name of the method; 100 for others."""
TASKS = {
    "downsample:4": (0.2, ("dps", "pigdm", "replacement", "tds:8:twist=isotropic")),
    "lower_half": (
        0.3,
        ("dps", "pigdm", "mmps:0.1:most=10", "replacement", "tds:32:twist=isotropic"),
    ),
}
"""Noise in model units, and the methods, of each task on digits."""
DIGIT_STEPS = 8


def normal(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def priors() -> dict[str, Mixture]:
    """A Gaussian of full covariance, an isotropic one, and four components of full covariance."""
    path = ForwardProcess.vdm(9, -9)
    root = 0.4 * normal(4, DIMS, DIMS, seed=1)
    covariances = root @ root.mT + 0.1 * torch.eye(DIMS, dtype=torch.float64)
    means = 1.5 * normal(4, DIMS, seed=0)
    wide = 4 * covariances[:1]
    return {
        "Gaussian": Mixture(means[:1], None, covariances=wide, path=path),
        "isotropic Gaussian": Mixture(means[:1], 1.0, path=path),
        "mixture": Mixture(means, None, covariances=covariances, path=path),
    }


class ExactPosterior:
    """p(x0 | y) of a mixture given a matrix measurement with Gaussian noise: a mixture again.

    Component k has the covariance S_k = (C_k^-1 + A^T A / std^2)^-1, the mean S_k (C_k^-1 m_k +
    A^T y / std^2), and the weight w_k N(y; A m_k, A C_k A^T + std^2 I).
    """

    def __init__(self, mixture: Mixture, matrix: torch.Tensor, std: float) -> None:
        self.log_weights, self.means = mixture.log_weights, mixture.means
        axes = torch.eye(matrix.shape[1], dtype=matrix.dtype) if mixture.axes is None else None
        basis = mixture.axes if axes is None else axes.expand(len(self.means), -1, -1)
        self.covariances = basis @ torch.diag_embed(mixture.variances) @ basis.mT
        self.matrix, self.std = matrix, std

    def __str__(self) -> str:
        return "exact"

    def __call__(self, measurement: Measurement, seeds: range) -> torch.Tensor:
        """One draw per measurement, of a matrix or of a mask of the same numbers."""
        A, C, y = self.matrix, self.covariances, measurement.y.to(self.matrix)
        y = y @ A.mT if y.shape[1] == A.shape[1] and len(A) < A.shape[1] else y
        seen = A @ C @ A.mT + self.std**2 * torch.eye(len(A), dtype=A.dtype)
        gap = y[:, None] - self.means @ A.mT  # (b, k, m)
        inverse = torch.linalg.inv(seen)
        quadratic = torch.einsum("bkm,kmn,bkn->bk", gap, inverse, gap)
        weights = (self.log_weights - 0.5 * (quadratic + torch.logdet(seen))).softmax(1)

        noise = Noise(seeds, self.means.shape[1:], Stream.DATA)
        chosen = (weights.cumsum(1) < noise.uniform()[:, None]).sum(1).clamp(max=len(C) - 1)
        gain = C @ A.mT @ inverse  # (k, d, m)
        mean = self.means[None] + torch.einsum("kdm,bkm->bkd", gain, gap)
        root = torch.linalg.cholesky(C - gain @ A @ C)
        rows = torch.arange(len(y))
        spread = torch.einsum("bde,be->bd", root[chosen], noise.draw(mean[:, 0]))
        return mean[rows, chosen] + spread


def row(found: Calibration, seconds: float) -> dict[str, Any]:
    """The figures of one calibration."""
    regions = {each.level: each for each in found.regions}
    return {
        "method": found.method,
        "chain": found.chain,
        "items": found.items,
        "draws": found.draws,
        "intervals": [found.intervals.mean, found.intervals.error],
        "regions": [regions[0.9].mean, regions[0.9].error],
        "p": {each.name: each.p for each in found.findings},
        "rejected": found.rejected,
        "rejected by": [each.name for each in found.rejections],
        "verdict": found.verdict,
        "stein": None if found.stein is None else [found.stein.discrepancy, found.stein.p],
        "scale": None if found.stein is None else found.stein.scale.mean,
        "seconds": seconds,
    }


def measured(model: Any, operator: Operator, noise: float, config: CalibrationConfig) -> dict:
    """One calibration; its figures are printed when it ends."""
    start = time.perf_counter()
    found = row(calibrate(model, operator, noise, config), time.perf_counter() - start)
    covered = f"{100 * found['intervals'][0]:5.1f} {100 * found['regions'][0]:5.1f}"
    print(f"  {found['method']:24} {covered}  {found['verdict'][:110]}", flush=True)
    return found


def on_mixtures(items: int) -> dict[str, Any]:
    """Every method on each prior."""
    known = torch.zeros(DIMS, dtype=torch.bool)
    known[list(KNOWN)] = True
    matrix = torch.eye(DIMS, dtype=torch.float64)[list(KNOWN)]

    found = {}
    for name, prior in priors().items():
        print(name)
        exact = ExactPosterior(prior, matrix, NOISE)
        rows = []
        for method in METHODS[name]:
            steps = STEPS.get(method.partition(":")[0], 100)
            config = CalibrationConfig(
                exact if method == "exact" else method,
                items=items,
                sampler=Sampler("ddpm", steps),
                prior=prior.sample if method == "exact" else None,
                batch=5000,
            )
            one = measured(prior, Mask(known), NOISE, config)
            rows.append(one | {"claims to be exact": method in CLAIMS[name]})
        found[name] = rows

    return found


def on_digits(run: Path, items: int) -> dict[str, Any]:
    """Several methods for each task on a model, with few steps."""
    model = RunFolder.open(run).model()
    found = {}
    for task, (noise, methods) in TASKS.items():
        print(task)
        operator = operator_named(task, tuple(model.spec.shape))
        found[task] = [
            measured(
                model,
                operator,
                noise,
                CalibrationConfig(
                    method,
                    items=items,
                    sampler=Sampler("ddpm", DIGIT_STEPS),
                    score=False,
                    task=f"{task}, noise {noise}",
                ),
            )
            for method in methods
        ]

    return found


def main() -> None:
    """Run the mixtures, and the model where one is given; write and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, help="the run folder of a model of digits")
    parser.add_argument("--items", type=int, default=1000, help="items of each mixture")
    parser.add_argument("--run-items", type=int, default=300, help="items of the model")
    parser.add_argument("--only-run", action="store_true", help="leave the mixtures out")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    found: dict[str, Any] = {}
    if not arguments.only_run:
        found["mixtures"] = on_mixtures(arguments.items)
    if arguments.run is not None:
        found["digits"] = on_digits(arguments.run, arguments.run_items)
    before = json.loads(FILE.read_text()) if FILE.exists() else {}
    FILE.write_text(json.dumps(before | found, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(found))


if __name__ == "__main__":
    main()
