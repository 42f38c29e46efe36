"""How near the end of the probability flow a sampler comes, by evaluations.

    python -m benchmarks.solvers            tables
    python -m benchmarks.solvers --json     one JSON object

Three exact Predicts: eight modes of standard deviation 0.05 on a circle, 32 Gaussians in 64
dimensions (0.1 to 0.3), and the digits data set of scikit-learn, each image widened by 0.1; on the
path of DDPM's linear betas, from t = 1 to t = 0. The reference is `vab4c` with 4,000 steps. RMSE
over 128 items and all numbers, and the median of the items' own RMSE: an item that ends in another
mode adds 0.1 to the first and nothing to the second.
"""

import argparse
import json
import math

import torch
from torch import Tensor

from allegory import Path, Prediction, grid, sample
from allegory.process import Betas, Level
from allegory.sampling import SOLVERS

from .ode import digits, mixture

ITEMS, EVALUATIONS, FINE = 128, (5, 8, 10, 15, 20, 30, 50), 4000
PATH = Path(Betas(torch.linspace(1e-4, 0.02, 1000)))
TARGETS = (
    "auto",
    "vab4",
    "vab3c",
    "dpmpp2m",
    "dpmpp3m",
    "unipc3",
    "x0ab3c",
    "epsab3",
    "heun",
    "ddim",
)
Table = dict[str, dict[int, tuple[float, float]]]


class Isotropic:
    """A mixture of N(m_k, s_k^2 I) as a Predict, by one matrix product: fast."""

    path = PATH

    def __init__(self, means: Tensor, stds: Tensor) -> None:
        self.means, self.variances = means, stds.square()

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        level = t if isinstance(t, Level) else PATH.at(t)
        alpha, sigma = level.alpha, level.sigma
        wide = torch.as_tensor(alpha * alpha * self.variances + sigma * sigma)
        size = x_t.square().sum(1, keepdim=True) + alpha * alpha * self.means.square().sum(1)
        distance = size - 2 * alpha * x_t @ self.means.T
        share = (-distance / (2 * wide) - x_t.shape[1] / 2 * wide.log()).softmax(1)
        pull = share / wide
        eps = sigma * (pull.sum(1, keepdim=True) * x_t - alpha * pull @ self.means)
        return Prediction.of((x_t - sigma * eps) / alpha, eps, level)


def problems() -> dict[str, Isotropic]:
    turns = torch.arange(8, dtype=torch.float64) * math.pi / 4
    wide, data = mixture(PATH), digits(PATH)
    return {
        "circle": Isotropic(
            torch.stack([turns.cos(), turns.sin()], 1), torch.full((8,), 0.05).double()
        ),
        "64-D": Isotropic(wide.means, torch.linspace(0.1, 0.3, 32, dtype=torch.float64)),
        "digits": Isotropic(data.means, torch.full((len(data.means),), 0.1).double()),
    }


def errors(predict: Isotropic, x: Tensor, truth: Tensor) -> Table:
    """RMSE and median RMSE per item, by solver and number of evaluations."""
    table: Table = {}
    for name in TARGETS:
        solver, cost = SOLVERS[name], 2 if name == "heun" else 1
        table[name] = {}
        for evaluations in EVALUATIONS:
            if evaluations % cost == 0:
                levels = grid(PATH, evaluations // cost, solver.spacing, "min")
                wrong = (sample(predict, x, levels, solver=solver) - truth).square().mean(1).sqrt()
                table[name][evaluations] = (
                    wrong.square().mean().sqrt().item(),
                    wrong.median().item(),
                )
    return table


def compare(name: str) -> tuple[Table, float]:
    """The table of a problem, and how far its reference moves when its steps are halved."""
    predict = problems()[name]
    x = torch.randn(
        ITEMS,
        predict.means.shape[1],
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    coarse, truth = (
        sample(predict, x, grid(PATH, n, "angle", "min"), solver="vab4c") for n in (FINE // 2, FINE)
    )
    return errors(predict, x, truth), (coarse - truth).abs().max().item()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Samplers against the exact flow, by evaluations.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    found = {name: compare(name) for name in problems()}
    if arguments.json:
        print(json.dumps({name: table for name, (table, _) in found.items()}))
        return
    for name, (table, moved) in found.items():
        print(
            f"\n{name}: RMSE, median of items "
            f"(the reference moves by {moved:.0e} when its steps are halved)"
        )
        print(f"{'evaluations':12s}" + "".join(f"{n:>18d}" for n in EVALUATIONS))
        for solver, row in table.items():
            cells = (
                f"{row[n][0]:9.1e} {row[n][1]:8.1e}" if n in row else " " * 18 for n in EVALUATIONS
            )
            print(f"{solver:12s}" + "".join(cells))


if __name__ == "__main__":
    main()
