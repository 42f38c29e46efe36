"""The best sampler of other libraries beside `auto`, by evaluations of the network.

    python -m benchmarks.peers                 tables, on both paths
    python -m benchmarks.peers --path vp       one path: vp (DDPM's linear betas) or ve
    python -m benchmarks.peers --json          one JSON object

The three exact problems of `benchmarks.solvers`, from the same starting points to the same end, t =
0: RMSE over items and numbers, and the median of the items' own RMSE. Every configuration of
`peer_samplers` runs at every number of evaluations, and the best of them is taken for each cell,
once by RMSE and once by median: chosen with hindsight, which nobody has. Against it stands one
configuration, `auto`, which was itself chosen on these problems, on the vp path. A ratio below 1 is
in favour of `auto`. The last lines give geometric means of the ratios: to the best of all, to the
best of each library, and to the one configuration that does best when it must serve in every cell,
as `auto` must.

A sampler that takes two evaluations a step makes as many steps as it can afford. Evaluations are
counted, not assumed. The two paths take about ten minutes on one core.
"""

import argparse
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import torch
from torch import Tensor

from allegory import Path, Prediction, grid, sample
from allegory.process import Geometric, Level
from allegory.sampling import SOLVERS

from . import solvers
from .peer_samplers import Flow, Sampler, samplers

PATHS = {"vp": solvers.PATH, "ve": Path(Geometric(0.002, 80.0), scaling="ve")}
EVALUATIONS = (4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 50, 100)
SUMMARY = (5, 8, 10, 15, 20, 30, 50)
MEASURES = ("RMSE", "median")
LIBRARIES = {"diffusers": "diffusers", "azula": "azula", "k_diffusion": "k-diffusion"}
INSTALL = (
    "pip install -c constraints.txt -e '.[peers]' && "
    "pip install --no-deps -c constraints.txt k-diffusion"
)


