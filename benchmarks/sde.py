"""Every SDE, predictor and corrector on a mixture that is known exactly.

1,000 steps, then weights, moments and distance.

    python -m benchmarks.sde                      tables
    python -m benchmarks.sde --json               one JSON object
    python -m benchmarks.sde --scaling vp --steps 4000 --only ddim+langevin

Three Gaussians in two dimensions, weights .5, .3 and .2, centred, of unit variance; log-SNR
straight from 10 to -10; the start is prior_std times noise, float32. The modes' weights, means and
covariances are those of the points whose likeliest component they are, as are the exact values, by
quadrature: 18 figures, each as z = (found - exact)/standard error, of which 0.27 % lie beyond 3 by
chance. Distance: sliced Wasserstein of chunks of 50 samples from chunks of 50 exact points, over
that of exact chunks from exact chunks, less 1.
"""

import argparse
import json
import math
import time
import zlib

import torch
from torch import Tensor

from allegory import Path, Prediction, grid
from allegory.evaluation import sliced_wasserstein
from allegory.process import SCALINGS, Level, LinearLogSNR
from allegory.sampling import Hamiltonian, Langevin, Solver, annealed, mala, solver_named
from allegory.sampling.driver import SamplingLoop

STEPS, ENDS, CHUNK, BATCH = 1000, (10.0, -10.0), 50, 12_500
ITEMS = {"": 25_000, "langevin": 6_000, "langevin_batch": 4_000, "mala": 4_000, "hmc": 2_500}
"""Samples by corrector, times the number that is asked for."""
POOLED = ("SW ratio - 1", "variance 0", "variance 1", "variance 2")
PREDICTORS = ("reverse_diffusion", "reverse_diffusion:0", "ddpm", "euler_maruyama", "ddim")
ALONE: dict[str, Solver] = {
    "langevin .0512 x 1": annealed(Langevin(0.0512)),
    "langevin .0512 x 10": annealed(Langevin(0.0512, 10)),
    "mala .5 x 3": annealed(mala(0.5, 3)),
    "hmc 1 x 5": annealed(Hamiltonian(1.0, 5)),
}
"""Annealed chains, by step and count; a Hamiltonian one by step and leapfrogs."""
ALONE_ITEMS = dict.fromkeys(ALONE, 2_000) | {"langevin .0512 x 1": 10_000, "hmc 1 x 5": 4_000}
WEIGHTS, STDS = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.3, 0.2, 0.15])
MEANS = torch.tensor([[-0.9, -0.3], [0.9, -0.6], [0.9, 1.65]])
Row = dict[str, float]


