"""What the training loop costs: the engine against a bare loop on the same network, on one thread.

    python -m benchmarks.training            two tables
    python -m benchmarks.training --json     the same as one JSON object

The bare loop is forward, loss, backward and a fused AdamW step. The engine does the same and clips
the gradient, keeps the moving average, looks at each loss, writes metrics.jsonl and heeds signals.
Short windows of the two alternate, so that a slow minute of the machine meets both; `ratio` is the
median of images/s over images/s in pairs of windows, by wall time and by processor time. The rows
"bare" have a second bare loop in the place of the engine: their distance from 1 is the error of the
measurement.
"""

import argparse
import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from allegory.networks import UNetConfig
from allegory.training import Progress, TrainingConfig, train

Table = dict[str, dict[str, float]]


def network(shape: tuple[int, ...]) -> nn.Module:
    """The library's U-Net: 1.75 million weights for (1, 28, 28), 0.39 million for (1, 8, 8)."""
    if shape[-1] == 28:
        return UNetConfig(channels=64, multipliers=(1, 2), blocks=1, attention=(14,)).build(shape)
    return UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=()).build(shape)


class Denoiser(nn.Module):
    """The plainest diffusion loss.

    |network(x_t) - eps|^2 with alpha = cos(pi t / 2), sigma = sin(pi t / 2).
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network(shape)

    def loss(self, batch: tuple[Tensor, ...], generator: torch.Generator) -> Tensor:
        (x,) = batch
        angle = (0.01 + 0.98 * torch.rand(len(x), generator=generator)) * math.pi / 2
        eps = torch.randn(x.shape, generator=generator)
        alpha, sigma = (part.view(-1, *[1] * (x.ndim - 1)) for part in (angle.cos(), angle.sin()))
        out: Tensor = self.network(alpha * x + sigma * eps, -2 * angle.tan().log())
        return (out - eps).square().flatten(1).mean(1)


@dataclass
class Noise:
    """The same batch for ever: what is measured is the loop."""

    x: Tensor

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        return self

    def __next__(self) -> tuple[Tensor, ...]:
        return (self.x,)

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


class Bare:
    """The bare loop."""

    def __init__(self, shape: tuple[int, ...], x: Tensor) -> None:
        self.model, self.x = Denoiser(shape), x
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, fused=True)

    def run(self, steps: int) -> None:
        generator = torch.Generator()
        for _ in range(steps):
            self.model.loss((self.x,), generator).mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()


def clocks() -> tuple[float, float]:
    """Wall and processor time, in seconds."""
    return time.perf_counter(), time.process_time()


@dataclass
class Duel:
    """Called after each window of the contender.

    Notes its time, and that of as many steps of the bare loop.
    """

    bare: Bare
    steps: int
    pairs: list[tuple[tuple[float, float], tuple[float, float]]] = field(default_factory=list)
    mark: tuple[float, float] = field(default_factory=clocks)

    def __call__(self, now: Progress | None = None) -> None:
        start = clocks()
        self.bare.run(self.steps)
        end = clocks()
        theirs = (start[0] - self.mark[0], start[1] - self.mark[1])
        self.pairs.append((theirs, (end[0] - start[0], end[1] - start[1])))
        self.mark = clocks()

    def row(self, images: int) -> dict[str, float]:
        """Medians over the pairs, without the first three, which warm up."""
        theirs, bare = zip(*self.pairs[3:], strict=True)
        speeds = [images / statistics.median(wall for wall, _ in times) for times in (theirs, bare)]
        wall, cpu = (statistics.median(b[k] / t[k] for t, b in self.pairs[3:]) for k in (0, 1))
        return {
            "images/s": speeds[0],
            "bare images/s": speeds[1],
            "ratio": wall,
            "ratio (cpu)": cpu,
        }


def loops(pairs: int) -> Table:
    """The engine, and a second bare loop as a control, against the bare loop."""
    table: Table = {}
    for shape, batch, steps, windows in (
        ((1, 28, 28), 64, 1, pairs),
        ((1, 8, 8), 128, 4, 3 * pairs),
    ):
        torch.manual_seed(0)
        x = torch.randn(batch, *shape)
        config = TrainingConfig(steps=steps * (windows + 3), log_every=steps)
        duel = Duel(Bare(shape, x), steps)
        with tempfile.TemporaryDirectory() as folder:
            train(Denoiser(shape), Noise(x), config, Path(folder), callbacks=[duel])
        control, second = Duel(Bare(shape, x), steps), Bare(shape, x)
        for _ in range(windows + 3):
            second.run(steps)
            control()
        table[f"engine, {(batch, *shape)}"] = duel.row(batch * steps)
        table[f"bare, {(batch, *shape)}"] = control.row(batch * steps)
    return table


def optimizers(rounds: int) -> Table:
    """Milliseconds per AdamW step by implementation, and of the engine's other parts.

    For 1.8 million weights.
    """
    weights = [
        nn.Parameter(0.01 * torch.randn(size))
        for _ in range(30)
        for size in ((82, 82, 3, 3), (82,))
    ]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    average = [weight.detach().clone() for weight in weights]
    kinds = {
        "fused": {"fused": True},
        "foreach": {"foreach": True},
        "plain loop": {"foreach": False},
    }
    work = {
        f"AdamW, {kind}": torch.optim.AdamW(weights, lr=1e-6, **kinds[kind]).step for kind in kinds
    }  # type: ignore[arg-type]
    work["clip the gradient"] = lambda: nn.utils.clip_grad_norm_(weights, 1.0)
    work["moving average"] = lambda: torch._foreach_lerp_(
        average, [weight.detach() for weight in weights], 0.001
    )
    times: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, step in work.items():
            start = time.process_time()
            step()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: {"ms": statistics.median(values)} for name, values in times.items()}


def show(title: str, table: Table) -> None:
    """Print a table."""
    columns = list(next(iter(table.values())))
    print(f"{title}\n{'':28s}" + "".join(f"{column:>17s}" for column in columns))
    for name, row in table.items():
        print(f"{name:28s}" + "".join(f"{row[column]:17.3f}" for column in columns))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What the training loop costs.")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument(
        "--pairs", type=int, default=12, help="pairs of windows to take medians over"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tables = {"loops": loops(arguments.pairs), "parts": optimizers(5 * arguments.pairs)}
    if arguments.json:
        print(json.dumps(tables))
    else:
        show("Training loop: engine against bare loop, one thread", tables["loops"])
        show("\nParts of a step with 1.8 million weights", tables["parts"])


if __name__ == "__main__":
    main()
