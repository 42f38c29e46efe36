"""Where the flow bends, and where `auto` puts its nodes: the picture of `docs/solvers`.

    python -m benchmarks nodes_picture --out docs/images/nodes.png

For three problems of `benchmarks.problems` on the variance-preserving path: by how much the
predicted clean item turns along the exact flow, the mean over 32 items of |d x0 / d log-SNR| over
its largest value, and the nodes of ten steps of `auto`.
"""

import argparse
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import torch
from matplotlib import pyplot
from torch import Tensor

from allegory import grid
from allegory.sampling import trajectory

from .problems import PATHS, Exact, data_of

ON_REQUEST = True
PROBLEMS = {"ring": "ring, 2 numbers", "mixture": "mixture, 64", "fashion": "pictures, 784"}
FINE, ITEMS, STEPS = 400, 32, 10


def bending(exact: Exact) -> tuple[Tensor, Tensor]:
    """log-SNR, and the mean speed of the predicted item there."""
    dims = exact.data.dims
    source = torch.Generator().manual_seed(0)
    noise = torch.randn(ITEMS, dims, generator=source, dtype=torch.float64)
    fine = grid(exact.path, FINE, "angle", "min", dims)
    states = trajectory(exact, exact.path.prior_std * noise, fine, solver="auto")
    x0 = torch.stack([state.prediction.x0 for state in states])

    log_snr = torch.tensor([float(level.log_snr) for level in fine.levels[:-1]])
    speed = x0.diff(dim=0).square().mean(2).sqrt().mean(1) / log_snr.diff()
    return (log_snr[1:] + log_snr[:-1]) / 2, speed / speed.max()


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks nodes_picture",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("docs/images/nodes.png"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    figure, rows = pyplot.subplots(len(PROBLEMS), 1, figsize=(7, 5), sharex=True)
    for axes, (name, title) in zip(rows, PROBLEMS.items(), strict=True):
        exact = Exact(data_of(name), PATHS["vp"])
        log_snr, speed = bending(exact)
        axes.fill_between(log_snr, speed, color="0.85", linewidth=0)
        axes.plot(log_snr, speed, color="0.4", linewidth=1)
        for level in grid(exact.path, STEPS, "angle", "min", exact.data.dims).levels:
            axes.axvline(float(level.log_snr), color="C0", linewidth=1.2, ymax=0.5)
        axes.set_ylabel(title)
        axes.set_ylim(0, 1.05)
        axes.set_yticks([])
    rows[-1].set_xlabel("log-SNR, from noise to data")
    rows[0].set_title("grey: how fast the predicted item changes; blue: nodes of auto, 10 steps")
    figure.tight_layout()
    figure.savefig(arguments.out, dpi=110)


if __name__ == "__main__":
    main()
