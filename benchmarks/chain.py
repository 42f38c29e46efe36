"""The chain of bounds on cases whose log-density is known.

VAE, hierarchy, diffusion in T steps and in continuous time.

    python -m benchmarks.chain            a table
    python -m benchmarks.chain --json     one JSON object

Two figures are a difference in nats and its standard error, where the name does not say otherwise.
Everything is exact but the draws.
"""

import json
import math
import sys

import torch

from allegory import Mixture, Path
from allegory.data import DataSpec
from allegory.likelihood import Continuous, GaussianObservation, variational_bound
from allegory.models import DiffusionChain, Hierarchy, generate_top_down, unroll
from allegory.models.as_hierarchy import step_levels
from allegory.process import Gaussian, LinearLogSNR, estimate
from allegory.process.noise import Noise, Stream

Figures = dict[str, list[float]]
"""Name -> [difference, standard error], in nats."""


def linear_gaussian() -> Figures:
    """z ~ N(0, I), x = W z + b + noise, W with orthogonal columns: a diagonal posterior."""
    torch.manual_seed(0)
    W = torch.linalg.qr(torch.randn(4, 2).double())[0] * torch.tensor([2.0, 0.7])
    b, width, x = torch.randn(4).double(), 0.3, torch.randn(1000, 4).double()
    precision = W.square().sum(0) / width**2 + 1
    exact = torch.distributions.MultivariateNormal(
        b, W @ W.T + width**2 * torch.eye(4).double()
    ).log_prob(x)

    def difference(shift: float, stretch: float) -> torch.Tensor:
        """log w - log p(x), item by item, for a posterior that is moved and widened."""
        model = Hierarchy(
            DataSpec((4,), low=-1, high=1),
            [
                lambda x: Gaussian(
                    (x - b) @ W / width**2 / precision + shift, stretch * precision.rsqrt()
                )
            ],
            [],
            lambda z: GaussianObservation(Gaussian(z @ W.T + b, width)),
            top=(2,),
        )
        noise = Noise(range(len(x)), (4,), Stream.BOUND)
        return torch.cat([model.infer(x, noise.draw).log_weight - exact for _ in range(200)])

    kl = 0.5 * (1.5**2 - 1 - 2 * math.log(1.5) + 0.1**2 * precision).sum().item()
    wrong = estimate(-difference(0.1, 1.5))
    return {
        "VAE, exact posterior: largest |ELBO - log p|": [
            difference(0.0, 1.0).abs().max().item(),
            0.0,
        ],
        "VAE, wrong posterior: gap less the closed-form KL": [wrong.mean - kl, wrong.error],
    }


def forms(count: int = 20_000, steps: int = 8) -> Figures:
    """The generic bound of a hierarchy against eq. 57 and 58, on the same mixture.

    The variances of a term of each.
    """
    path = Path(LinearLogSNR(4, -4))
    oracle = Mixture(
        torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double(),
        0.4,
        path=path,
        weights=torch.tensor([0.7, 0.3]),
    )
    x, levels = oracle.sample(range(count)), step_levels(path, steps)
    here, there = (Noise(range(i * count, (i + 1) * count), (2,), Stream.BOUND) for i in (1, 2))
    chain = unroll(oracle, DataSpec((2,), -9, 9), Continuous(), steps).infer(x, here.draw)
    latents = DiffusionChain(oracle, Continuous(), levels)
    matching = generate_top_down(latents, x, there.draw)
    gap, sampled = (
        estimate(chain.bound.total - other) for other in (matching.bound.total, matching.log_weight)
    )
    variances = [
        (latent.kl.var() / latent.log_ratio.var()).item() for latent in matching.latents[:-1]
    ]
    return {
        f"hierarchy of {steps + 1} latents less eq. 58": [gap.mean, gap.error],
        f"hierarchy of {steps + 1} latents less eq. 57": [sampled.mean, sampled.error],
        "variance of a term of 58 over that of 57: smallest, largest": [
            min(variances),
            max(variances),
        ],
        "eq. 44 less eq. 45, same draws": [
            *vars(estimate(chain.bound.total - chain.consistency.total)).values()
        ],
    }


def exact_mixture(count: int = 4000, draws: int = 128) -> Figures:
    """The VDM's bounds on an exact mixture and the known log p, in nats per item."""
    path = Path(LinearLogSNR(12, -12))
    oracle = Mixture(
        torch.tensor([[1.0, 0.0], [-1.0, 0.5]]).double(),
        0.4,
        path=path,
        weights=torch.tensor([0.7, 0.3]),
    )
    x = oracle.sample(range(count))
    truth, found = oracle.log_prob(x), {}
    for name, steps in (
        ("T = 10", 10),
        ("T = 100", 100),
        ("T = 1000", 1000),
        ("continuous time", None),
    ):
        bound = variational_bound(
            oracle, x, Continuous(), seeds=range(1, 1 + len(x)), draws=draws, steps=steps
        )
        gap = estimate(bound.total - truth)
        found[f"VLB less log p, {name}"] = [gap.mean, gap.error]
        if (
            steps == 1000
        ):  # each step of d log-SNR costs d/2 (D - 1), D the diffusion term (see tests/likelihood)
            cost = 0.5 * 24 / steps * (found_diffusion(oracle, path, x) - 1)
            found["the same with the cost of 1000 steps, to first order, put back"] = [
                gap.mean + cost,
                gap.error,
            ]
    return found


def found_diffusion(oracle: Mixture, path: Path, x: torch.Tensor) -> float:
    """The diffusion term of the bound in continuous time."""
    return (
        variational_bound(oracle, x, Continuous(), seeds=range(9, 9 + len(x)), draws=64)
        .diffusion.mean()
        .item()
    )


def measure() -> Figures:
    """All figures, by name."""
    return {**linear_gaussian(), **forms(), **exact_mixture()}


def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    figures = measure()
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    for name, (value, error) in figures.items():
        print(f"{name:<66}{value:>12.3g}{error:>12.2g}")


if __name__ == "__main__":
    main()