class Blend:
    """A mixture of w_k N(m_k, s_k^2 I) as a Predict with an energy.

    Fastest on states whose memory is (d, b).
    """

    def __init__(self, means: Tensor, stds: Tensor, weights: Tensor) -> None:
        self.means, self.variances, self.weights = means, stds.square(), weights
        self._last: tuple[Tensor | None, Level | None, Tensor] = (None, None, means)

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        """The exact prediction."""
        assert isinstance(t, Level), "the driver asks by Level"
        pull = self.joint(x_t, t).softmax(0) / self._wide(t)
        eps = t.sigma * (x_t * pull.sum(0)[:, None] - t.alpha * (self.means.to(x_t).T @ pull).T)
        return Prediction.solve("eps", eps, x_t, t)

    def energy(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Tensor:
        """-log p(x_t)."""
        assert isinstance(t, Level), "the driver asks by Level"
        return -self.joint(x_t, t).logsumexp(0)

    def joint(self, x: Tensor, level: Level) -> Tensor:
        """log p(k, x), shape (k, b), up to a constant.

        The last is kept, for the energy where a prediction was just formed.
        """
        if self._last[0] is not x or self._last[1] is not level:
            wide, means = self._wide(level), level.alpha * self.means.to(x)
            constant = self.weights.to(x).log()[:, None] - wide.log() * (x.shape[1] / 2)
            constant = constant - means.square().sum(1, keepdim=True) / (2 * wide)
            linear = torch.addmm(constant, means / wide, x.T)
            self._last = (x, level, linear.addcdiv_(x.T.square().sum(0), wide, value=-0.5))
        return self._last[2]

    def _wide(self, level: Level) -> Tensor:
        return (level.alpha**2 * self.variances.double() + level.sigma**2).float()[:, None]


def exact(count: int, seed: int) -> Tensor:
    """Independent draws of the data."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.multinomial(WEIGHTS, count, replacement=True, generator=generator)
    return MEANS[chosen] + STDS[chosen, None] * torch.randn(count, 2, generator=generator)


def modes(x: Tensor) -> Tensor:
    """The likeliest component of each point."""
    distance = (x[:, None] - MEANS.to(x)).square().sum(2) / (2 * STDS.to(x).square())
    return (WEIGHTS.to(x).log() - 2 * STDS.to(x).log() - distance).argmax(1)


def moments(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """18 figures of weighted points, and the variance of each for one draw.

    Of a mode's points, over its weight.
    """
    chosen, total, found, spread = modes(x), weights.sum(), [], []
    for k in range(len(MEANS)):
        y, w = x[chosen == k], weights[chosen == k]
        share, w = w.sum() / total, (w / w.sum())[:, None]
        mean = (w * y).sum(0)
        gap = y - mean
        products = torch.stack([gap[:, 0] ** 2, gap[:, 1] ** 2, gap[:, 0] * gap[:, 1]], 1)
        covariance = (w * products).sum(0)
        found += [share[None], mean, covariance]
        variances = [covariance[:2], (w * products.square()).sum(0) - covariance.square()]
        spread += [(share * (1 - share))[None], *(variance / share for variance in variances)]
    return torch.cat(found), torch.cat(spread)


def quadrature(cells: int = 1200, half: float = 3.2) -> tuple[Tensor, Tensor]:
    """The exact figures and their variances, by the midpoint rule."""
    axis = (torch.arange(cells, dtype=torch.float64) + 0.5) * 2 * half / cells - half
    x = torch.cartesian_prod(axis, axis)
    distance = (x[:, None] - MEANS).square().sum(2) / (2 * STDS.square())
    return moments(x, ((-distance).exp() * WEIGHTS / STDS.square()).sum(1))


def draw(solver: Solver, path: Path, items: int, steps: int, seed: int) -> Tensor:
    """That many samples, with torch's own seeded generator for the noise.

    One seed an item is too slow here.
    """
    torch.manual_seed(seed)
    levels = grid(path, steps, solver.spacing, solver.end).levels
    moves, predict, parts = solver.plan(levels), Blend(MEANS, STDS, WEIGHTS), []
    for start in range(0, items, BATCH):
        x = path.prior_std * torch.randn(2, min(BATCH, items - start)).T
        loop = SamplingLoop(predict, x, levels[0], draw=torch.randn_like)
        parts.append(loop.run(moves))
    return torch.cat(parts).contiguous()


def distances(x: Tensor, partners: int, seed: int) -> Tensor:
    """The distance of each chunk of x from exact chunks, its mean over some of them."""
    chunks = x.split(CHUNK)
    others = exact(len(chunks) * partners * CHUNK, seed).split(CHUNK)
    return torch.tensor(
        [
            sum(
                sliced_wasserstein(a, b, seed=i, projections=16) for b in others[i :: len(chunks)]
            )
            / partners
            for i, a in enumerate(chunks)
        ]
    )  # fmt: skip


def estimate(x: Tensor) -> tuple[float, float]:
    """Mean and its standard error."""
    return x.mean().item(), x.std().item() / math.sqrt(len(x))


def judge(x: Tensor, truth: tuple[Tensor, Tensor], floor: tuple[float, float], seed: int) -> Row:
    """The z of 18 figures, and the distance over that of exact points."""
    found, _ = moments(x.double(), torch.ones(len(x), dtype=torch.float64))
    z = (found - truth[0]) / (truth[1] / len(x)).sqrt()
    mean, error = estimate(distances(x, 2, seed))
    share = (found[[3, 4, 9, 10, 15, 16]] / truth[0][[3, 4, 9, 10, 15, 16]]).reshape(3, 2).mean(1)
    return {
        "items": len(x),
        "largest |z|": z.abs().max().item(),
        "beyond 3": int((z.abs() > 3).sum()),
        "largest |z| of weights": z[::6].abs().max().item(),
        "SW ratio - 1": mean / floor[0] - 1,
        "error": math.hypot(error / mean, floor[1] / floor[0]) * mean / floor[0],
        **{f"variance {k}": value for k, value in enumerate(share.tolist())},
    }


def combinations(only: list[str] | None) -> dict[str, tuple[Solver, int]]:
    """Name -> solver, samples: all, or the named ones with 25,000."""
    if only:
        return {name: (ALONE.get(name) or solver_named(name), ITEMS[""]) for name in only}
    pairs = [(predictor, corrector) for corrector in ITEMS for predictor in PREDICTORS] + [
        ("euler", "")
    ]
    every = {p + (f"+{c}" if c else ""): ITEMS[c] for p, c in pairs}
    named = {name: (solver_named(name), items) for name, items in every.items()}
    return named | {name: (ALONE[name], items) for name, items in ALONE_ITEMS.items()}


def measure(
    scaling: str, arguments: argparse.Namespace, truth: tuple[Tensor, Tensor]
) -> dict[str, Row]:
    """Every combination on one scaling."""
    rows, path = {}, Path(LinearLogSNR(*ENDS), scaling)
    floor = estimate(distances(exact(100_000, seed=2), 2, seed=3))
    for name, (solver, items) in combinations(arguments.only).items():
        began = time.process_time()
        seed = zlib.crc32(
            f"{scaling} {name}".encode()
        )  # of its own, or rows would share their luck
        x = draw(solver, path, arguments.times * items, arguments.steps, seed)
        rows[name] = judge(x, truth, floor, seed + 1)
        rows[name]["seconds"] = time.process_time() - began
    return rows


def summary(rows: list[tuple[str, Row]]) -> dict[str, Row]:
    """By corrector, over all splits and predictors.

    Figures beyond 3, the distance, the variances of the modes.
    """
    table = {}
    for corrector in ITEMS:
        mine = [
            row for name, row in rows if name.partition("+")[2] == corrector and name not in ALONE
        ]
        if len(mine) > 1:
            columns = {key: estimate(torch.tensor([row[key] for row in mine])) for key in POOLED}
            parts = {
                f"{key}{part}": v[i]
                for key, v in columns.items()
                for i, part in enumerate(("", " error"))
            }
            table[corrector or "none"] = {
                "figures": 18 * len(mine),
                "beyond 3": sum(r["beyond 3"] for r in mine),
                **parts,
            }
    return table


def show(found: dict[str, dict[str, Row]]) -> None:
    """Print."""
    for scaling, rows in found.items():
        print(
            f"\n{scaling:36s}{'items':>7s}{'|z|':>7s}{'of weights':>11s}{'beyond 3':>9s}"
            f"{'SW - 1':>9s}{'+-':>7s}  variances"
        )
        for name, row in rows.items():
            cells = (
                f"{row['items']:7.0f}{row['largest |z|']:7.1f}{row['largest |z| of weights']:11.1f}"
            )
            cells += f"{row['beyond 3']:9.0f}{row['SW ratio - 1']:9.3f}{row['error']:7.3f}  "
            print(f"{name:36s}{cells}" + " ".join(f"{row[f'variance {k}']:.3f}" for k in range(3)))
    print("\nBy corrector, over splits and predictors (variances of the modes over the exact ones)")
    for name, row in summary([pair for rows in found.values() for pair in rows.items()]).items():
        cells = " ".join(f"{key} {row[key]:.4f} +- {row[f'{key} error']:.4f};" for key in POOLED)
        print(f"{name:16s}{row['beyond 3']:4.0f} of {row['figures']:4.0f} beyond 3; {cells}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="Every SDE, predictor and corrector on a known mixture."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--scaling",
        nargs="+",
        default=list(SCALINGS),
        choices=list(SCALINGS),
        help="all by default",
    )
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the grid")
    parser.add_argument("--times", type=int, default=1, help="so many times the samples")
    parser.add_argument(
        "--only", nargs="+", metavar="SOLVER", help="these solvers, with 25,000 samples each"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    truth = quadrature()
    found = {scaling: measure(scaling, arguments, truth) for scaling in arguments.scaling}
    if arguments.json:
        print(json.dumps(found))
    else:
        show(found)


if __name__ == "__main__":
    main()
