"""What the training loop costs: the engine against a bare loop on the same network, on one thread.

    python -m benchmarks.training            two tables
    python -m benchmarks.training --json     the same as one JSON object

The bare loop is forward, loss, backward and a fused AdamW step. The engine does the same and clips the gradient, keeps
the moving average, looks at each loss, writes metrics.jsonl and heeds signals. The bare loop runs inside the engine's
callback, so that windows of the two alternate and a slow minute of the machine meets both; `ratio` is the median over
pairs of windows, of wall time and of processor time (which other programs on the machine disturb less).
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
from allegory.training import Progress, Training, train

Table = dict[str, dict[str, float]]


def network(shape: tuple[int, ...]) -> nn.Module:
    """The library's U-Net: 1.75 million weights for (1, 28, 28), 0.39 million for (1, 8, 8)."""
    if shape[-1] == 28:
        return UNetConfig(channels=64, multipliers=(1, 2), blocks=1, attention=(14,)).build(shape)
    return UNetConfig(channels=32, multipliers=(1, 2), blocks=1, attention=()).build(shape)


class Denoiser(nn.Module):
    """The plainest diffusion loss: |network(x_t) - eps|^2 with alpha = cos(pi t / 2), sigma = sin(pi t / 2)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network = network(shape)

    def loss(self, batch: tuple[Tensor, ...]) -> Tensor:
        (x,) = batch
        angle = (0.01 + 0.98 * torch.rand(len(x))) * math.pi / 2
        eps = torch.randn_like(x)
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


def clocks() -> tuple[float, float]:
    """Wall and processor time, in seconds."""
    return time.perf_counter(), time.process_time()


@dataclass
class Duel:
    """A callback: takes the engine's time for the window that ended, and runs a bare window of as many steps."""

    bare: Denoiser
    x: Tensor
    steps: int
    engine_times: list[tuple[float, float]] = field(default_factory=list)
    bare_times: list[tuple[float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.AdamW(self.bare.parameters(), lr=1e-3, fused=True)
        self.mark = clocks()

    def __call__(self, now: Progress) -> None:
        start = clocks()
        if now.step >= 2 * self.steps:  # the first windows warm up
            self.engine_times.append((start[0] - self.mark[0], start[1] - self.mark[1]))
        for _ in range(self.steps):
            self.bare.loss((self.x,)).mean().backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
        self.mark = clocks()
        if now.step >= 2 * self.steps:
            self.bare_times.append((self.mark[0] - start[0], self.mark[1] - start[1]))


def loops(pairs: int) -> Table:
    """Engine against bare loop: images/s of each, medians of the paired ratios."""
    table: Table = {}
    for shape, batch, steps in (((1, 28, 28), 64, 2), ((1, 8, 8), 128, 20)):
        torch.manual_seed(0)
        x = torch.randn(batch, *shape)
        duel = Duel(Denoiser(shape), x, steps)
        config = Training(steps=steps * (pairs + 1), log_every=steps)
        with tempfile.TemporaryDirectory() as folder:
            train(Denoiser(shape), Noise(x), config, Path(folder), callbacks=[duel])
        ratios = [
            statistics.median(b[k] / e[k] for b, e in zip(duel.bare_times, duel.engine_times, strict=True))
            for k in (0, 1)
        ]
        speeds = [
            batch * steps / statistics.median(wall for wall, _ in times)
            for times in (duel.bare_times, duel.engine_times)
        ]
        weights = sum(p.numel() for p in duel.bare.parameters()) / 1e6
        row = {"weights/M": weights, "bare images/s": speeds[0], "engine images/s": speeds[1]}
        table[f"U-Net at {(batch, *shape)}"] = {**row, "ratio": ratios[0], "ratio (cpu)": ratios[1]}
    return table


def optimizers(rounds: int) -> Table:
    """Milliseconds of one AdamW step by implementation, and of the engine's other parts, for 1.8 million weights."""
    weights = [nn.Parameter(0.01 * torch.randn(size)) for _ in range(30) for size in ((82, 82, 3, 3), (82,))]
    for weight in weights:
        weight.grad = torch.randn_like(weight)
    average = [weight.detach().clone() for weight in weights]
    kinds = {"fused": {"fused": True}, "foreach": {"foreach": True}, "plain loop": {"foreach": False}}
    work = {f"AdamW, {kind}": torch.optim.AdamW(weights, lr=1e-6, **kinds[kind]).step for kind in kinds}  # type: ignore[arg-type]
    work["clip the gradient"] = lambda: nn.utils.clip_grad_norm_(weights, 1.0)
    work["moving average"] = lambda: torch._foreach_lerp_(average, [weight.detach() for weight in weights], 0.001)
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
    parser.add_argument("--pairs", type=int, default=12, help="pairs of windows to take medians over")
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