class Exact:
    """A mixture of N(m_k, s_k^2 I) as a Predict, and as a denoiser of y = x_t/alpha.

    The denoiser is at noise u = sigma/alpha, on any path.

    Its two large matrices are kept: to make them anew each time would cost as much as to fill them.
    """

    def __init__(self, means: Tensor, variances: Tensor, path: Path) -> None:
        self.means, self.variances, self.path, self.asked = means, variances, path, 0
        self.room = means.new_empty(2, solvers.ITEMS, len(means))

    def denoise(self, y: Tensor, u: float) -> Tensor:
        """E[x0 | y] = sum_k r_k (u^2 m_k + s_k^2 y)/w_k with w_k = s_k^2 + u^2.

        r_k are the responsibilities of N(y; m_k, w_k I).
        """
        self.asked += 1
        wide = (self.variances + u * u)[:, None]
        square = y.square().sum(1, keepdim=True)
        rows = torch.cat([self.means, wide.new_full(wide.shape, -0.5)], 1) / wide
        level = -self.means.square().sum(1) / (2 * wide[:, 0]) - y.shape[1] / 2 * wide[:, 0].log()
        logits = torch.addmm(level, torch.cat([y, square], 1), rows.T, out=self.room[0])
        share = torch.softmax(logits, 1, out=self.room[1])
        mean = share @ (torch.cat([u * u * self.means, self.variances[:, None]], 1) / wide)
        return mean[:, :-1] + mean[:, -1:] * y

    def __call__(
        self, x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        level = self.path.at(t)
        alpha, sigma = float(level.alpha), float(level.sigma)
        x0 = self.denoise(x_t / alpha, sigma / alpha)
        return Prediction.of(x0, (x_t - alpha * x0) / sigma, level)


@dataclass(frozen=True, eq=False)
class Trial:
    """A problem, its starting points, the end of its flow, and the error of that end."""

    exact: Exact
    x: Tensor
    truth: Tensor
    moved: float

    @classmethod
    def of(cls, exact: Exact) -> "Trial":
        generator = torch.Generator().manual_seed(1)
        noise = torch.randn(
            solvers.ITEMS, exact.means.shape[1], generator=generator, dtype=torch.float64
        )
        x = exact.path.prior_std * noise
        coarse, truth = (
            sample(exact, x, grid(exact.path, n, "angle", "min"), solver="vab4c")
            for n in (solvers.FINE // 2, solvers.FINE)
        )
        return cls(exact, x, truth, (coarse - truth).abs().max().item())

    def errors(self, x: Tensor) -> tuple[float, float]:
        """RMSE and the items' median RMSE."""
        wrong = (x - self.truth).square().mean(1).sqrt()
        return wrong.square().mean().sqrt().item(), wrong.median().item()

    def auto(self, evaluations: int) -> tuple[float, float]:
        """The errors of our one configuration."""
        levels = grid(self.exact.path, evaluations, SOLVERS["auto"].spacing, "min")
        return self.errors(sample(self.exact, self.x, levels, solver="auto"))

    def peer(self, sampler: Sampler, evaluations: int) -> tuple[float, float]:
        """The errors of a peer's configuration, infinite for no result.

        It must not have asked more often.
        """
        first, last = (float(level.alpha) for level in self.exact.path.levels([1.0, 0.0]))
        self.exact.asked = 0
        y = sampler(Flow(self.exact.denoise, self.exact.path, self.x / first), evaluations)
        assert self.exact.asked <= evaluations, f"{self.exact.asked} evaluations for {evaluations}"
        found = (math.inf, math.inf) if y is None else self.errors(last * y)
        return found if all(map(math.isfinite, found)) else (math.inf, math.inf)


Table = dict[int, dict[str, tuple[float, float]]]
"""By evaluations and configuration: the errors, in the order of MEASURES; ours under "auto"."""


def compare(exact: Exact, peers: dict[str, Sampler]) -> tuple[Table, float]:
    """The errors of every configuration, and the change of the reference at half the step."""
    trial = Trial.of(exact)
    table = {
        n: {name: trial.peer(peer, n) for name, peer in peers.items()} | {"auto": trial.auto(n)}
        for n in EVALUATIONS
    }
    return table, trial.moved


def best(row: dict[str, tuple[float, float]], measure: int, library: str = "") -> tuple[float, str]:
    """The least error of a library's configurations, or of all, and whose it is."""
    return min(
        (errors[measure], name)
        for name, errors in row.items()
        if name != "auto" and name.startswith(library)
    )


def ratio(
    tables: list[Table], measure: int, other: Callable[[dict[str, tuple[float, float]]], float]
) -> float:
    """auto over another, geometric mean over problems and evaluations."""
    logs = [
        math.log(table[n]["auto"][measure]) - math.log(other(table[n]))
        for table in tables
        for n in SUMMARY
    ]
    return math.exp(sum(logs) / len(logs))


def summarize(tables: list[Table], measure: int) -> dict[str, float | str]:
    """auto over the best of each cell (all, each library), and over the best of all cells."""
    found: dict[str, float | str] = {
        "all": ratio(tables, measure, lambda row: best(row, measure)[0])
    }
    for library in LIBRARIES.values():
        found[library] = ratio(
            tables,
            measure,
            lambda row, of=library: best(row, measure, of)[0],  # type: ignore[misc]
        )
    names = [name for name in tables[0][EVALUATIONS[0]] if name != "auto"]
    ratios = {
        name: ratio(tables, measure, lambda row, of=name: row[of][measure])  # type: ignore[misc]
        for name in names
    }
    name = max(ratios, key=lambda name: ratios[name])
    return {**found, "one for all": ratios[name], "which": name}


def show(title: str, table: Table) -> None:
    """One line for each number of evaluations."""
    heads = (
        f"{f'{measure}: best':>16s}{'auto':>9s}{'ratio':>7s}  {'':48s}" for measure in MEASURES
    )
    print(f"\n{title}\n{'':6s}{''.join(heads).rstrip()}")
    for n, row in table.items():
        line = f"{n:6d}"
        for i, own in enumerate(row["auto"]):
            least, name = best(row, i)
            line += f"{least:16.1e}{own:9.1e}{own / least:7.2f}  {name:48s}"
        print(line.rstrip(), flush=True)


def measure(path: str, peers: dict[str, Sampler], loud: bool) -> dict[str, object]:
    """All problems on a path; printed as they come when loud."""
    tables: dict[str, Table] = {}
    for name, problem in solvers.problems().items():
        tables[name], moved = compare(Exact(problem.means, problem.variances, PATHS[path]), peers)
        if loud:
            show(
                f"{name}, {path} (the reference moves by {moved:.0e} when its steps are halved)",
                tables[name],
            )
    ratios = {name: summarize(list(tables.values()), i) for i, name in enumerate(MEASURES)}
    if loud:
        print(
            f"\n{path}: auto over the best, geometric mean over problems and {SUMMARY} evaluations"
        )
        for name, found in ratios.items():
            words = (
                f"{of} {value:.2f}" if isinstance(value, float) else value
                for of, value in found.items()
            )
            print(f"{name:8s}{', '.join(words)}")
    finite = {  # JSON has no infinity
        name: {
            n: {of: errors for of, errors in row.items() if math.isfinite(errors[0])}
            for n, row in table.items()
        }
        for name, table in tables.items()
    }
    return {"auto/best": ratios, **finite}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="The best samplers of other libraries beside auto, by evaluations."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--path", choices=PATHS, help="one path; both by default")
    arguments = parser.parse_args()
    if absent := [library for library in LIBRARIES if find_spec(library) is None]:
        print("{}" if arguments.json else f"not installed: {', '.join(absent)}; {INSTALL}")
        return
    torch.set_num_threads(1)
    peers = samplers()
    if not arguments.json:
        print(f"The best of {len(peers)} configurations in hindsight, beside auto")
    chosen = [arguments.path] if arguments.path else list(PATHS)
    figures = {path: measure(path, peers, loud=not arguments.json) for path in chosen}
    if arguments.json:
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
