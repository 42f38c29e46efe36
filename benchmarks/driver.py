"""What the sampling driver costs beside the network.

Microseconds a step with a network that is free.

    python -m benchmarks.driver            one table
    python -m benchmarks.driver --json     the same as one JSON object

The state is (64, 3, 32, 32) in float32 and the "network" returns one fixed tensor as eps, so all
the time is the library's own: the arithmetic of the step and the Python around it. The floor is the
least that any first-order step can do, two fused operations on the state. `python` is the same run
on four numbers, where the arithmetic costs nothing. Windows of 50 steps alternate between all of
them and the median is taken, so a slow minute of the machine meets them all; processor time is
given beside wall time, because other programs on the machine disturb it less.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from allegory import Path, Prediction, as_predict, grid, sample
from allegory.process import Level, LinearLogSNR, Predict

Table = dict[str, dict[str, float]]
SHAPE, SMALL, STEPS = (64, 3, 32, 32), (1, 1, 2, 2), 50
KINDS = (
    "ddim", "ddpm", "heun", "midpoint", "rk4", "dpmpp2m", "dpmpp3m", "unipc2", "unipc3", "x0ab4",
    "vab4", "auto", "sde_dpmpp2m", "sa3",
)  # fmt: skip
"""One or two of each kind of solver."""


def free(path: Path, y: Tensor) -> Predict:
    """A Predict whose network costs nothing."""

    def predict(
        x_t: Tensor, t: Tensor | float | Level, condition: Tensor | None = None
    ) -> Prediction:
        assert isinstance(t, Level), "the driver asks by Level"
        return Prediction.solve("eps", y, x_t, t)

    return as_predict(predict, path)


def chain(solver: str, shape: tuple[int, ...]) -> Callable[[], object]:
    """One run of the driver over its grid."""
    path, x, y = Path(LinearLogSNR(8, -8)), torch.randn(shape), torch.randn(shape)
    walk, predict, seeds = grid(path, STEPS), free(path, y), range(shape[0])
    return lambda: sample(predict, x, walk, solver=solver, seeds=seeds)


def floor(shape: tuple[int, ...]) -> Callable[[], object]:
    """As many steps of two fused operations."""
    x, y = torch.randn(shape), torch.randn(shape)

    def run() -> None:
        state = x
        for _ in range(STEPS):
            state = torch.mul(state, 0.9).add_(y, alpha=0.1)

    return run


def medians(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, tuple[float, float]]:
    """Median wall and processor time of each run in microseconds a step, windows interleaved."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for number in range(rounds + 1):
        for name, work in runs.items():
            wall, cpu = time.perf_counter(), time.process_time()
            work()
            if number > 0:  # the first round warms up
                times[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    scale = 1e6 / STEPS
    return {
        name: (
            scale * statistics.median(w for w, _ in rows),
            scale * statistics.median(c for _, c in rows),
        )
        for name, rows in times.items()
    }


def overhead(rounds: int) -> Table:
    """The floor and the solvers."""
    runs = {"two fused operations": floor(SHAPE)} | {name: chain(name, SHAPE) for name in KINDS}
    large = medians(runs, rounds)
    small = medians(
        {"two fused operations": floor(SMALL)} | {name: chain(name, SMALL) for name in KINDS},
        rounds,
    )
    least = large["two fused operations"][1]
    return {
        name: {
            "us/step": wall,
            "us/step (cpu)": cpu,
            "x floor (cpu)": cpu / least,
            "python (cpu)": small[name][1],
        }
        for name, (wall, cpu) in large.items()
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description="What the sampling driver costs beside the network."
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--rounds", type=int, default=30, help="windows to take medians over")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = overhead(arguments.rounds)
    if arguments.json:
        print(json.dumps(table))
        return
    columns = list(table["ddim"])
    print(
        f"The driver at {SHAPE}, one thread\n{'':24s}"
        + "".join(f"{column:>16s}" for column in columns)
    )
    for name, row in table.items():
        print(f"{name:24s}" + "".join(f"{row[column]:16.1f}" for column in columns))


if __name__ == "__main__":
    main()
